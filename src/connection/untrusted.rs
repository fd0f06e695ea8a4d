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

/// The same for a text in JSON: what is hostile can only stand within strings there, and is written as `\uXXXX`, so that
/// the value stays what it was.
#[must_use]
pub fn printable_json(text: &str) -> Cow<'_, str> {
    let hostile = |c: char| c != '\n' && is_hostile(c);
    if !text.chars().any(hostile) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
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
    use super::{printable, printable_json};

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "na\u{9b}me": "a\u{1b}[2J\u{202e}\u{7f}\n🧾" });
        let text = serde_json::to_string_pretty(&value).unwrap();
        let shown = printable_json(&text);
        assert!(!shown.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{1b}']) && shown.contains('🧾'), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }

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
