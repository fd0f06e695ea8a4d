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
