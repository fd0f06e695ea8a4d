//! A key with its modifiers: how it is named on the screen, and how it is written in the configuration file.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord(pub(super) KeyCode, pub(super) KeyModifiers);

pub(super) const fn key(code: KeyCode) -> Chord {
    Chord(code, KeyModifiers::NONE)
}
pub(super) const fn plain(c: char) -> Chord {
    Chord(KeyCode::Char(c), KeyModifiers::NONE)
}
pub(super) const fn ctrl(c: char) -> Chord {
    Chord(KeyCode::Char(c), KeyModifiers::CONTROL)
}
pub(super) const fn alt(c: char) -> Chord {
    Chord(KeyCode::Char(c), KeyModifiers::ALT)
}

/// The names of keys without a character of their own, as they are written in the configuration file.
const NAMES: [(&str, KeyCode); 19] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("del", KeyCode::Delete),
    ("delete", KeyCode::Delete),
    ("ins", KeyCode::Insert),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pgup", KeyCode::PageUp),
    ("pgdn", KeyCode::PageDown),
    ("minus", KeyCode::Char('-')),
];

impl Chord {
    /// The key that a terminal reports, without what its character says already.
    #[must_use]
    pub fn of(event: KeyEvent) -> Self {
        let known = KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        let mut modifiers = event.modifiers.intersection(known);
        if matches!(event.code, KeyCode::Char(_)) {
            // A capital letter says it all.
            modifiers.remove(KeyModifiers::SHIFT);
        }
        Self(event.code, modifiers)
    }

    /// Reads `f`, `F`, `ctrl-d`, `alt-x`, `f5`, `space`, `pgdn`; `None` when it is no key.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let (mut modifiers, mut rest) = (KeyModifiers::NONE, text);
        // A single character may be a dash.
        while let Some((lead, tail)) = rest.split_once('-').filter(|(_, tail)| !tail.is_empty()) {
            match lead.to_ascii_lowercase().as_str() {
                "ctrl" => modifiers |= KeyModifiers::CONTROL,
                "alt" => modifiers |= KeyModifiers::ALT,
                _ => break,
            }
            rest = tail;
        }
        let mut characters = rest.chars();
        let code = match (characters.next()?, characters.next()) {
            // With Ctrl a terminal can't tell capitals from small letters.
            (c, None) if modifiers.contains(KeyModifiers::CONTROL) => KeyCode::Char(c.to_ascii_lowercase()),
            (c, None) if !c.is_control() => KeyCode::Char(c),
            ('f' | 'F', Some(_)) if let Ok(number @ 1..=24) = rest[1..].parse() => KeyCode::F(number),
            _ => NAMES.iter().find(|(name, _)| rest.eq_ignore_ascii_case(name)).map(|(_, code)| *code)?,
        };
        Some(Self(code, modifiers))
    }

    /// Whether two keys are the same to a terminal.
    pub(super) fn is(self, other: Self) -> bool {
        // Some terminals report Shift with Shift-Tab, which has a code of its own.
        self == other || (self.0 == KeyCode::BackTab && other.0 == KeyCode::BackTab)
    }

    /// The key's name, as printed on keyboards; `ascii` avoids arrows.
    #[must_use]
    pub fn name(self, ascii: bool) -> String {
        let arrow = |fancy: &str, plain: &str| if ascii { plain.to_owned() } else { fancy.to_owned() };
        let name = match self.0 {
            KeyCode::Up => arrow("↑", "Up"),
            KeyCode::Down => arrow("↓", "Down"),
            KeyCode::Left => arrow("←", "Left"),
            KeyCode::Right => arrow("→", "Right"),
            KeyCode::Enter => "Enter".to_owned(),
            KeyCode::Esc => "Esc".to_owned(),
            KeyCode::Tab => "Tab".to_owned(),
            KeyCode::BackTab => return "Shift-Tab".to_owned(),
            KeyCode::Backspace => "Backspace".to_owned(),
            KeyCode::Delete => "Del".to_owned(),
            KeyCode::Insert => "Ins".to_owned(),
            KeyCode::Home => "Home".to_owned(),
            KeyCode::End => "End".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::F(number) => format!("F{number}"),
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.1.is_empty() => c.to_string(),
            KeyCode::Char(c) => c.to_uppercase().to_string(),
            _ => String::new(),
        };
        let control = if self.1.contains(KeyModifiers::CONTROL) { "Ctrl-" } else { "" };
        let alt = if self.1.contains(KeyModifiers::ALT) { "Alt-" } else { "" };
        format!("{control}{alt}{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_people_write_them() {
        for (text, chord) in [
            ("f", plain('f')),
            ("F", plain('F')),
            ("-", plain('-')),
            ("ctrl-d", ctrl('d')),
            ("Ctrl-D", ctrl('d')),
            ("alt--", alt('-')),
            ("f5", key(KeyCode::F(5))),
            ("Space", plain(' ')),
            ("shift-tab", key(KeyCode::BackTab)),
            ("ctrl-pgdn", Chord(KeyCode::PageDown, KeyModifiers::CONTROL)),
        ] {
            assert_eq!(Chord::read(text), Some(chord), "{text}");
        }
        for bad in ["", "ctrl-", "hyper-x", "f99", "ff", "\u{1b}", "shift-x"] {
            assert_eq!(Chord::read(bad), None, "{bad}");
        }
    }
}
