//! Ctrl-C, SIGTERM and SIGHUP for commands that work without the wizard.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens from its creation on, so that no signal falls between two waits.
pub struct Interrupt {
    signals: [Signal; 3],
}

impl Interrupt {
    /// Takes over the three signals for the rest of the process's life.
    ///
    /// # Errors
    /// When the operating system refuses.
    pub fn listen() -> std::io::Result<Self> {
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [int, term, hup] = kinds.map(signal);
        Ok(Self { signals: [int?, term?, hup?] })
    }

    /// Returns when one of them arrives; call it again to wait for the next.
    pub async fn arrived(&mut self) {
        let [int, term, hup] = &mut self.signals;
        tokio::select! {
            _ = int.recv() => {}
            _ = term.recv() => {}
            _ = hup.recv() => {}
        }
    }
}
