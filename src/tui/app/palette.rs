//! Commands that are typed after `:`: what a key does by its name, or something with a name or a value.

use std::time::Duration;

use super::action::Action;
use super::dashboard::{Export, Sizes};
use crate::connection::printable;
use crate::monitor::units;
use crate::tui::keymap;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// As the key of this name.
    Key(Action),
    /// Select this slot and open it.
    Slot(String),
    /// Select this table.
    Table(String),
    /// Narrow the list that has the focus.
    Filter(String),
    /// Sort the list that has the focus.
    Sort(String),
    /// Write what is known to a file.
    Export(Export),
    /// Record into this file.
    Record(String),
    /// Look at the source this often.
    Pace(Duration),
    /// The window of the charts.
    Window(Duration),
    /// Mute the selected finding for so long, or until it is resolved.
    Mute(Option<Duration>),
    /// How times are shown.
    Times(Clock),
    /// How sizes are shown.
    Sizes(Sizes),
    /// How the screen is drawn.
    Theme(Paint),
}

/// How times are shown; the zone is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Clock {
    Utc,
    Local,
    Relative,
}

/// What the user wants of the screen; `None` leaves it to what the terminal says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paint {
    /// Whether colours are used.
    pub color: Option<bool>,
    /// Whether only ASCII is drawn.
    pub ascii: Option<bool>,
    /// Whether the background is light.
    pub light: Option<bool>,
}

/// Commands with a value, and what the value is.
pub const WITH_VALUE: [(&str, &str); 13] = [
    ("slot", "NAME"),
    ("table", "NAME"),
    ("filter", "TEXT"),
    ("sort", "WORD: s shows the list"),
    ("export", "markdown|json|csv|prometheus"),
    ("record", "FILE"),
    ("pace", "TIME, as 5s"),
    ("window", "TIME, as 6h"),
    ("mute", "TIME|resolved"),
    ("times", "utc|local|relative"),
    ("sizes", "short|bytes|lsn"),
    ("theme", "light|dark|colour|plain|ascii|unicode|auto"),
    ("find", "TEXT, as filter"),
];

/// Reads a command; `drawn` is how the screen is drawn until now.
///
/// # Errors
/// One sentence that says what is wrong and what there is.
pub fn read(text: &str, drawn: Paint) -> Result<Command, String> {
    let (name, value) = text.trim().split_once(char::is_whitespace).unwrap_or((text.trim(), ""));
    let value = value.trim();
    if value.is_empty() {
        // `sizes` and `times` alone are keys too.
        if let Some(binding) = keymap::named().find(|binding| binding.name == name) {
            return Ok(Command::Key(binding.action));
        }
        return Err(match WITH_VALUE.iter().find(|(known, _)| *known == name) {
            Some((_, values)) => format!("{name} needs a value: {values}."),
            None if name.is_empty() => "Type a command.".to_owned(),
            None => unknown(name),
        });
    }
    let wrong = || match WITH_VALUE.iter().find(|(known, _)| *known == name) {
        Some((_, values)) => format!("{name} takes {values}."),
        None => unknown(name),
    };
    match name {
        "slot" => Some(Command::Slot(value.to_owned())),
        "table" => Some(Command::Table(value.to_owned())),
        "filter" | "find" => Some(Command::Filter(value.to_owned())),
        "record" => Some(Command::Record(value.to_owned())),
        "sort" => Some(Command::Sort(value.to_owned())),
        "export" => Export::ALL.into_iter().find(|one| one.name().0 == value).map(Command::Export),
        "pace" => span(value).map(Command::Pace),
        "window" => span(value).map(Command::Window),
        "mute" if value == "resolved" => Some(Command::Mute(None)),
        "mute" => span(value).map(|time| Command::Mute(Some(time))),
        "times" => match value {
            "utc" => Some(Clock::Utc),
            "local" => Some(Clock::Local),
            "relative" => Some(Clock::Relative),
            _ => None,
        }
        .map(Command::Times),
        "sizes" => match value {
            "short" => Some(Sizes::Short),
            "bytes" => Some(Sizes::Bytes),
            "lsn" => Some(Sizes::Positions),
            _ => None,
        }
        .map(Command::Sizes),
        "theme" => match value {
            "colour" | "color" => Some(Paint { color: Some(true), ..drawn }),
            "plain" => Some(Paint { color: Some(false), ..drawn }),
            "light" => Some(Paint { color: Some(true), light: Some(true), ..drawn }),
            "dark" => Some(Paint { color: Some(true), light: Some(false), ..drawn }),
            "ascii" => Some(Paint { ascii: Some(true), ..drawn }),
            "unicode" => Some(Paint { ascii: Some(false), ..drawn }),
            "auto" => Some(Paint::default()),
            _ => None,
        }
        .map(Command::Theme),
        _ => None,
    }
    .ok_or_else(wrong)
}

fn unknown(name: &str) -> String {
    format!("There is no command {}.", printable(name))
}

/// `500ms`, `5s`, `15m`, `6h`, `7d`.
fn span(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let number: f64 = text[..digits].parse().ok()?;
    let unit = match &text[digits..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    units::seconds(number * unit).filter(|time| !time.is_zero())
}

/// What can stand where `text` does: the commands that begin with it or contain it, those first that begin with it.
#[must_use]
pub fn proposals(text: &str) -> Vec<(&'static str, &'static str)> {
    let (name, given) =
        text.trim_start().split_once(char::is_whitespace).map_or((text.trim(), false), |(name, _)| (name, true));
    let keys = keymap::named().map(|binding| (binding.name, binding.help));
    let mut all: Vec<(&str, &str)> = WITH_VALUE.into_iter().chain(keys).collect();
    all.retain(|(known, _)| if given { *known == name } else { known.contains(name) });
    all.sort_by_key(|(known, _)| (!known.starts_with(name), *known));
    // A value first: that is what the name of a key can't have.
    all.dedup_by_key(|(known, _)| *known);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_names_of_keys_or_have_a_value() {
        let read = |text: &str| read(text, Paint { color: Some(false), ..Paint::default() });
        for (text, command) in [
            ("freeze", Command::Key(Action::Freeze)),
            (" slot  my slot ", Command::Slot("my slot".to_owned())),
            ("export csv", Command::Export(Export::Csv)),
            ("pace 500ms", Command::Pace(Duration::from_millis(500))),
            ("window 1.5h", Command::Window(Duration::from_secs(5400))),
            ("mute 15m", Command::Mute(Some(Duration::from_secs(900)))),
            ("mute resolved", Command::Mute(None)),
            ("sizes lsn", Command::Sizes(Sizes::Positions)),
            ("sizes", Command::Key(Action::Sizes)),
            ("theme ascii", Command::Theme(Paint { color: Some(false), ascii: Some(true), light: None })),
            ("sort held", Command::Sort("held".to_owned())),
        ] {
            assert_eq!(read(text), Ok(command), "{text}");
        }
        for (text, said) in [
            ("", "Type a command."),
            ("frobnicate", "There is no command frobnicate."),
            ("frobnicate 7", "There is no command frobnicate."),
            ("theme mauve", "theme takes light|dark|colour|plain"),
            ("pace soon", "pace takes TIME"),
            ("pace 0s", "pace takes TIME"),
            ("theme", "theme needs a value"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn what_is_typed_proposes_what_there_is() {
        let names = |text: &str| proposals(text).into_iter().map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(names("free"), ["freeze"]);
        assert_eq!(names("export "), ["export"]);
        assert_eq!(names("siz"), ["sizes"]);
        assert!(names("").len() > 50);
        assert!(names("zzz").is_empty());
    }
}
