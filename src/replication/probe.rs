//! The decoder's door for fuzzing: bytes go in, and what they cost comes out.

use bytes::Bytes;

use super::pgoutput::{Message, Old, Row, decode};

/// What became of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// They are no message.
    Malformed,
    /// They are one.
    Message {
        /// How many elements (values, columns, relations) memory was reserved for; at most one for each byte.
        reserved: usize,
    },
}

/// Reads `bytes` as one message of `pgoutput`, protocol version 1.
#[must_use]
pub fn read_message(bytes: &[u8]) -> Read {
    let old = |old: &Old| {
        let (Old::Key(row) | Old::Full(row)) = old;
        Row::capacity(row)
    };
    let reserved = match decode(Bytes::copy_from_slice(bytes)) {
        Err(_) => return Read::Malformed,
        Ok(Message::Insert { new, .. }) => new.capacity(),
        Ok(Message::Update { old: before, new, .. }) => new.capacity() + before.as_ref().map_or(0, old),
        Ok(Message::Delete { old: before, .. }) => old(&before),
        Ok(Message::Relation(relation)) => relation.columns.capacity(),
        Ok(Message::Truncate { relations, .. }) => relations.capacity(),
        Ok(Message::Begin { .. } | Message::Commit { .. } | Message::Other) => 0,
    };
    Read::Message { reserved }
}
