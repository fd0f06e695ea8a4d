//! Types, names and values of every kind, for whoever carries rows from one server to another.

/// Types of the user's own and tables with quoted names, generated and identity columns, large values, a key that is only
/// a unique index, and one column of each type.
pub const TABLES: &str = r#"
CREATE SCHEMA "Sales"; CREATE TYPE "Sales"."Mood" AS ENUM ('ok', 'it''s', 'a,b');
CREATE DOMAIN positive AS int CHECK (value > 0); CREATE TYPE pair AS (a int, b text);
CREATE TABLE plain (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text, n int,
    made int GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO plain (a, n) SELECT 'row ' || i, i FROM generate_series(1, 500) i;
CREATE TABLE "Sales"."Odd ""T." ("Key" text PRIMARY KEY, "the value" "Sales"."Mood", tail "Sales"."Mood"[]);
INSERT INTO "Sales"."Odd ""T." VALUES (E'tab\t nl\n bs\\ cr\r', 'it''s', '{ok,"a,b",NULL}'), ('', NULL, '{}');
CREATE TABLE big (id int PRIMARY KEY, x text, y int); ALTER TABLE big ALTER x SET STORAGE EXTERNAL;
INSERT INTO big SELECT i, repeat(chr(65 + i), 20000), 0 FROM generate_series(1, 5) i;
CREATE TABLE byindex (a int NOT NULL, b text, c int); CREATE UNIQUE INDEX byindex_a ON byindex (a);
INSERT INTO byindex VALUES (1, 'a', 1), (2, 'b', 2);
CREATE TABLE zoo (id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, num numeric(20,5), t text, v varchar(9),
    c char(5), nm name, oc "char", by bytea, d date, tm time, tz timetz, ts timestamp, tstz timestamptz(3), iv interval, u uuid,
    j json, jb jsonb, x xml, ia int[], ta text[][], r int4range, mr tstzrange, pt point, bx box, pl polygon, inet inet,
    mac macaddr, bi bit(3), vb varbit, mo money, tv tsvector, dom positive, comp pair, comps pair[], ln pg_lsn);
"#;

/// Rows of `zoo`, with what is on the edge of each type.
pub const ROWS: &str = r#"
INSERT INTO zoo VALUES (1, true, -32768, 9223372036854775807, 'NaN', '-Infinity', 123456789012345.54321, E'ü\t\\N "q"', 'varchar',
    'ab', 'name', 'x', '\x00ff5c', 'infinity', '23:59:59.999999', '12:00:00+05:30', '-infinity', '2000-01-01 00:00:00.123+14',
    '1 year -2 mons 3 days 04:05:06.789', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"z": "\u0000", "a":  1}', '{"b": [1, null]}',
    '<a>x</a>', '{1,NULL,3}', '{{"a b","c\"d"},{"\\",NULL}}', '[1,5)', '[2001-01-01 00:00+00,)', '(0.1,1e-300)', '((1,1),(0,0))',
    '((0,0),(1,0),(1,1))', '10.0.0.0/8', '08:00:2b:01:02:03', '101', '10101', '12.34', 'a:1 b:2', 5, '(1,"x,y")',
    '{"(1,\"a \"\"b\"\"\")",NULL}', '16/B374D848');
INSERT INTO zoo (id) VALUES (2);
INSERT INTO zoo (id, f8, d, c) SELECT i, random() / 3, 'epoch', 'a  ' FROM generate_series(10, 40) i;
"#;

/// Defaults of a database that must not change values on the way.
pub const ODD_DEFAULTS: &str = "ALTER DATABASE postgres SET DateStyle = 'SQL, DMY'; \
    ALTER DATABASE postgres SET IntervalStyle = iso_8601; ALTER DATABASE postgres SET extra_float_digits = -3; \
    ALTER DATABASE postgres SET bytea_output = escape";
