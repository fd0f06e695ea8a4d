//! The messages of the output plugin `pgoutput`, protocol version 1 (PostgreSQL documentation, "Logical Replication
//! Message Formats").
//!
//! Total over arbitrary bytes: every input is a message or an error, nothing panics, and no memory is taken on the
//! word of a length that the message itself does not bear out. Values share the memory of the message.

use bytes::{Buf, Bytes};

use crate::catalog::Lsn;

/// The bytes are no message of this protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("a message ends too early")]
    Short,
    #[error("a message has bytes left over")]
    Long,
    #[error("a name is not UTF-8")]
    Name,
    #[error("an unknown message or part, byte {0:#04x}")]
    Unknown(u8),
}

/// One value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    /// A TOASTed value that the update did not touch; it was not sent.
    Unchanged,
    /// The type's text form.
    Text(Bytes),
}

/// The values of a row, in the order of the relation's columns.
pub(super) type Row = Vec<Value>;

/// What tells which row is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Old {
    /// The replica identity's columns; the others are null.
    Key(Row),
    /// The whole row (`REPLICA IDENTITY FULL`).
    Full(Row),
}

impl Old {
    /// The values, of which only those of the key may be known.
    pub(super) fn row(&self) -> &Row {
        let (Self::Key(row) | Self::Full(row)) = self;
        row
    }
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RelationColumn {
    pub(super) name: String,
    /// Part of the replica identity.
    pub(super) key: bool,
    /// OID of the type at the source.
    pub(super) type_oid: u32,
    /// `pg_attribute.atttypmod`.
    pub(super) type_modifier: i32,
}

/// A table as it was at this point of the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: u32,
    pub(super) schema: String,
    pub(super) name: String,
    /// `pg_class.relreplident`.
    pub(super) identity: u8,
    pub(super) columns: Vec<RelationColumn>,
}

/// A message of the plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Begin {
        /// The start of the transaction's commit record: what decides about visibility.
        final_lsn: Lsn,
        /// When it committed, microseconds since 2000-01-01 UTC.
        time: i64,
    },
    Commit {
        /// The end of the commit record: where the next transaction may begin.
        end: Lsn,
        /// Microseconds since 2000-01-01 UTC.
        time: i64,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        new: Row,
    },
    Update {
        relation: u32,
        old: Option<Old>,
        new: Row,
    },
    Delete {
        relation: u32,
        old: Old,
    },
    Truncate {
        relations: Vec<u32>,
        restart_identity: bool,
    },
    /// Origin, type and logical messages: of no meaning for rows.
    Other,
}

impl Message {
    /// The tables whose rows it is about.
    pub(super) fn relations(&self) -> &[u32] {
        match self {
            Self::Insert { relation, .. } | Self::Update { relation, .. } | Self::Delete { relation, .. } => {
                std::slice::from_ref(relation)
            }
            Self::Truncate { relations, .. } => relations,
            Self::Begin { .. } | Self::Commit { .. } | Self::Relation(_) | Self::Other => &[],
        }
    }
}

/// Reads one message.
///
/// # Errors
/// When the bytes are none.
pub(super) fn decode(bytes: Bytes) -> Result<Message, Malformed> {
    let mut input = Input(bytes);
    let message = match input.u8()? {
        b'B' => {
            let final_lsn = Lsn(input.u64()?);
            let time = input.u64()?.cast_signed();
            input.skip(4)?;
            Message::Begin { final_lsn, time }
        }
        b'C' => {
            input.skip(1 + 8)?;
            Message::Commit { end: Lsn(input.u64()?), time: input.u64()?.cast_signed() }
        }
        b'R' => Message::Relation(input.relation()?),
        b'I' => {
            let relation = input.u32()?;
            input.tag(b'N')?;
            Message::Insert { relation, new: input.row()? }
        }
        b'U' => {
            let relation = input.u32()?;
            let (old, tag) = match input.u8()? {
                b'K' => (Some(Old::Key(input.row()?)), input.u8()?),
                b'O' => (Some(Old::Full(input.row()?)), input.u8()?),
                tag => (None, tag),
            };
            if tag != b'N' {
                return Err(Malformed::Unknown(tag));
            }
            Message::Update { relation, old, new: input.row()? }
        }
        b'D' => {
            let relation = input.u32()?;
            let old = match input.u8()? {
                b'K' => Old::Key(input.row()?),
                b'O' => Old::Full(input.row()?),
                other => return Err(Malformed::Unknown(other)),
            };
            Message::Delete { relation, old }
        }
        b'T' => {
            let count = input.u32()? as usize;
            let options = input.u8()?;
            // Four bytes for each id: a count that the message can't hold is refused before memory is taken.
            if input.0.remaining() != count.saturating_mul(4) {
                return Err(Malformed::Short);
            }
            let relations = (0..count).map(|_| input.u32()).collect::<Result<_, _>>()?;
            Message::Truncate { relations, restart_identity: options & 2 != 0 }
        }
        b'O' | b'Y' | b'M' => return Ok(Message::Other),
        other => return Err(Malformed::Unknown(other)),
    };
    if input.0.has_remaining() { Err(Malformed::Long) } else { Ok(message) }
}

