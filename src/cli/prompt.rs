//! Asks for a line on the terminal, without showing it if it is a secret.

use std::io::{self, IsTerminal, Write};

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use crossterm::terminal::{disable_raw_mode, enable_raw_mode};
use zeroize::Zeroizing;

use super::exit::{Exit, Stop};
use crate::connection::Secret;

/// Enough for a password, so that it does not grow and leave copies behind.
const ROOM: usize = 1024;

/// Restores the terminal, whatever happens.
struct Raw;

impl Drop for Raw {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = disable_raw_mode();
        let _ = writeln!(io::stderr().lock());
    }
}

/// Asks for `what` and returns it; nothing without a terminal or when nothing was typed. Blocks.
///
/// # Errors
/// When the user gives up with Ctrl-C, or the terminal can't be read.
pub(super) fn secret(what: &str) -> Result<Option<Secret>, Stop> {
    ask(what, false)
}

/// The same for what may be seen.
///
/// # Errors
/// As [`secret`].
pub(super) fn line(what: &str) -> Result<Option<Secret>, Stop> {
    ask(what, true)
}

fn ask(what: &str, shown: bool) -> Result<Option<Secret>, Stop> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(None);
    }
    // Before the question is seen, so that nothing that answers it is echoed.
    enable_raw_mode()?;
    let _raw = Raw;
    let mut out = io::stderr().lock();
    write!(out, "{what}: ")?;
    out.flush()?;
    drop(out);
    let mut typed = Zeroizing::new(String::with_capacity(ROOM));
    loop {
        let key = match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Paste(text) => {
                typed.push_str(Zeroizing::new(text).trim_end_matches(['\r', '\n']));
                continue;
            }
            _ => continue,
        };
        match key.code {
            KeyCode::Enter => break,
            // Enter that was typed ahead of the question: the terminal made a line feed of it.
            KeyCode::Char('j') if key.modifiers.contains(KeyModifiers::CONTROL) => break,
            KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => {
                return Err(Stop::new(Exit::Interrupted, ""));
            }
            KeyCode::Char('u') if key.modifiers.contains(KeyModifiers::CONTROL) && !shown => typed.clear(),
            KeyCode::Char(c) if !key.modifiers.contains(KeyModifiers::CONTROL) => {
                typed.push(c);
                echo(shown, &c.to_string())?;
            }
            KeyCode::Backspace if typed.pop().is_some() => echo(shown, "\u{8} \u{8}")?,
            KeyCode::Esc => return Err(Stop::new(Exit::Interrupted, "")),
            _ => {}
        }
    }
    Ok((!typed.is_empty()).then(|| Secret::new(typed.as_str())))
}

fn echo(shown: bool, text: &str) -> io::Result<()> {
    if shown {
        let mut out = io::stderr().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
    }
    Ok(())
}
