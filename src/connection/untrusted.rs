//! Text that came from a server or a file, made safe to show.

use std::borrow::Cow;

/// Makes `text` harmless for a terminal, a log line and a comment in a SQL script: control characters (escape
/// sequences, newlines), bidirectional overrides, zero-width characters and line separators are shown as `\u{..}`.
///
/// Ordinary text, whatever its script, is returned as it is, without an allocation.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_hostile(c) {
            shown.extend(c.escape_unicode());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Whether a terminal could act on `c`, or a reader could not see it.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn ordinary_text_stays_and_hostile_text_becomes_visible() {
        for plain in ["orders", "naïve café", "注文", "🧾 \"quoted\" --"] {
            assert_eq!(printable(plain), plain);
        }
        assert_eq!(printable("a\u{1b}]52;c;x\u{7}b"), "a\\u{1b}]52;c;x\\u{7}b");
        assert_eq!(printable("x\ny\r"), "x\\u{a}y\\u{d}");
        assert_eq!(printable("gnp\u{202e}txt"), "gnp\\u{202e}txt");
        assert_eq!(printable("\u{9b}31m"), "\\u{9b}31m");
    }
}
