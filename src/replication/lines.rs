//! Rows as lines of COPY's text format (PostgreSQL documentation, "COPY").

use bytes::{BufMut, Bytes, BytesMut};

use super::pgoutput::Value;
use super::relation::Target;

/// Lines are put together in pieces of this size.
const PIECE_BYTES: usize = 64 * 1024;

/// The lines for `rows`, in pieces; a row gives the value of a column by its place.
pub(super) fn pieces<'r, V>(target: &Target, mut rows: impl Iterator<Item = V>) -> impl Iterator<Item = Bytes>
where
    V: Fn(usize) -> &'r Value,
{
    let mut buffer = BytesMut::new();
    std::iter::from_fn(move || {
        buffer.reserve(PIECE_BYTES + 1024);
        while buffer.len() < PIECE_BYTES
            && let Some(row) = rows.next()
        {
            line(target.written().map(row), &mut buffer);
        }
        (!buffer.is_empty()).then(|| buffer.split().freeze())
    })
}

fn line<'v>(values: impl Iterator<Item = &'v Value>, out: &mut BytesMut) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.put_u8(b'\t');
        }
        match value {
            Value::Text(bytes) => {
                out.reserve(bytes.len());
                let mut rest = &bytes[..];
                while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
                    out.put_slice(&rest[..at]);
                    out.put_u8(b'\\');
                    out.put_u8(match rest[at] {
                        b'\t' => b't',
                        b'\n' => b'n',
                        b'\r' => b'r',
                        other => other,
                    });
                    rest = &rest[at + 1..];
                }
                out.put_slice(rest);
            }
            Value::Null | Value::Unchanged => out.put_slice(b"\\N"),
        }
    }
    out.put_u8(b'\n');
}

#[cfg(test)]
mod tests {
    use bytes::{Bytes, BytesMut};

    use super::{Value, line};

    #[test]
    fn lines_escape_what_copy_would_read_otherwise() {
        let mut out = BytesMut::new();
        let text = |value: &'static str| Value::Text(Bytes::from_static(value.as_bytes()));
        line([text("a\tb\nc\\d\re"), Value::Null, text(""), text("\\N"), text("\\.")].iter(), &mut out);
        assert_eq!(&out[..], b"a\\tb\\nc\\\\d\\re\t\\N\t\t\\\\N\t\\\\.\n");
    }
}
