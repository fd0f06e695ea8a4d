//! `walpilot check` on a database of 10,000 tables, against one psql query that reads the same catalogs.
//!
//! Both are measured as a user has them, from the start of the program to its end. Promised: at most three times.

mod common;

use std::process::Command;

use common::support::{self, source, value};
use walpilot::connection::Secret;

const TABLES: usize = 10_000;
const PROMISED: f64 = 3.0;

/// What the preflight wants to know about tables, as a DBA would ask for it: one row for each table.
const QUERY: &str = "SELECT n.nspname, c.relname, c.relkind, c.relpersistence, pg_get_userbyid(c.relowner) AS owner,
  c.relreplident, c.reltuples, c.relpages, c.relrowsecurity, c.relispartition,
  has_schema_privilege(n.oid, 'USAGE') AS usage, has_table_privilege(c.oid, 'SELECT') AS readable,
  pg_relation_is_publishable(c.oid) AS publishable, row_security_active(c.oid) AS rls,
  i.indexes, i.identity, i.pages, a.columns, a.generated, a.types, t.relpages AS toast, r.published, p.policies, h.heirs
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
LEFT JOIN (SELECT i.indrelid, count(*) AS indexes, sum(x.relpages) AS pages,
    max(x.relname) FILTER (WHERE i.indisprimary AND i.indimmediate AND i.indisvalid) AS identity
  FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid GROUP BY 1) i ON i.indrelid = c.oid
LEFT JOIN (SELECT a.attrelid, string_agg(a.attname, ',') AS columns, count(*) FILTER (WHERE a.attgenerated <> '') AS generated,
    string_agg(DISTINCT format_type(a.atttypid, a.atttypmod), ',') AS types
  FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY 1) a
  ON a.attrelid = c.oid
LEFT JOIN (SELECT prrelid, count(*) AS published FROM pg_publication_rel GROUP BY 1) r ON r.prrelid = c.oid
LEFT JOIN (SELECT polrelid, count(*) AS policies FROM pg_policy GROUP BY 1) p ON p.polrelid = c.oid
LEFT JOIN (SELECT inhparent, count(*) AS heirs FROM pg_inherits GROUP BY 1) h ON h.inhparent = c.oid
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1, 2";

fn main() {
    let runtime = common::runtime();
    let cluster = runtime.block_on(source());
    let admin = cluster.settings();
    for chunk in 0..10 {
        let (from, to) = (chunk * TABLES / 10, (chunk + 1) * TABLES / 10 - 1);
        support::prepare(
            &admin,
            &format!(
                "DO $$ BEGIN FOR i IN {from}..{to} LOOP EXECUTE format('CREATE TABLE public.t%s(id bigint PRIMARY KEY,
                 customer text NOT NULL, state text, amount numeric(12,2), at timestamptz, doc jsonb)', i); END LOOP; END $$"
            ),
        );
    }
    support::prepare(
        &admin,
        "CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO repl;
         CREATE PUBLICATION walpilot_publication FOR ALL TABLES;
         SELECT pg_create_logical_replication_slot('walpilot_slot', 'pgoutput'); VACUUM ANALYZE",
    );
    let repl = admin.as_user("repl", Some(Secret::new("repl")));
    let version = runtime.block_on(value(&admin, "SHOW server_version"));
    let uri = support::program::uri(&repl);
    let check = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_walpilot"));
        command.args(["check", &uri, "--schemas", "public", "--format", "json"]).env("PGPASSWORD", "repl");
        // 1 means that something blocks, and is an answer too.
        common::run(&mut command, &[0, 1]);
    };
    let psql = || {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-c", QUERY, &uri]).env("PGPASSWORD", "repl");
        common::run(&mut command, &[0]);
    };
    common::duel(check, psql).report(
        &format!("Preflight of {TABLES} tables, PostgreSQL {version}"),
        "walpilot check",
        "psql, the same catalogs",
        PROMISED,
    );
}
