//! One input field: a line of text with a cursor, undo, a mask for secrets, and what is wrong with it.
//!
//! Promises: the cursor never stands inside a grapheme; control characters never get in, typed or pasted; the text of
//! every field is wiped from memory when it is dropped, and a secret is in no `Debug` output. The buffer is allocated
//! once at its greatest length, because a buffer that grows leaves copies of a password behind.

use std::fmt;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use zeroize::Zeroizing;

use super::validate::{FieldId, check};

/// The longest text in bytes; longer than any name, path or password that PostgreSQL takes in practice.
const MAX_BYTES: usize = 1024;
const MAX_UNDO: usize = 32;

/// What a key does to a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation; the key map says them in words")]
pub enum Edit {
    Backspace,
    Delete,
    DeleteWord,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Clear,
    Undo,
    Reveal,
}

/// How a field takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line of text.
    Text,
    /// A line of text that is masked.
    Secret,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// One field of a form.
pub struct Field {
    /// Which one it is; decides how it is validated.
    pub id: FieldId,
    /// How it takes its value.
    pub kind: Kind,
    /// What is wrong with its value, if it was looked at.
    pub error: Option<String>,
    /// Whether a secret is shown for now.
    pub revealed: bool,
    /// Whether it has no meaning for now: not shown, skipped by the focus, not validated.
    pub hidden: bool,
    /// Where the value came from, until it is changed; safe to print.
    pub origin: Option<String>,
    chosen: usize,
    text: Zeroizing<String>,
    cursor: usize,
    undo: Vec<(Zeroizing<String>, usize)>,
}

impl Field {
    /// An empty field.
    #[must_use]
    pub fn new(id: FieldId, kind: Kind) -> Self {
        let text = buffer("");
        Self {
            id,
            kind,
            error: None,
            revealed: false,
            hidden: false,
            origin: None,
            chosen: 0,
            text,
            cursor: 0,
            undo: Vec::new(),
        }
    }

    /// The text, secret or not. For a choice: the chosen word.
    #[must_use]
    pub fn text(&self) -> &str {
        match self.kind {
            Kind::Choice(words) => words.get(self.chosen).copied().unwrap_or_default(),
            _ => &self.text,
        }
    }

    /// Which word of a choice is chosen.
    #[must_use]
    pub fn chosen(&self) -> usize {
        self.chosen
    }

    /// The cursor as a byte position in the text.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.cursor
    }

    /// Whether keys type into it.
    #[must_use]
    pub fn takes_text(&self) -> bool {
        !matches!(self.kind, Kind::Choice(_))
    }

    /// Replaces the value, as prefilled or split from a connection string; this can be undone.
    pub fn set(&mut self, text: &str) {
        if let Kind::Choice(words) = self.kind {
            self.chosen = words.iter().position(|word| *word == text).unwrap_or(self.chosen);
            return;
        }
        self.remember();
        self.text = buffer("");
        self.cursor = 0;
        self.insert(text);
        (self.error, self.origin) = (None, None);
    }

    /// Chooses the next (or previous) word of a choice.
    pub fn cycle(&mut self, forward: bool) {
        if let Kind::Choice(words) = self.kind {
            let count = words.len().max(1);
            self.chosen = (self.chosen + if forward { 1 } else { count - 1 }) % count;
            (self.error, self.origin) = (None, None);
        }
    }

    /// Types a character.
    pub fn type_char(&mut self, c: char) {
        self.remember();
        self.insert(c.encode_utf8(&mut [0; 4]));
        (self.error, self.origin) = (None, None);
    }

    /// Pastes text: control characters and line ends are left out, so that a paste can't press Enter.
    pub fn paste(&mut self, text: &str) {
        self.remember();
        self.insert(text);
        (self.error, self.origin) = (None, None);
    }

    /// Applies an editing key.
    pub fn edit(&mut self, edit: Edit) {
        match edit {
            Edit::Left => self.cursor = self.before(),
            Edit::Right => self.cursor = self.after(),
            Edit::WordLeft => self.cursor = self.word_left(),
            Edit::WordRight => self.cursor = self.word_right(),
            Edit::Home => self.cursor = 0,
            Edit::End => self.cursor = self.text.len(),
            Edit::Reveal => self.revealed = self.kind == Kind::Secret && !self.revealed,
            Edit::Backspace => self.cut(self.before(), self.cursor),
            Edit::Delete => self.cut(self.cursor, self.after()),
            Edit::DeleteWord => self.cut(self.word_left(), self.cursor),
            Edit::Clear => self.cut(0, self.text.len()),
            Edit::Undo => {
                if let Some((text, cursor)) = self.undo.pop() {
                    (self.text, self.cursor, self.error) = (text, cursor, None);
                }
            }
        }
    }

    /// The focus leaves: a secret is hidden again and its history forgotten, and the value is validated.
    pub fn blur(&mut self) {
        if self.kind == Kind::Secret {
            self.revealed = false;
            self.undo.clear();
        }
        self.validate();
    }

    /// Judges the value; the error stays until the value changes. Returns whether it is valid.
    pub fn validate(&mut self) -> bool {
        self.error = check(self.id, self.text()).err();
        self.error.is_none()
    }

    fn remember(&mut self) {
        if self.undo.len() == MAX_UNDO {
            self.undo.remove(0);
        }
        self.undo.push((buffer(&self.text), self.cursor));
    }

    fn insert(&mut self, text: &str) {
        for grapheme in text.graphemes(true) {
            if grapheme.chars().any(char::is_control) {
                continue;
            }
            if self.text.len() + grapheme.len() > MAX_BYTES {
                break;
            }
            self.text.insert_str(self.cursor, grapheme);
            self.cursor += grapheme.len();
        }
        // A typed combining mark joins the character before it.
        let mut boundary = GraphemeCursor::new(self.cursor, self.text.len(), true);
        if !boundary.is_boundary(&self.text, 0).unwrap_or(true) {
            self.cursor = self.after();
        }
    }

    fn cut(&mut self, from: usize, to: usize) {
        if from < to {
            self.remember();
            self.text.replace_range(from..to, "");
            (self.cursor, self.error, self.origin) = (from, None, None);
        }
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].grapheme_indices(true).next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.cursor + self.text[self.cursor..].graphemes(true).next().map_or(0, str::len)
    }

    fn word_left(&self) -> usize {
        self.text[..self.cursor].unicode_word_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn word_right(&self) -> usize {
        let rest = &self.text[self.cursor..];
        rest.unicode_word_indices().next().map_or(self.text.len(), |(at, word)| self.cursor + at + word.len())
    }
}

