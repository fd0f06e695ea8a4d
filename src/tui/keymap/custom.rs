//! Keys of the user's own: the section `[keys]` of the configuration file.
//!
//! ```toml
//! [keys]
//! freeze = "f"
//! page-down = ["pgdn", "ctrl-f"]
//! fleet = []
//! ```
//!
//! A name stands for what a key does on the dashboard; its keys take the place of those that it has by itself. A name
//! that does not exist, a key that is none and a key that would mean two things are errors: half a keymap is worse
//! than none.

use std::collections::BTreeMap;

use super::{Binding, Chord, Keymap, named};
use crate::connection::printable;
use crate::profile::configuration::Keys;
use crate::tui::app::action::Zone;

/// Zones that are on the screen together; the first one is asked first.
const TOGETHER: [&[Zone]; 2] = [&[Zone::Run, Zone::Dashboard, Zone::Everywhere], &[Zone::Fleet, Zone::Everywhere]];

impl Keymap {
    /// The keymap with these keys of the user's own.
    ///
    /// # Errors
    /// One sentence that names what was given keys, what is wrong with them, and the next step.
    pub fn of(keys: &BTreeMap<String, Keys>) -> Result<Self, String> {
        let mut own = BTreeMap::new();
        for (name, keys) in keys {
            let Some(binding) = named().find(|binding| binding.name == name) else { return Err(unknown(name)) };
            let texts = match keys {
                Keys::One(key) => std::slice::from_ref(key),
                Keys::Many(keys) => keys,
            };
            let chords: Result<Vec<Chord>, String> =
                texts.iter().map(|text| Chord::read(text).ok_or_else(|| no_key(name, text))).collect();
            own.insert(binding.name, chords?);
        }
        let keymap = Self { own };
        keymap.is_clear()?;
        Ok(keymap)
    }

    /// Whether every key means one thing.
    fn is_clear(&self) -> Result<(), String> {
        for zones in TOGETHER {
            let bindings: Vec<&'static Binding> =
                zones.iter().flat_map(|zone| super::all().filter(|binding| binding.zone == *zone)).collect();
            for (at, one) in bindings.iter().enumerate() {
                for other in &bindings[at + 1..] {
                    let shared = self.keys(one).iter().find(|key| self.keys(other).iter().any(|twin| key.is(*twin)));
                    if let Some(key) = shared.filter(|_| one.action != other.action) {
                        return Err(taken_twice(*key, one, other));
                    }
                }
            }
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    let mut near: Vec<(usize, &str)> = named().map(|binding| (distance(name, binding.name), binding.name)).collect();
    near.sort_unstable();
    let hint = match near.first() {
        Some((distance, near)) if *distance <= 3 => format!(" Did you mean {near}?"),
        _ => " docs/monitoring.md lists the names.".to_owned(),
    };
    format!("[keys] names {}, which is nothing that a key does.{hint}", printable(name))
}

fn no_key(name: &str, text: &str) -> String {
    format!(
        "[keys] {name}: \"{}\" is no key. A key is a character, or space, enter, esc, tab, up, pgdn, f5 and so on, \
         with ctrl- or alt- before it.",
        printable(text)
    )
}

fn taken_twice(key: Chord, one: &Binding, other: &Binding) -> String {
    let name = |binding: &Binding| match binding.name {
        "" => "a key that works everywhere".to_owned(),
        name => name.to_owned(),
    };
    format!(
        "[keys] {} is taken twice: by {} and by {}. Give one of them another key, or none: []",
        key.name(true),
        name(one),
        name(other)
    )
}

/// How many letters differ (Levenshtein's distance).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, c) in a.chars().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (to, d) in b.iter().enumerate() {
            let cost = (before + usize::from(c != *d)).min(row[to] + 1).min(row[to + 1] + 1);
            before = std::mem::replace(&mut row[to + 1], cost);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

    use super::*;
    use crate::profile::configuration::Configuration;
    use crate::tui::app::action::Action;

    fn read(text: &str) -> Result<Keymap, String> {
        Configuration::from_toml(text).and_then(|file| Keymap::of(&file.keys))
    }

    fn press(keymap: &Keymap, c: char) -> Option<Action> {
        keymap.dispatch(&[Zone::Dashboard], KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE))
    }

    #[test]
    fn the_default_keys_are_clear_and_every_name_is_one() {
        Keymap::default().is_clear().unwrap();
        let mut names: Vec<&str> = named().map(|binding| binding.name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
            assert!(plain, "{name}");
            let documented = include_str!("../../../docs/monitoring.md").contains(&format!("`{name}`"));
            assert!(documented, "docs/monitoring.md does not list {name}");
        }
    }

    #[test]
    fn own_keys_take_the_place_of_those_before() {
        let keymap = read("[keys]\nfreeze = [\"F\", \"ctrl-f\"]\nfleet = []\nprivacy = 'f'").unwrap();
        assert_eq!(press(&keymap, 'F'), Some(Action::Freeze));
        assert_eq!(press(&keymap, ' '), None);
        assert_eq!(press(&keymap, 'f'), Some(Action::Privacy));
        assert_eq!(press(&keymap, 'p'), None);
        assert_eq!(press(&read("").unwrap(), ' '), Some(Action::Freeze));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_sentence() {
        for (text, said) in [
            ("[keys]\nfreese = 'f'", "Did you mean freeze?"),
            ("[keys]\nfrobnicate = 'f'", "lists the names"),
            ("[keys]\nfreeze = 'hyper-x'", "\"hyper-x\" is no key"),
            ("[keys]\nfreeze = 'f'", "f is taken twice: by freeze and by fleet"),
            ("[keys]\nfreeze = 'ctrl-c'", "Ctrl-C is taken twice: by freeze and by a key that works everywhere"),
            ("[keys]\nfreeze = 7", "line 2"),
            ("[keys", "line 1"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
