//! Colours and symbols. The default uses the terminal's own sixteen colours and its background, so that light, dark
//! and colour-blind palettes stay the user's; a word or a symbol always carries the meaning beside the colour.

use ratatui::style::{Color, Modifier, Style};

/// How much the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether colours are used at all.
    pub color: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { color: true, ascii: false }
    }
}

/// What a piece of text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Ordinary text.
    Plain,
    /// A heading.
    Title,
    /// Less important.
    Dim,
    /// Good.
    Good,
    /// A warning.
    Warn,
    /// Bad.
    Bad,
    /// Something to notice that is neither good nor bad.
    Accent,
    /// The selected line or the focused field.
    Selected,
}

impl Theme {
    /// What the terminal can show, from the environment's values: `NO_COLOR` (any non-empty value switches colours
    /// off), `TERM`, and the locale's character set (`LC_ALL` before `LC_CTYPE` before `LANG`, as in POSIX).
    #[must_use]
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let color = set("NO_COLOR").is_none() && term != "dumb";
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        Self { color, ascii: !(locale.contains("utf-8") || locale.contains("utf8")) }
    }

    /// The style of `tone`.
    #[must_use]
    pub fn style(self, tone: Tone) -> Style {
        let plain = Style::new();
        let colored = |color| if self.color { plain.fg(color) } else { plain };
        match tone {
            Tone::Plain => plain,
            Tone::Title => plain.add_modifier(Modifier::BOLD),
            Tone::Dim => plain.add_modifier(Modifier::DIM),
            Tone::Good => colored(Color::Green),
            Tone::Warn => colored(Color::Yellow),
            Tone::Bad => colored(Color::Red).add_modifier(Modifier::BOLD),
            Tone::Accent => colored(Color::Cyan),
            // Reverse works on every background and without colours.
            Tone::Selected => plain.add_modifier(Modifier::REVERSED),
        }
    }

    /// `fancy`, or `plain` where only ASCII may be drawn.
    #[must_use]
    pub fn glyph(self, fancy: &'static str, plain: &'static str) -> &'static str {
        if self.ascii { plain } else { fancy }
    }

    /// The mark of a state: good, warning, bad, or information.
    #[must_use]
    pub fn mark(self, tone: Tone) -> &'static str {
        match tone {
            Tone::Good => self.glyph("✔", "+"),
            Tone::Warn => self.glyph("▲", "!"),
            Tone::Bad => self.glyph("✖", "x"),
            _ => self.glyph("•", "-"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Theme;

    #[test]
    fn colours_and_symbols_follow_the_environment() {
        let detect = |vars: &[(&str, &str)]| {
            let vars: Vec<(String, String)> = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            let theme = Theme::detect(|name| vars.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()));
            (theme.color, theme.ascii)
        };
        assert_eq!(detect(&[("LANG", "de_DE.UTF-8"), ("TERM", "xterm")]), (true, false));
        assert_eq!(detect(&[("LANG", "en_US.UTF-8"), ("LC_ALL", "C"), ("NO_COLOR", "1")]), (false, true));
        assert_eq!(detect(&[("LC_CTYPE", "C.utf8"), ("TERM", "dumb"), ("NO_COLOR", "")]), (false, false));
        assert_eq!(detect(&[]), (true, true));
    }
}
