//! Colours for SQL: a small lexer of PostgreSQL's tokens. It never fails, loses no character, and treats what it
//! does not know as ordinary text. A token may go on over lines (dollar quotes, block comments), so that a script is
//! coloured as a whole.

use ratatui::text::{Line, Span};

use super::text::wrap;
use super::theme::{Theme, Tone};

/// What a piece of SQL is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Word,
    Quoted,
    Comment,
    Other,
}

const KEYWORDS: &[&str] = &[
    "ADD",
    "ALL",
    "ALTER",
    "AND",
    "AS",
    "BEGIN",
    "BY",
    "COMMENT",
    "COMMIT",
    "CONNECT",
    "CREATE",
    "DATABASE",
    "DEFAULT",
    "DO",
    "DROP",
    "ELSE",
    "END",
    "EXISTS",
    "FOR",
    "FROM",
    "FULL",
    "GRANT",
    "IDENTITY",
    "IF",
    "IN",
    "INDEX",
    "INHERIT",
    "IS",
    "LOGIN",
    "NOT",
    "NULL",
    "ON",
    "OR",
    "PARTITION",
    "PASSWORD",
    "PRIVILEGES",
    "PUBLICATION",
    "REPLICA",
    "REPLICATION",
    "RESET",
    "REVOKE",
    "ROLE",
    "SCHEMA",
    "SELECT",
    "SET",
    "SYSTEM",
    "TABLE",
    "TABLES",
    "THEN",
    "TO",
    "USAGE",
    "USER",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// The lines of `sql`, coloured.
#[must_use]
pub fn highlight(sql: &str, theme: Theme) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default()];
    for (token, text) in tokens(sql) {
        let style = match token {
            Token::Comment => theme.style(Tone::Dim),
            Token::Quoted => theme.style(Tone::Good),
            Token::Word if KEYWORDS.contains(&text.to_ascii_uppercase().as_str()) => theme.style(Tone::Accent),
            Token::Word | Token::Other => theme.style(Tone::Plain),
        };
        for (at, part) in text.split('\n').enumerate() {
            if at > 0 {
                lines.push(Line::default());
            }
            if let Some(line) = lines.last_mut().filter(|_| !part.is_empty()) {
                line.push_span(Span::styled(part.replace('\t', "    "), style));
            }
        }
    }
    lines
}

/// One line of SQL broken to `width` columns, each piece coloured.
#[must_use]
pub fn wrapped(line: &str, theme: Theme, width: u16, indent: u16) -> Vec<Line<'static>> {
    let blank = " ".repeat(indent.into());
    let pieces = wrap(line, width.saturating_sub(indent));
    pieces.iter().flat_map(|piece| highlight(&format!("{blank}{piece}"), theme)).collect()
}

fn tokens(sql: &str) -> Vec<(Token, &str)> {
    let mut found = Vec::new();
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let (token, length) = if rest.starts_with("--") {
            (Token::Comment, rest.find('\n').unwrap_or(rest.len()))
        } else if rest.starts_with("/*") {
            (Token::Comment, block_comment(rest))
        } else if first == '\'' || first == '"' {
            (Token::Quoted, quoted(rest, first, false))
        } else if (first == 'E' || first == 'e') && rest[1..].starts_with('\'') {
            (Token::Quoted, 1 + quoted(&rest[1..], '\'', true))
        } else if let Some(length) = dollar_quoted(rest) {
            (Token::Quoted, length)
        } else if first == '_' || first.is_alphabetic() {
            let word = |c: char| c == '_' || c == '$' || c.is_alphanumeric();
            (Token::Word, rest.find(|c| !word(c)).unwrap_or(rest.len()))
        } else {
            (Token::Other, first.len_utf8())
        };
        let (text, after) = rest.split_at(length);
        found.push((token, text));
        rest = after;
    }
    found
}

/// Block comments nest in PostgreSQL.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    text.len()
}

fn dollar_quoted(text: &str) -> Option<usize> {
    let tag_end = text.strip_prefix('$')?.find('$')? + 2;
    let tag = &text[..tag_end];
    let name = &tag[1..tag_end - 1];
    if name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(|c| c == '_' || c.is_alphanumeric()) {
        return None;
    }
    Some(text[tag_end..].find(tag).map_or(text.len(), |at| tag_end + at + tag_end))
}

#[cfg(test)]
mod tests {
    use super::{Token, tokens};

    #[test]
    fn quotes_and_comments_are_told_apart() {
        let sql = "GRANT \"a\"\"b\" 'o''c' E'\\'' $x$ 'no' $x$ /* a /* b */ c */ -- end\n$1";
        let of = |kind| tokens(sql).into_iter().filter(|(token, _)| *token == kind).map(|(_, t)| t).collect::<Vec<_>>();
        assert_eq!(of(Token::Quoted), ["\"a\"\"b\"", "'o''c'", "E'\\''", "$x$ 'no' $x$"]);
        assert_eq!(of(Token::Comment), ["/* a /* b */ c */", "-- end"]);
        assert_eq!(of(Token::Word), ["GRANT"]);
    }

    #[test]
    fn every_text_is_covered_without_a_loss() {
        for sql in ["", "'", "\"", "/*", "/* /*", "$", "$$", "$a$", "E'\\", "e", "注'文", "--", "a$1$b", "*/ x", "E"]
        {
            let whole: String = tokens(sql).into_iter().map(|(_, text)| text).collect();
            assert_eq!(whole, sql);
        }
    }
}
