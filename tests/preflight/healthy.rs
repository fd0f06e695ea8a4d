//! No false alarm: databases that are as they should be, each set up by walpilot's own script for a role that may do
//! nothing else, raise nothing; and the application's writes go on.

use crate::support::preflight::{look, look_as, look_deep, raised};
use crate::support::{self, prepare, psql, psql_script, source_builder, started};
use walpilot::connection::{Secret, Settings};
use walpilot::preflight::Verdict;
use walpilot::profile::{Method, Profile, Selection};
use walpilot::setup::{Password, Wishes, plan, script};

/// A database in order.
struct Shape {
    what: &'static str,
    /// Run as the administrator.
    makes: &'static str,
    schemas: &'static [&'static str],
    first: u32,
    /// Checks that warn, rightly.
    warns: &'static [&'static str],
    /// Attributes of the role, where it exists before the script; otherwise that makes it.
    role: Option<&'static str>,
}

const fn shape(what: &'static str, makes: &'static str) -> Shape {
    Shape { what, makes, schemas: &["public"], first: 13, warns: &[], role: None }
}

impl Shape {
    /// These checks warn, rightly.
    const fn but(self, ids: &'static [&'static str]) -> Self {
        Self { warns: ids, ..self }
    }
}

#[rustfmt::skip]
const SHAPES: &[Shape] = &[
    // Its history has no key, which matters to the xmin method.
    shape("pgbench", "CREATE TABLE pgbench_accounts(aid int PRIMARY KEY, bid int, abalance int, filler char(84));
        CREATE TABLE pgbench_branches(bid int PRIMARY KEY, bbalance int, filler char(88)); CREATE TABLE pgbench_tellers(tid int PRIMARY KEY, bid int);
        CREATE TABLE pgbench_history(tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))").but(&["xmin-deletes"]),
    shape("partitions of partitions", "CREATE TABLE events(id int, at int, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
        CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10); CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (at);
        CREATE TABLE events_2a PARTITION OF events_2 FOR VALUES FROM (10) TO (15); CREATE TABLE events_rest PARTITION OF events DEFAULT"),
    Shape { schemas: &["s0", "s1", "s2", "s3", "s4"], ..shape("many schemas of two owners", "DO $$ BEGIN FOR i IN 0..4 LOOP EXECUTE format('CREATE SCHEMA s%s', i);
        FOR j IN 1..5 LOOP EXECUTE format('CREATE TABLE s%s.t%s(id int PRIMARY KEY)', i, j); END LOOP; EXECUTE format('ALTER TABLE s%s.t1 OWNER TO etl', i); END LOOP; END $$") },
    shape("generated and identity columns", "CREATE TABLE invoices(id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2) STORED, at timestamptz DEFAULT now())"),
    Shape { first: 18, ..shape("virtual generated columns", "CREATE TABLE invoices(id int PRIMARY KEY, net int, gross int GENERATED ALWAYS AS (net * 2))") },
    shape("a unique index as identity", "CREATE TABLE codes(code text NOT NULL UNIQUE, v int); ALTER TABLE codes REPLICA IDENTITY USING INDEX codes_code_key"),
    Shape { schemas: &["Sales; DROP", "päy"], ..shape("quoted names", "CREATE SCHEMA \"Sales; DROP\"; CREATE SCHEMA \"päy\"; CREATE TABLE \"Sales; DROP\".\"Order's \"\"table\"\"\"(\"Id\" int PRIMARY KEY, \"select\" text);
        CREATE TABLE \"päy\".\"🧾\"(id int PRIMARY KEY)") },
    shape("an existing publication of all tables", "CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY); CREATE PUBLICATION walpilot_publication FOR ALL TABLES"),
    shape("views beside tables", "CREATE TABLE a(id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM a; CREATE MATERIALIZED VIEW m AS SELECT * FROM a"),
    shape("inherited tables", "CREATE TABLE cities(id int PRIMARY KEY); CREATE TABLE capitals(PRIMARY KEY (id)) INHERITS (cities)"),
    shape("row-level security", "CREATE TABLE tenants(id int PRIMARY KEY); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tenants USING (id = 1)"),
    shape("foreign keys, checks, triggers, comments", "CREATE TABLE a(id int PRIMARY KEY CHECK (id > 0)); CREATE TABLE b(id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f(); COMMENT ON TABLE a IS 'x'"),
    shape("types of all kinds", "CREATE TABLE kinds(id uuid PRIMARY KEY, a int[], j jsonb, r int4range, x xml, p point, b bytea, t tsvector, n numeric(20, 4), i interval, m money, bits bit(3))"),
    shape("a composite key with an included column", "CREATE TABLE c(a int, b int, c text, PRIMARY KEY (a, b) INCLUDE (c))"),
    shape("extensions and their types", "CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION pg_trgm; CREATE EXTENSION \"uuid-ossp\"; CREATE EXTENSION pgcrypto;
        CREATE EXTENSION pg_stat_statements; CREATE EXTENSION btree_gist; CREATE EXTENSION cube; CREATE EXTENSION earthdistance; CREATE EXTENSION tablefunc;
        CREATE TABLE people(id uuid PRIMARY KEY DEFAULT uuid_generate_v4(), tags hstore, mail citext UNIQUE, path ltree, place cube, during tstzrange, EXCLUDE USING gist (path WITH =, during WITH &&));
        CREATE INDEX ON people USING gin (mail gin_trgm_ops)"),
    Shape { role: Some("BYPASSRLS"), ..shape("a role that row-level security does not bind", "CREATE TABLE tenants(id int PRIMARY KEY); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
        CREATE POLICY own ON tenants USING (id = 1); CREATE POLICY never ON tenants AS RESTRICTIVE USING (false); CREATE TABLE closed(id int PRIMARY KEY); ALTER TABLE closed ENABLE ROW LEVEL SECURITY") },
    shape("a restrictive policy", "CREATE TABLE tenants(id int PRIMARY KEY); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY never ON tenants AS RESTRICTIVE USING (false)"),
    Shape { role: Some("REPLICATION IN ROLE pg_read_all_stats VALID UNTIL '2100-01-01'"), ..shape("a role that is there", "CREATE TABLE a(id int PRIMARY KEY)") },
    shape("partitions by hash, by list and in another schema", "CREATE SCHEMA parts; CREATE TABLE h(id int PRIMARY KEY) PARTITION BY HASH (id); CREATE TABLE parts.h0 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE parts.h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1); ALTER TABLE parts.h1 OWNER TO etl; CREATE TABLE l(k text, id int, PRIMARY KEY (k, id)) PARTITION BY LIST (k);
        CREATE TABLE parts.l_a PARTITION OF l FOR VALUES IN ('a'); CREATE TABLE parts.l_rest PARTITION OF l DEFAULT; CREATE TABLE empty(id int PRIMARY KEY) PARTITION BY RANGE (id)"),
    shape("partitions without a key", "CREATE TABLE p(id int NOT NULL, v text) PARTITION BY LIST (id); CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p_rest PARTITION OF p DEFAULT; CREATE UNIQUE INDEX ON p_1 (id)").but(&["xmin-deletes"]),
    shape("names of 63 bytes, of emoji, of capitals and of keywords", "CREATE TABLE \"🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘🐘abc\"(\"🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾🧾xyz\" int PRIMARY KEY, \"Größe\" text);
        CREATE TABLE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk(id int PRIMARY KEY); CREATE TABLE \"user\"(\"order\" int PRIMARY KEY, \"Group\" text); CREATE TABLE \" blank \"(\" a \" int PRIMARY KEY)"),
    shape("serial, identity, domains, enums, composites", "CREATE DOMAIN email AS text CHECK (VALUE ~ '@'); CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TYPE point3 AS (x int, y int, z int);
        CREATE TABLE a(id serial PRIMARY KEY, mail email, m mood, p point3, ms mood[]); CREATE TABLE b(id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); ALTER TABLE a ADD late text DEFAULT 'x'; ALTER TABLE a DROP COLUMN mail"),
    shape("indexes of all kinds beside the key", "CREATE TABLE a(id int PRIMARY KEY, b int UNIQUE DEFERRABLE, c text, d int NOT NULL); CREATE UNIQUE INDEX ON a (lower(c)); CREATE UNIQUE INDEX ON a (d) WHERE d > 0; CREATE INDEX ON a USING brin (d); CREATE INDEX ON a USING hash (c)"),
    Shape { first: 18, ..shape("a key without overlaps", "CREATE EXTENSION btree_gist; CREATE TABLE bookings(room int, during tstzrange, PRIMARY KEY (room, during WITHOUT OVERLAPS))") },
    Shape { first: 15, ..shape("a publication of the schema, and another tool's beside it", "CREATE SCHEMA side; CREATE TABLE side.log(line text); CREATE TABLE a(id int PRIMARY KEY, v text); CREATE PUBLICATION walpilot_publication FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true);
        CREATE PUBLICATION audit FOR TABLE side.log WITH (publish = 'insert'); CREATE PUBLICATION narrow FOR TABLE a (id) WHERE (id > 5)") },
    shape("foreign tables, large objects and rules elsewhere", "CREATE SCHEMA far; CREATE EXTENSION file_fdw; CREATE SERVER s FOREIGN DATA WRAPPER file_fdw; CREATE FOREIGN TABLE far.remote(id int) SERVER s OPTIONS (filename '/dev/null'); SELECT lo_create(0);
        CREATE TABLE a(id int PRIMARY KEY); CREATE TABLE b(id int PRIMARY KEY); CREATE RULE r AS ON INSERT TO a DO ALSO NOTIFY x; CLUSTER a USING a_pkey"),
    shape("temporary and unlogged work elsewhere", "CREATE TABLE a(id int PRIMARY KEY); CREATE SCHEMA scratch; CREATE UNLOGGED TABLE scratch.work(v int)"),
];

#[tokio::test]
async fn what_is_in_order_raises_nothing_after_the_script() {
    let cluster =
        started(source_builder().setting("max_slot_wal_keep_size", "50GB").setting("max_replication_slots", "40"))
            .await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE ROLE etl");
    // Another replication goes on meanwhile.
    let older = support::session(&admin).await;
    older
        .client
        .batch_execute("SELECT pg_create_logical_replication_slot('walpilot_temporary', 'pgoutput', true)")
        .await
        .expect("a slot");
    let mut wrong = Vec::new();
    for (number, shape) in SHAPES.iter().enumerate().filter(|(_, shape)| cluster.major() >= shape.first) {
        for method in [Method::Cdc, Method::Xmin] {
            let name = format!("{}_{number}", method.name());
            prepare(&admin, &format!("CREATE DATABASE {name}"));
            let here = Settings { database: name.clone(), ..admin.clone() };
            prepare(&here, shape.makes);
            prepare(&here, "ANALYZE");
            let role = format!("repl_{name}");
            if let Some(attributes) = shape.role {
                prepare(&here, &format!("CREATE ROLE {role} LOGIN PASSWORD 'secret' {attributes}"));
            }
            let selection = Selection::Schemas(shape.schemas.iter().map(|schema| (*schema).to_owned()).collect());
            let source = here.as_user(&role, Some(Secret::new("secret")));
            let profile = Profile { selection, method, slot: format!("slot_{name}"), ..Profile::new(source) };
            let facts = support::preflight::facts(&here, &profile).await;
            let plan = plan(
                &facts,
                &profile,
                &Wishes { password: Password::Verifier(Secret::new("secret")), ..Wishes::default() },
            );
            let (code, stderr) = psql_script(&here, &script::render(&plan, &profile));
            assert_eq!((code, plan.by_hand.len()), (0, 0), "{}: {stderr} {:?}", shape.what, plan.by_hand);
            let report = look(&profile).await;
            let mut reports = vec![("the role", report.clone()), ("an administrator", look_as(&here, &profile).await)];
            if number < 2 && method == Method::Cdc {
                reports.push(("the role, deep", look_deep(&profile).await));
            }
            for (whom, report) in reports {
                let found: Vec<String> = raised(&report)
                    .into_iter()
                    .filter(|line| shape.warns.iter().all(|id| !line.starts_with(&format!("{id}:"))))
                    .collect();
                // The history of pgbench has no key, which the method xmin needs.
                let keyless = method == Method::Xmin && shape.warns.contains(&"xmin-deletes");
                if !found.is_empty() || (report.verdict == Verdict::Blocked) != keyless {
                    wrong.push(format!("{} ({}, {whom}): {found:#?}", shape.what, method.name()));
                }
            }
            if method == Method::Cdc {
                prepare(&here, &format!("SELECT pg_drop_replication_slot('{}')", profile.slot));
            }
            // The application's own UPDATE and DELETE work: the server decides that before it looks for rows.
            let tables = psql(
                &here,
                "SELECT c.oid::regclass FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind IN ('r', 'p') AND nspname !~ '^pg_' AND nspname <> 'information_schema'",
            );
            for table in tables.lines() {
                prepare(&here, &format!("DELETE FROM {table} WHERE false"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