struct Input(Bytes);

impl Input {
    fn need(&self, bytes: usize) -> Result<(), Malformed> {
        if self.0.remaining() < bytes { Err(Malformed::Short) } else { Ok(()) }
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.need(bytes)?;
        self.0.advance(bytes);
        Ok(())
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    fn u16(&mut self) -> Result<u16, Malformed> {
        self.need(2)?;
        Ok(self.0.get_u16())
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.need(8)?;
        Ok(self.0.get_u64())
    }

    fn tag(&mut self, wanted: u8) -> Result<(), Malformed> {
        match self.u8()? {
            tag if tag == wanted => Ok(()),
            tag => Err(Malformed::Unknown(tag)),
        }
    }

    fn name(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed::Short)?;
        let name = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(name.to_vec()).map_err(|_| Malformed::Name)
    }

    fn relation(&mut self) -> Result<Relation, Malformed> {
        let id = self.u32()?;
        // An empty schema stands for pg_catalog.
        let schema = Some(self.name()?).filter(|name| !name.is_empty()).unwrap_or_else(|| "pg_catalog".to_owned());
        let name = self.name()?;
        let identity = self.u8()?;
        let count = usize::from(self.u16()?);
        // Ten bytes at least for each column.
        let mut columns = Vec::with_capacity(count.min(self.0.remaining() / 10));
        for _ in 0..count {
            let key = self.u8()? & 1 != 0;
            let name = self.name()?;
            let (type_oid, type_modifier) = (self.u32()?, self.u32()?.cast_signed());
            columns.push(RelationColumn { name, key, type_oid, type_modifier });
        }
        Ok(Relation { id, schema, name, identity, columns })
    }

    fn row(&mut self) -> Result<Row, Malformed> {
        let count = usize::from(self.u16()?);
        let mut row = Row::with_capacity(count.min(self.0.remaining()));
        for _ in 0..count {
            row.push(match self.u8()? {
                b'n' => Value::Null,
                b'u' => Value::Unchanged,
                b't' => {
                    let length = self.u32()? as usize;
                    self.need(length)?;
                    Value::Text(self.0.split_to(length))
                }
                other => return Err(Malformed::Unknown(other)),
            });
        }
        Ok(row)
    }
}

#[cfg(test)]
mod tests {
    use bytes::{BufMut, Bytes, BytesMut};

    use super::{Malformed, Message, Old, Relation, RelationColumn, Value, decode};
    use crate::catalog::Lsn;

