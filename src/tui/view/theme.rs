//! Colours and symbols. The default uses the terminal's own sixteen colours and its background, so that dark and
//! colour-blind palettes stay the user's; a word or a symbol always carries the meaning beside the colour.
//!
//! On a light background most terminals' own yellow, cyan and green can't be read. When the terminal says that its
//! background is light (`COLORFGBG`) or the user does, darker ones are taken: of the palette of 256 where there is one,
//! each with a contrast of at least 5 to 1 against white, else the legible ones of the sixteen.

use ratatui::style::{Color, Modifier, Style};

/// How much the terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Theme {
    /// Whether colours are used at all.
    pub color: bool,
    /// Whether only ASCII is drawn.
    pub ascii: bool,
    /// Whether the background is light.
    pub light: bool,
    /// Whether the palette has 256 colours.
    pub rich: bool,
}

impl Default for Theme {
    fn default() -> Self {
        Self { color: true, ascii: false, light: false, rich: true }
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
    /// off), `TERM`, `COLORTERM`, the locale's character set (`LC_ALL` before `LC_CTYPE` before `LANG`, as in POSIX), and
    /// `COLORFGBG`, whose last number is the background's: 7 and from 9 on it is light, as Vim reads it.
    #[must_use]
    pub fn detect(get: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| get(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let color = set("NO_COLOR").is_none() && term != "dumb";
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let background = set("COLORFGBG").and_then(|value| value.rsplit(';').next()?.trim().parse::<u8>().ok());
        Self {
            color,
            ascii: !(locale.contains("utf-8") || locale.contains("utf8")),
            light: matches!(background, Some(7 | 9..=15)),
            rich: term.contains("256color") || term.contains("direct") || set("COLORTERM").is_some(),
        }
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
            Tone::Good => colored(self.hue(Color::Green, Color::Blue, 22)),
            Tone::Warn => colored(self.hue(Color::Yellow, Color::Magenta, 94)),
            Tone::Bad => colored(self.hue(Color::Red, Color::Red, 124)).add_modifier(Modifier::BOLD),
            Tone::Accent => colored(self.hue(Color::Cyan, Color::Blue, 25)),
            // Reverse works on every background and without colours.
            Tone::Selected => plain.add_modifier(Modifier::REVERSED),
        }
    }

    /// A colour: on a dark background, and on a light one of sixteen or of 256.
    fn hue(self, dark: Color, light: Color, rich: u8) -> Color {
        match (self.light, self.rich) {
            (false, _) => dark,
            (true, false) => light,
            (true, true) => Color::Indexed(rich),
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
    use super::{Color, Theme, Tone};

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

    #[test]
    fn on_a_light_background_the_colours_are_dark() {
        let light = |value: &str| Theme::detect(|name| (name == "COLORFGBG").then(|| value.to_owned())).light;
        for value in ["0;15", "0;7", "0;default;15", "12;11"] {
            assert!(light(value), "{value}");
        }
        for value in ["15;0", "7;8", "0;default", "", "15;", "0;99"] {
            assert!(!light(value), "{value}");
        }
        // Relative luminance as WCAG 2 defines it, of the levels that xterm gives its cube of colours.
        let channel = |step: u8| {
            let value = if step == 0 { 0.0 } else { f64::from(55 + 40 * u32::from(step)) / 255.0 };
            if value <= 0.039_28 { value / 12.92 } else { ((value + 0.055) / 1.055_f64).powf(2.4) }
        };
        for tone in [Tone::Good, Tone::Warn, Tone::Bad, Tone::Accent] {
            let theme = Theme { light: true, ..Theme::default() };
            let Some(Color::Indexed(number)) = theme.style(tone).fg else { panic!("{tone:?} has a colour") };
            let cube = number - 16;
            let luminance = 0.2126 * channel(cube / 36) + 0.7152 * channel(cube / 6 % 6) + 0.0722 * channel(cube % 6);
            assert!(1.05 / (luminance + 0.05) >= 5.0, "{tone:?}");
            // Of the sixteen those that are dark in every terminal's palette.
            let few = Theme { rich: false, ..theme }.style(tone).fg;
            assert!(matches!(few, Some(Color::Red | Color::Blue | Color::Magenta)), "{tone:?}: {few:?}");
        }
    }
}
