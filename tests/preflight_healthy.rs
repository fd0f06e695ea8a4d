//! No false alarm: databases that are as they should be, each set up by walpilot's own script for a role that may do
//! nothing else, raise nothing; and the application's writes go on.

mod support;

use support::preflight::{look, look_as, look_deep, raised};
use support::{prepare, psql, psql_script, source_builder, started};
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
}

const fn shape(what: &'static str, makes: &'static str) -> Shape {
    Shape { what, makes, schemas: &["public"], first: 13, warns: &[] }
}

#[rustfmt::skip]
const SHAPES: &[Shape] = &[
    // Its history has no key, which matters to the xmin method.
    Shape { warns: &["xmin-deletes"], ..shape("pgbench", "CREATE TABLE pgbench_accounts(aid int PRIMARY KEY, bid int, abalance int, filler char(84));
        CREATE TABLE pgbench_branches(bid int PRIMARY KEY, bbalance int, filler char(88)); CREATE TABLE pgbench_tellers(tid int PRIMARY KEY, bid int);
        CREATE TABLE pgbench_history(tid int, bid int, aid int, delta int, mtime timestamp, filler char(22))") },
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
    Shape { warns: &["inheritance-parent"], ..shape("inherited tables", "CREATE TABLE cities(id int PRIMARY KEY); CREATE TABLE capitals(PRIMARY KEY (id)) INHERITS (cities)") },
    shape("row-level security", "CREATE TABLE tenants(id int PRIMARY KEY); ALTER TABLE tenants ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON tenants USING (id = 1)"),
    shape("foreign keys, checks, triggers, comments", "CREATE TABLE a(id int PRIMARY KEY CHECK (id > 0)); CREATE TABLE b(id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER t BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION f(); COMMENT ON TABLE a IS 'x'"),
    shape("types of all kinds", "CREATE TABLE kinds(id uuid PRIMARY KEY, a int[], j jsonb, r int4range, x xml, p point, b bytea, t tsvector, n numeric(20, 4), i interval, m money, bits bit(3))"),
    shape("a composite key with an included column", "CREATE TABLE c(a int, b int, c text, PRIMARY KEY (a, b) INCLUDE (c))"),
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
