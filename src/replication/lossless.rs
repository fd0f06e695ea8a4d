//! Whether a column of the destination can hold what the source sends without changing it unnoticed.
//!
//! Most misfits are loud: a number that is too large, a word where a number is wanted. Some are silent, because the
//! type's input function rounds or cuts: a scale of numeric, a precision of a time, the time of a timestamp that
//! becomes a date. Those are found by the types, before a row is written.

/// OIDs of `pg_type.dat`; they are the same on every server.
mod oid {
    pub(super) const CHAR: u32 = 18;
    pub(super) const NAME: u32 = 19;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const DATE: u32 = 1082;
    pub(super) const TIME: u32 = 1083;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const INTERVAL: u32 = 1186;
    pub(super) const TIMETZ: u32 = 1266;
    pub(super) const NUMERIC: u32 = 1700;
    pub(super) const MONEY: u32 = 790;
}

/// A type: the OID of the type (of a domain, its base type) and its modifier, -1 for none.
pub(super) type Kind = (u32, i32);

/// Whether every value of `from` is either kept by `to` or refused by it. Types of extensions and users are trusted.
pub(super) fn loud((from, from_modifier): Kind, (to, to_modifier): Kind) -> bool {
    use oid::{
        BPCHAR, CHAR, DATE, FLOAT4, FLOAT8, INT4, INT8, INTERVAL, MONEY, NAME, NUMERIC, TEXT, TIME, TIMESTAMP,
        TIMESTAMPTZ, TIMETZ, VARCHAR,
    };
    if from == to {
        return match to {
            _ if to_modifier < 0 => true,
            NUMERIC => from_modifier >= 0 && scale(to_modifier) >= scale(from_modifier),
            TIME | TIMETZ | TIMESTAMP | TIMESTAMPTZ => precision(from_modifier) <= to_modifier,
            // Fields and precision in one number: another one is another type.
            INTERVAL => from_modifier == to_modifier,
            _ => true,
        };
    }
    match (from, to) {
        (FLOAT8 | NUMERIC | INT8 | INT4, FLOAT4) | (NUMERIC | INT8, FLOAT8) | (NUMERIC | FLOAT4 | FLOAT8, MONEY) => {
            false
        }
        (FLOAT4 | FLOAT8 | MONEY, NUMERIC) => to_modifier < 0,
        (TIMESTAMP | TIMESTAMPTZ, DATE | TIME | TIMETZ) | (TIMESTAMPTZ, TIMESTAMP) | (TIMETZ, TIME) => false,
        // Without a zone it would be taken for UTC.
        (TIMESTAMP, TIMESTAMPTZ) | (TIME, TIMETZ) => false,
        (TEXT | VARCHAR | BPCHAR, NAME | CHAR | BPCHAR) | (NAME, CHAR | BPCHAR) => false,
        _ => true,
    }
}

/// Digits after the point in a modifier of numeric: eleven bits with a sign (PostgreSQL source file `numeric.c`).
fn scale(modifier: i32) -> i32 {
    let bits = (modifier - 4) & 0x7ff;
    (bits ^ 1024) - 1024
}

/// Digits of the second; none given means all six.
fn precision(modifier: i32) -> i32 {
    if modifier < 0 { 6 } else { modifier }
}

#[cfg(test)]
mod tests {
    use super::loud;

    const fn numeric(precision: i32, scale: i32) -> (u32, i32) {
        (1700, ((precision << 16) | (scale & 0x7ff)) + 4)
    }

    #[test]
    fn what_would_be_rounded_or_cut_is_known_and_what_fails_loudly_is_let_through() {
        for (from, to) in [
            (numeric(10, 4), numeric(10, 2)),
            ((1700, -1), numeric(10, 2)),
            (numeric(5, 0), numeric(5, -2)),
            ((1114, -1), (1114, 3)),
            ((1184, 3), (1184, 0)),
            ((1184, -1), (1114, -1)),
            ((1114, -1), (1082, -1)),
            ((701, -1), (700, -1)),
            ((1700, -1), (701, -1)),
            ((25, -1), (19, -1)),
        ] {
            assert!(!loud(from, to), "{from:?} in {to:?}");
        }
        for (from, to) in [
            (numeric(10, 2), numeric(12, 4)),
            (numeric(10, 2), (1700, -1)),
            (numeric(10, -2), numeric(10, 0)),
            ((20, -1), (23, -1)),
            ((25, -1), (1043, 20)),
            ((1043, 24), (1043, 14)),
            ((1114, 3), (1114, -1)),
            ((1114, 0), (1114, 6)),
            ((114, -1), (3802, -1)),
            ((16_500, -1), (25, -1)),
            ((23, -1), (20, -1)),
        ] {
            assert!(loud(from, to), "{from:?} in {to:?}");
        }
    }
}