    /// Well-formed messages of every kind, put together by hand from the documentation.
    fn samples() -> Vec<(Bytes, Message)> {
        let text = |value: &'static str| Value::Text(Bytes::from_static(value.as_bytes()));
        let row = |out: &mut BytesMut| {
            out.put_slice(&[0, 3, b'n', b'u', b't', 0, 0, 0, 2]);
            out.put_slice(b"ab");
        };
        let new = vec![Value::Null, Value::Unchanged, text("ab")];
        let mut made = Vec::new();
        let mut add = |fill: &dyn Fn(&mut BytesMut), message: Message| {
            let mut out = BytesMut::new();
            fill(&mut out);
            made.push((out.freeze(), message));
        };
        add(
            &|out| {
                out.put_u8(b'B');
                out.put_u64(0x1_0000_0001);
                out.put_u64(5);
                out.put_u32(7);
            },
            Message::Begin { final_lsn: Lsn(0x1_0000_0001), time: 5 },
        );
        add(
            &|out| {
                out.put_slice(b"C\0");
                out.put_u64(1);
                out.put_u64(2);
                out.put_i64(-3);
            },
            Message::Commit { end: Lsn(2), time: -3 },
        );
        add(
            &|out| {
                out.put_u8(b'R');
                out.put_u32(9);
                out.put_slice(b"s\0t\"x\0d\0\x01\x01id\0");
                out.put_u32(23);
                out.put_i32(-1);
            },
            Message::Relation(Relation {
                id: 9,
                schema: "s".into(),
                name: "t\"x".into(),
                identity: b'd',
                columns: vec![RelationColumn { name: "id".into(), key: true, type_oid: 23, type_modifier: -1 }],
            }),
        );
        add(
            &|out| {
                out.put_slice(b"I\0\0\0\x09N");
                row(out);
            },
            Message::Insert { relation: 9, new: new.clone() },
        );
        add(
            &|out| {
                out.put_slice(b"U\0\0\0\x09K");
                row(out);
                out.put_u8(b'N');
                row(out);
            },
            Message::Update { relation: 9, old: Some(Old::Key(new.clone())), new: new.clone() },
        );
        add(
            &|out| {
                out.put_slice(b"U\0\0\0\x09N");
                row(out);
            },
            Message::Update { relation: 9, old: None, new: new.clone() },
        );
        add(
            &|out| {
                out.put_slice(b"D\0\0\0\x09O");
                row(out);
            },
            Message::Delete { relation: 9, old: Old::Full(new) },
        );
        add(
            &|out| {
                out.put_slice(b"T\0\0\0\x02\x03\0\0\0\x01\0\0\0\x02");
            },
            Message::Truncate { relations: vec![1, 2], restart_identity: true },
        );
        made
    }

    #[test]
    fn every_kind_of_message_is_read() {
        for (bytes, message) in samples() {
            assert_eq!(decode(bytes), Ok(message));
        }
        assert_eq!(decode(Bytes::from_static(b"O\0")), Ok(Message::Other));
        assert_eq!(decode(Bytes::from_static(b"S")), Err(Malformed::Unknown(b'S')));
    }

    #[test]
    fn a_message_cut_or_lengthened_anywhere_is_an_error() {
        for (bytes, message) in samples() {
            for end in 0..bytes.len() {
                assert!(decode(bytes.slice(..end)).is_err(), "{message:?} cut at {end}");
            }
            let mut long = BytesMut::from(&bytes[..]);
            long.put_u8(0);
            assert!(decode(long.freeze()).is_err(), "{message:?} with one byte more");
        }
    }

    /// A small generator (xorshift), so that a failure can be repeated from its seed.
    struct Random(u64);

    impl Random {
        fn next(&mut self) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0
        }
    }

    #[test]
    fn arbitrary_and_mutated_bytes_never_panic_and_take_no_more_memory_than_they_bear_out() {
        let samples = samples();
        let mut random = Random(0x5eed_1234_5678_9abc);
        let check = |bytes: Vec<u8>| {
            let length = bytes.len();
            let values = match decode(Bytes::from(bytes)) {
                Ok(Message::Insert { new, .. }) => new.capacity(),
                Ok(Message::Update { new, .. }) => new.capacity(),
                Ok(Message::Relation(relation)) => relation.columns.capacity(),
                Ok(Message::Truncate { relations, .. }) => relations.capacity(),
                _ => 0,
            };
            assert!(values <= length, "{values} elements reserved for {length} bytes");
        };
        for _ in 0..200_000 {
            let length = (random.next() % 64) as usize;
            let mut bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            if let Some(first) = bytes.first_mut() {
                *first = b"BCRIUDTOYM"[(random.next() % 10) as usize];
            }
            check(bytes);
            let (sample, _) = &samples[(random.next() % samples.len() as u64) as usize];
            let mut mutated = sample.to_vec();
            for _ in 0..=random.next() % 3 {
                let at = (random.next() % mutated.len() as u64) as usize;
                mutated[at] = random.next() as u8;
            }
            check(mutated);
        }
        check(b"T\xff\xff\xff\xff\0".to_vec());
        check(b"I\0\0\0\x01N\xff\xff".to_vec());
        check(b"I\0\0\0\x01N\0\x01t\xff\xff\xff\xff".to_vec());
    }
}