fn buffer(text: &str) -> Zeroizing<String> {
    let mut buffer = String::with_capacity(MAX_BYTES);
    buffer.push_str(text);
    Zeroizing::new(buffer)
}

impl fmt::Debug for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = if self.kind == Kind::Secret { "(hidden)" } else { self.text() };
        f.debug_struct("Field").field("id", &self.id).field("text", &text).field("error", &self.error).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::{Edit, Field, FieldId, Kind};

    fn host(text: &str) -> Field {
        let mut field = Field::new(FieldId::Host, Kind::Text);
        field.paste(text);
        field
    }

    #[test]
    fn the_cursor_moves_by_what_a_reader_sees() {
        let mut field = host("a注e\u{301}👩‍👩‍👧");
        for (edit, cursor) in [(Edit::Left, 7), (Edit::Left, 4), (Edit::Left, 1), (Edit::Left, 0), (Edit::Left, 0)] {
            field.edit(edit);
            assert_eq!(field.cursor(), cursor);
        }
        field.edit(Edit::End);
        field.edit(Edit::Backspace);
        assert_eq!(field.text(), "a注e\u{301}");
        field.edit(Edit::Left);
        field.edit(Edit::Delete);
        assert_eq!(field.text(), "a注");
    }

    #[test]
    fn a_paste_loses_control_characters_and_line_ends() {
        let field = host("db.example\r\n\u{1b}[31mdrop\ttable\u{7}");
        assert_eq!(field.text(), "db.example[31mdroptable");
    }

    #[test]
    fn undo_gives_back_what_was_there() {
        let mut field = host("one two");
        field.edit(Edit::DeleteWord);
        assert_eq!(field.text(), "one ");
        field.edit(Edit::Clear);
        field.type_char('x');
        for text in ["", "one ", "one two", "", ""] {
            field.edit(Edit::Undo);
            assert_eq!(field.text(), text);
        }
    }

    #[test]
    fn a_secret_is_hidden_after_the_focus_left_and_forgets_its_history() {
        let mut field = Field::new(FieldId::Password, Kind::Secret);
        field.paste("S3NT1NEL");
        field.edit(Edit::Reveal);
        assert!(field.revealed);
        field.edit(Edit::Clear);
        field.blur();
        assert!(!field.revealed);
        field.edit(Edit::Undo);
        assert_eq!(field.text(), "");
        assert!(!format!("{field:?}").contains("S3NT"));
    }

    #[test]
    fn a_text_never_grows_beyond_its_buffer() {
        let field = host(&"注".repeat(2000));
        assert!(field.text().len() <= super::MAX_BYTES);
    }
}
