//! Taking the terminal and giving it back.
//!
//! [`restore`] is the only way back: the normal end, an error, a panic, a signal and Ctrl-Z all go through it, and it
//! may be called any number of times. It undoes exactly what [`Guard::enter`] did.

use std::io::{self, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::{self, ThreadId};

use crossterm::Command;
use crossterm::clipboard::CopyToClipboard;
use crossterm::cursor::{Hide, Show};
use crossterm::event::{DisableBracketedPaste, EnableBracketedPaste};
use crossterm::execute;
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

/// The terminal as this program draws on it.
pub type Screen = Terminal<CrosstermBackend<Stdout>>;

static TAKEN: AtomicBool = AtomicBool::new(false);
/// The thread that owns the screen: only its panic ends the interface.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);

/// Whether both ends are a terminal.
#[must_use]
pub fn is_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Holds the terminal; gives it back when dropped.
#[derive(Debug)]
pub struct Guard(());

impl Guard {
    /// Raw mode, alternate screen, bracketed paste, no cursor. The mouse stays the terminal's, so that its own
    /// selection and copying keep working.
    ///
    /// # Errors
    /// When the terminal can't do it; then it is as before.
    pub fn enter() -> io::Result<Self> {
        *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current().id());
        TAKEN.store(true, Ordering::SeqCst);
        let guard = Self(());
        enable_raw_mode()?;
        execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste, Hide)?;
        Ok(guard)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back, if it is taken. Nothing can be done about an error here.
pub fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(io::stdout(), Show, DisableBracketedPaste, LeaveAlternateScreen);
        let _ = disable_raw_mode();
    }
}

/// A screen that knows nothing of what is on the terminal, so that the next drawing is a whole one.
///
/// Use it after a suspension too: `Terminal::clear` would ask the terminal for its cursor, and the answer would go to
/// the event stream.
///
/// # Errors
/// When the terminal does not tell its size.
pub fn screen() -> io::Result<Screen> {
    Terminal::new(CrosstermBackend::new(io::stdout()))
}

/// Gives the terminal back, stops this process as Ctrl-Z would, and takes the terminal again when it is continued.
///
/// # Errors
/// When the terminal can't be taken again.
pub fn suspend() -> io::Result<Screen> {
    restore();
    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGTSTP)?;
    // The caller still holds the guard; this one must not undo the terminal when it goes.
    std::mem::forget(Guard::enter()?);
    screen()
}

/// Puts `text` on the clipboard of the terminal (OSC 52), also through ssh. tmux takes it for itself where its
/// `set-clipboard` is on, and hands it on to its own terminal where `allow-passthrough` is on.
///
/// # Errors
/// When it can't be written.
pub fn copy(text: &str) -> io::Result<()> {
    execute!(io::stdout(), CopyToClipboard::to_clipboard_from(text))?;
    if in_tmux() {
        let mut sequence = String::new();
        // Writing into a String can't fail.
        let _ = CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence);
        let mut out = io::stdout().lock();
        write!(out, "\u{1b}Ptmux;{}\u{1b}\\", sequence.replace('\u{1b}', "\u{1b}\u{1b}"))?;
        out.flush()?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the environment says what the terminal is")]
fn in_tmux() -> bool {
    std::env::var_os("TMUX").is_some_and(|value| !value.is_empty())
}

/// Makes every panic give the terminal back before it says anything, and reports it in a readable form.
///
/// A panic of a task is not printed: it would be written over a living screen. The task's owner tells of it there, and
/// the log has it.
pub fn install_hooks() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let hooks = color_eyre::config::HookBuilder::default()
            .display_env_section(false)
            .panic_section(
                "This is a defect of walpilot. The terminal was given back; nothing was left half done on a server.",
            )
            .try_into_hooks();
        let Ok((panic_hook, eyre_hook)) = hooks else { return };
        // Somebody else's report handler may be in place already; then theirs is used.
        let _ = eyre_hook.install();
        std::panic::set_hook(Box::new(move |info| {
            tracing::error!(location = info.location().map(tracing::field::display), "panic");
            let owner = *OWNER.lock().unwrap_or_else(PoisonError::into_inner);
            if TAKEN.load(Ordering::SeqCst) && owner != Some(thread::current().id()) {
                return;
            }
            restore();
            let _ = writeln!(io::stderr().lock(), "{}", panic_hook.panic_report(info));
        }));
    });
}
