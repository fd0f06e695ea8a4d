//! Types and values for random tables: what a type may hold that is easy to lose on the way.

use super::Random;

/// A column's type.
#[derive(Clone, Copy)]
pub struct Kind {
    /// As in CREATE TABLE.
    pub name: &'static str,
    /// Values as SQL expressions; `#` stands for a small number.
    pub values: &'static [&'static str],
    /// Equal means the same text, and there is an equality: PostgreSQL's own replication finds rows by it under FULL.
    pub exact: bool,
    /// The first server version that has it.
    pub since: u32,
}

const fn exact(name: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { name, values, exact: true, since: 13 }
}

const fn odd(name: &'static str, values: &'static [&'static str]) -> Kind {
    Kind { name, values, exact: false, since: 13 }
}

/// Types of the source itself; every test database has them.
pub const TYPES: &str = r#"CREATE SCHEMA "My types"; CREATE TYPE "My types"."E" AS ENUM ('one', 'it''s', 'a,b "c"', '');
CREATE DOMAIN small AS numeric(10,3) CHECK (value < 1000000); CREATE DOMAIN words AS text[];
CREATE TYPE "Pair" AS (a int, "B c" text, e "My types"."E"); CREATE TYPE span AS RANGE (subtype = float8);
CREATE TYPE nested AS (p "Pair", ps "Pair"[], d small);"#;

/// Every kind of column.
pub const KINDS: &[Kind] = &[
    exact("bool", &["true", "false"]),
    exact("int2", &["#", "-32768", "32767"]),
    exact("int4", &["#", "-#", "-2147483648"]),
    exact("int8", &["#", "9223372036854775807", "-9223372036854775808"]),
    odd("numeric", &["#.0", "#.00", "'NaN'", "1e100", "-0.00000000000000000001", "123456789012345678901234567890.5"]),
    odd("numeric(12,4)", &["#.5", "12345678.1234", "'NaN'"]),
    odd("float4", &["#::float4 / 3", "'NaN'", "'-Infinity'", "'-0'", "1e-37"]),
    odd("float8", &["#::float8 / 7", "'NaN'", "'Infinity'", "'-0'", "'0'", "5e-324", "1.7976931348623157e308"]),
    exact(
        "text",
        &[
            "'t#'",
            "''",
            r"E'tab\t nl\n cr\r bs\\ quote'' \\N \\.'",
            "'NULL'",
            "'ü 🧾 %s $1'",
            "repeat('x#', 2000)",
            "'\\x00'",
        ],
    ),
    exact(
        "text STORAGE",
        &["'short #'", "(SELECT string_agg(md5(i::text || '#'), '') FROM generate_series(1, 300) i)"],
    ),
    exact("varchar(20)", &["'v#'", "''", "' blanks  '"]),
    odd("char(5)", &["'a'", "'#'", "''"]),
    exact("name", &["'name#'", "'N\"'"]),
    odd("\"char\"", &["'x'", "''"]),
    exact("bytea", &["'\\x00ff#0'", "''", "decode(repeat('0a5c27', 900), 'hex')"]),
    exact(
        "date",
        &["'2024-02-29'", "'infinity'", "'-infinity'", "'0044-03-15 BC'", "DATE '2000-01-01' + #", "'10000-01-01'"],
    ),
    exact("time", &["'23:59:59.999999'", "'24:00:00'", "'00:00:00'"]),
    odd("timetz", &["'12:00:00+05:30'", "'01:02:03.4-11'"]),
    exact("timestamp", &["'2024-02-29 01:02:03.456789'", "'infinity'", "'0001-01-01 00:00:00 BC'"]),
    exact(
        "timestamptz",
        &["'2024-03-31 02:30:00+14'", "'-infinity'", "TIMESTAMPTZ '2000-01-01' + # * interval '1 day'"],
    ),
    odd("interval", &["'1 year -2 mons 3 days -04:05:06.789'", "'# hours'", "'-178000000 years'", "'0'"]),
    exact("uuid", &["md5('#')::uuid"]),
    odd("json", &[r#"'{"z": "\u0000", "a":  1, "a": #}'"#, "'null'", r#"' [1 , "\\" ]'"#]),
    odd("jsonb", &[r##"'{"b": [1.0, null, 1e2], "a": {"ü": "#"}}'"##, "'null'", "'1.10'"]),
    odd("xml", &["'<a b=\"#\">x &amp; y</a>'", "'text <b/> only'", "''"]),
    odd("inet", &["'10.0.0.1'", "'10.0.0.1/32'", "'10.0.0.0/8'", "'2001:db8::#'"]),
    odd("cidr", &["'10.0.0.0/8'", "'2001:db8::/32'"]),
    odd("macaddr8", &["'08:00:2b:01:02:03:04:05'"]),
    odd("bit(5)", &["B'10101'", "B'00000'"]),
    odd("varbit", &["B'1'", "B''", "B'1010101010101'"]),
    odd("point", &["'(0.1,1e-300)'", "point(#, 1.0/3)", "'(NaN,Infinity)'"]),
    odd("line", &["'{1,-2,0.3}'"]),
    odd("lseg", &["'[(1,1),(2,2)]'"]),
    odd("box", &["'((1,1),(0,0.1))'"]),
    odd("path", &["'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"]),
    odd("polygon", &["'((0,0),(1,0),(1,1))'"]),
    odd("circle", &["'<(0.1,2),3>'"]),
    odd("money", &["#::money / 7", "'-92233720368547758.08'"]),
    odd("tsvector", &["'a:1A b:2 ''it''''s'':#'", "''"]),
    odd("tsquery", &["'a & !b | (c <-> d)'"]),
    odd("int4range", &["'[1,#0)'", "'empty'", "'(,)'", "'[5,]'"]),
    odd("tstzrange", &["'[2001-01-01 00:00+00,infinity)'", "'(,2001-01-01 00:00+05:30]'"]),
    odd("int[]", &["'{1,NULL,#}'", "'{}'", "'[0:2]={1,2,3}'", "NULL"]),
    odd("text[]", &[r#"'{{"a b","c\"d"},{"\\",NULL}}'"#, "ARRAY['NULL', '', NULL, '#']", "'{}'"]),
    odd("pg_lsn", &["'16/B374D848'"]),
    odd("oid", &["4294967295", "#"]),
    odd("jsonpath", &["'$.a[*] ? (@ > #)'"]),
    exact("\"My types\".\"E\"", &["'one'", "'it''s'", "'a,b \"c\"'", "''"]),
    odd("\"My types\".\"E\"[]", &["'{one,NULL,\"a,b \\\"c\\\"\"}'", "'{}'"]),
    odd("small", &["#.125", "-1"]),
    odd("words", &["'{a,\"b c\",NULL}'", "'{}'"]),
    odd("\"Pair\"", &["ROW(#, 'x,\"y\\', 'one')", "ROW(NULL, NULL, NULL)", "ROW(1, '', '')"]),
    odd("\"Pair\"[]", &["ARRAY[ROW(1, 'a \"b\"', 'it''s')::\"Pair\", NULL]"]),
    odd("nested", &["ROW(ROW(#, 'in', NULL), ARRAY[ROW(2, '{}', 'one')::\"Pair\"], 1.5)"]),
    odd("span", &["'[0.1,0.3)'", "'empty'", "'(,1e-300]'"]),
    Kind { name: "int4multirange", values: &["'{[1,3),[5,#0)}'", "'{}'"], exact: false, since: 14 },
];

/// A random kind that this server has; `exact` asks for one that native replication can find rows by.
pub fn kind(random: &mut Random, major: u32, exact: bool) -> Kind {
    loop {
        let kind = KINDS[random.below(KINDS.len() as u64) as usize];
        if kind.since <= major && (kind.exact || !exact) {
            return kind;
        }
    }
}

impl Kind {
    /// A random value, now and then null.
    pub fn value(&self, random: &mut Random, nullable: bool) -> String {
        if nullable && random.below(8) == 0 {
            return "NULL".to_owned();
        }
        let value = self.values[random.below(self.values.len() as u64) as usize];
        let value = value.replace('#', &(random.below(9) + 1).to_string());
        let name = self.name.trim_end_matches(" STORAGE");
        if value == "NULL" { value } else { format!("({value})::{name}") }
    }
}
