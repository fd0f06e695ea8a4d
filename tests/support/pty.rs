//! A real pseudo-terminal with the built program in it, and a terminal emulator that knows what a user would see.

use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

use super::PATIENCE;

/// A terminal in which walpilot runs. Dropping it kills the program.
pub struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    shown: Arc<(Mutex<Shown>, Condvar)>,
    home: tempfile::TempDir,
}

struct Shown {
    parser: vt100::Parser,
    ended: bool,
    /// Everything that was ever written.
    raw: Vec<u8>,
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    /// Starts walpilot with these arguments and environment variables in a terminal of 80 by 24.
    pub fn start(args: &[&str], env: &[(&str, &str)]) -> Self {
        let home = tempfile::tempdir().expect("a directory for temporary files");
        let pair = native_pty_system().openpty(size(80, 24)).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_walpilot"));
        command.args(args);
        command.env_clear();
        for (name, value) in
            [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")]
        {
            command.env(name, value);
        }
        command.env("HOME", home.path());
        command.env("WALPILOT_PG_BIN", super::binaries().dir);
        for (name, value) in env {
            command.env(name, value);
        }
        command.cwd(home.path());
        let child = pair.slave.spawn_command(command).expect("walpilot starts");
        drop(pair.slave);
        let parser = vt100::Parser::new(24.try_into().expect("not zero"), 80.try_into().expect("not zero"), 0);
        let shown = Arc::new((Mutex::new(Shown { parser, ended: false, raw: Vec::new() }), Condvar::new()));
        let mut reader = pair.master.try_clone_reader().expect("the terminal's output");
        let writer = pair.master.take_writer().expect("the terminal's input");
        let screen = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = reader.read(&mut buffer).unwrap_or(0);
                let mut shown = screen.0.lock().expect("no other test thread failed here");
                shown.parser.process(&buffer[..count]);
                shown.raw.extend_from_slice(&buffer[..count]);
                shown.ended = count == 0;
                screen.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { child, master: pair.master, writer, shown, home }
    }

    /// Waits until the screen fulfils a condition.
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a deadline for a condition")]
    pub fn wait_until(&self, what: &str, condition: impl Fn(&vt100::Screen) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut shown = self.shown.0.lock().expect("no other test thread failed here");
        while !condition(shown.parser.screen()) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !shown.ended, "waited for {what}:\n{}", shown.parser.screen().contents());
            shown = self.shown.1.wait_timeout(shown, left).expect("the screen").0;
        }
    }

    /// Waits until a text is on the screen.
    #[track_caller]
    pub fn wait_for(&self, text: &str) {
        self.wait_until(text, |screen| screen.contents().contains(text));
    }

    /// What is on the screen now.
    pub fn contents(&self) -> String {
        self.shown.0.lock().expect("no other test thread failed here").parser.screen().contents()
    }

    /// Everything that the program ever wrote.
    pub fn stream(&self) -> String {
        String::from_utf8_lossy(&self.shown.0.lock().expect("no other test thread failed here").raw).into_owned()
    }

    /// Presses keys, as the bytes that a terminal sends.
    pub fn types(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).expect("the terminal takes keys");
        self.writer.flush().expect("the terminal takes keys");
    }

    /// Pastes text, as a terminal with bracketed paste does.
    pub fn pastes(&mut self, text: &str) {
        self.types(&format!("\u{1b}[200~{text}\u{1b}[201~"));
    }

    /// Gives the terminal another size.
    pub fn resizes(&mut self, columns: u16, rows: u16) {
        self.master.resize(size(columns, rows)).expect("the terminal takes a size");
        let (rows, columns) = (rows.try_into().expect("not zero"), columns.try_into().expect("not zero"));
        self.shown.0.lock().expect("no other test thread failed here").parser.screen_mut().set_size(rows, columns);
    }

    /// Sends a signal by its name.
    pub fn signals(&self, name: &str) {
        let pid = self.pid();
        let status = std::process::Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
        assert!(status.expect("a shell").success());
    }

    /// Waits until the process is in this state of /proc (`T` is stopped).
    #[track_caller]
    #[expect(clippy::disallowed_methods, reason = "a deadline for a condition")]
    pub fn wait_for_state(&self, state: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("the process");
            let (_, after) = stat.rsplit_once(") ").expect("a state");
            if after.starts_with(state) {
                return;
            }
            assert!(Instant::now() < deadline, "the process is in {after}");
            std::thread::yield_now();
        }
    }

    /// The program's home directory, unless its environment named another.
    pub fn home(&self) -> &std::path::Path {
        self.home.path()
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.process_id().expect("a process")
    }

    /// Waits for the program's end and gives its exit code; the terminal has to be as it was.
    #[track_caller]
    pub fn ends(&mut self) -> u32 {
        {
            let shown = self.shown.0.lock().expect("no other test thread failed here");
            let (shown, timeout) =
                self.shown.1.wait_timeout_while(shown, PATIENCE, |shown| !shown.ended).expect("the screen");
            assert!(!timeout.timed_out(), "it did not end:\n{}", shown.parser.screen().contents());
            let screen = shown.parser.screen();
            assert!(!screen.alternate_screen(), "the screen was not given back");
            assert!(!screen.hide_cursor(), "the cursor was not given back");
            assert!(!screen.bracketed_paste(), "bracketed paste is still on");
        }
        self.child.wait().expect("its exit").exit_code()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A stopped process is killed too; it may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
