//! A setup script from a profile alone, without a look at the source.
//!
//! Nobody knows what is missing there, so the script finds out when it runs: its queries write the statements, and
//! psql runs what they write (`\gexec`). It needs nothing but psql, can be run twice, and is read by whoever runs it like
//! any other script. It can't be applied or rehearsed by walpilot, which would look first.
//!
//! Names of the profile stand in the queries as constants; the server quotes them, and those that it finds, by `format`.

use super::condition;
use super::plan::create_role;
use super::record::{Notes, Record};
use super::step::{Form, Person, Plan, Step};
use super::wishes::{Password, Wishes};
use crate::catalog::ddl;
use crate::catalog::ident::quote_literal;
use crate::connection::printable;
use crate::profile::{Coverage, Method, Profile, Selection};

const ADMIN: &str = "superuser";
/// Where pgoutput sends no messages a heartbeat needs a table, as in [`super::plan()`].
const NEEDS_BEAT: &str = "current_setting('server_version_num')::int < 140000";
/// And that table is not there yet.
const BEAT_MISSING: &str = "current_setting('server_version_num')::int < 140000 \
                            AND to_regclass('walpilot_heartbeat.beat') IS NULL";

/// The script's steps; see the module.
#[must_use]
pub fn plan(profile: &Profile, wishes: &Wishes) -> Plan {
    let mut offline = Offline::new(profile, wishes);
    offline.role();
    offline.note();
    offline.rights();
    if profile.method == Method::Cdc {
        offline.identities();
        offline.publication();
        offline.heartbeat();
        offline.slot();
    }
    offline.plan
}

struct Offline<'a> {
    profile: &'a Profile,
    wishes: &'a Wishes,
    /// The role's name as a constant.
    user: String,
    /// A condition over `pg_class c` and `pg_namespace n` for the chosen tables.
    chosen: String,
    /// A condition over `pg_namespace n` for the schemas.
    schemas: String,
    plan: Plan,
}

impl<'a> Offline<'a> {
    fn new(profile: &'a Profile, wishes: &'a Wishes) -> Self {
        let list = |names: &[String]| names.iter().map(|name| quote_literal(name)).collect::<Vec<_>>().join(", ");
        let (chosen, schemas) = match &profile.selection {
            Selection::Schemas(names) => {
                let schemas = format!("n.nspname IN ({})", list(names));
                (
                    format!(
                        "{schemas} AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND NOT c.relispartition"
                    ),
                    schemas,
                )
            }
            Selection::Tables(tables) => {
                let pairs: Vec<String> = tables
                    .iter()
                    .map(|table| format!("({}, {})", quote_literal(&table.schema), quote_literal(&table.name)))
                    .collect();
                let mut names: Vec<String> = tables.iter().map(|table| table.schema.clone()).collect();
                names.sort_unstable();
                names.dedup();
                (
                    format!("(n.nspname, c.relname) IN ({}) AND c.relkind IN ('r', 'p')", pairs.join(", ")),
                    format!("n.nspname IN ({})", list(&names)),
                )
            }
        };
        let user = quote_literal(&profile.source.user);
        Self { profile, wishes, user, chosen, schemas, plan: Plan::default() }
    }

    fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    /// A query that writes statements.
    fn writes(&mut self, title: &str, why: &str, sql: String, who: &str) {
        self.step(Step::new(Person::Administrator, title, why, sql, who).form(Form::Writes));
    }

    fn role(&mut self) {
        let name = self.profile.source.user.clone();
        let (create, password) = create_role(&name, false, &self.wishes.password);
        let sql = format!("SELECT NOT {} AS walpilot_new_role", condition::role(&name));
        let title = "Remember whether the role is new";
        self.step(
            Step::new(Person::Administrator, title, "only what this script gives is taken back", sql, "anybody")
                .form(Form::Remembers),
        );
        self.step(create);
        if !password && matches!(self.wishes.password, Password::Later) {
            let hint = format!(
                "If the role is new, give it a password, in psql: \\password {}",
                crate::catalog::ident::quote_ident(&name)
            );
            self.plan.note(&hint, []);
        }
        let user = self.user.clone();
        self.writes(
            &format!("Let {name} log in"),
            "where it may not",
            format!("SELECT format('ALTER ROLE %I LOGIN', rolname) FROM pg_catalog.pg_roles WHERE rolname = {user} AND NOT rolcanlogin"),
            ADMIN,
        );
        if self.profile.method == Method::Cdc {
            self.writes(
                &format!("Let {name} replicate"),
                "where it may not; on Amazon RDS a membership stands in for REPLICATION",
                format!(
                    "SELECT CASE WHEN g.rolname IS NULL THEN format('ALTER ROLE %I REPLICATION', r.rolname)\n         \
                     ELSE format('GRANT %I TO %I', g.rolname, r.rolname) END\n  \
                     FROM pg_catalog.pg_roles r LEFT JOIN pg_catalog.pg_roles g ON g.rolname = 'rds_replication'\n  \
                     WHERE r.rolname = {user} AND NOT r.rolsuper AND NOT r.rolreplication\n    \
                     AND (g.oid IS NULL OR NOT pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER'))"
                ),
                "superuser; on Amazon RDS a member of rds_superuser",
            );
        }
        if self.profile.setup.monitor {
            self.writes(
                &format!("Let {name} see other sessions and all settings"),
                "it was wished; the grant lets it look, and change nothing",
                format!(
                    "SELECT format('GRANT pg_monitor TO %I', rolname) FROM pg_catalog.pg_roles\n  \
                     WHERE rolname = {user} AND NOT pg_catalog.pg_has_role(oid, 'pg_monitor', 'MEMBER')"
                ),
                ADMIN,
            );
        }
    }

    fn rights(&mut self) {
        let name = self.profile.source.user.clone();
        let (user, schemas, chosen) = (self.user.clone(), self.schemas.clone(), self.chosen.clone());
        self.writes(
            &format!("Let {name} connect"),
            "where it has no CONNECT",
            format!(
                "SELECT format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), rolname) FROM pg_catalog.pg_roles\n  \
                 WHERE rolname = {user} AND NOT pg_catalog.has_database_privilege(oid, current_database(), 'CONNECT')"
            ),
            "database owner",
        );
        self.writes(
            &format!("Open the schemas to {name}"),
            "where it has no USAGE",
            format!(
                "SELECT format('GRANT USAGE ON SCHEMA %I TO %I', n.nspname, r.rolname)\n  \
                 FROM pg_catalog.pg_namespace n, pg_catalog.pg_roles r\n  \
                 WHERE r.rolname = {user} AND {schemas} AND NOT pg_catalog.has_schema_privilege(r.oid, n.oid, 'USAGE')"
            ),
            "schema owner",
        );
        if self.profile.method == Method::Cdc && !self.profile.initial_copy {
            return;
        }
        let tables = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace, pg_catalog.pg_roles r";
        self.writes(
            &format!("Let {name} read the tables"),
            "where it has no SELECT",
            format!(
                "SELECT format('GRANT SELECT ON TABLE %I.%I TO %I', n.nspname, c.relname, r.rolname)\n  {tables}\n  \
                 WHERE r.rolname = {user} AND {chosen}\n    AND NOT pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT')\n  \
                 ORDER BY n.nspname, c.relname"
            ),
            "table owner",
        );
        if matches!(self.profile.selection, Selection::Schemas(_)) {
            self.writes(
                &format!("Let {name} read the tables to come"),
                "for each role that has created tables there",
                format!(
                    "SELECT DISTINCT format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA %I GRANT SELECT ON TABLES TO %I',\n         \
                     pg_catalog.pg_get_userbyid(c.relowner), n.nspname, r.rolname)\n  {tables}\n  \
                     WHERE r.rolname = {user} AND {chosen} AND NOT r.rolsuper AND NOT pg_catalog.pg_has_role(r.oid, c.relowner, 'USAGE')"
                ),
                "each of these roles, or superuser",
            );
        }
        let policy = quote_literal(ddl::READ_ALL_POLICY);
        self.writes(
            &format!("Let {name} see all rows"),
            "row-level security would hide rows from the copy",
            format!(
                "SELECT format('CREATE POLICY %I ON %I.%I FOR SELECT TO %I USING (true)', {policy}, n.nspname, c.relname, r.rolname)\n  {tables}\n  \
                 WHERE r.rolname = {user} AND {chosen} AND c.relrowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls\n    \
                 AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = {policy})"
            ),
            "table owner",
        );
    }

    /// The leaves of the chosen tables without a usable replica identity, with what mends them. FULL does not where
    /// PostgreSQL 18 refuses it with generated columns: the guard of the publication stops there.
    fn without_identity(&self) -> String {
        let chosen = &self.chosen;
        format!(
            "FROM (SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE {chosen}\n        \
             UNION SELECT t.relid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,\n          \
             pg_catalog.pg_partition_tree(c.oid) t WHERE {chosen} AND c.relkind = 'p') w\n  \
             JOIN pg_catalog.pg_class c ON c.oid = w.oid AND c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident <> 'f'\n  \
             JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace\n  \
             LEFT JOIN LATERAL (SELECT x.relname, i.indisprimary FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid\n    \
             WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL\n      \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attnotnull\n        \
             AND a.attnum = ANY ((string_to_array(i.indkey::text, ' ')::int2[])[1 : i.indnkeyatts]))\n    \
             ORDER BY i.indisprimary DESC, i.indnkeyatts, x.relname LIMIT 1) k ON true\n  \
             WHERE CASE WHEN c.relkind = 'r' THEN pg_catalog.pg_get_replica_identity_index(c.oid) END IS NULL\n    \
             AND (k.relname IS NOT NULL OR current_setting('server_version_num')::int < 180000 OR NOT EXISTS\n      \
             (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> ''))"
        )
    }

    fn identities(&mut self) {
        let sql = format!(
            "SELECT format('ALTER TABLE ONLY %I.%I REPLICA IDENTITY ', n.nspname, c.relname)\n         \
             || CASE WHEN k.indisprimary THEN 'DEFAULT' WHEN k.relname IS NOT NULL THEN format('USING INDEX %I', k.relname) ELSE 'FULL' END\n  \
             {}\n  ORDER BY n.nspname, c.relname",
            self.without_identity()
        );
        let step = Step::new(
            Person::Administrator,
            "Set the replica identity of tables that have no usable one",
            "published without one, a table refuses UPDATE and DELETE; a unique index serves before the whole row",
            sql,
            "table owner",
        );
        self.step(step.form(Form::Writes).lock("ACCESS EXCLUSIVE on each, for a moment"));
    }

    /// Notes for the way back what was there before: in the role's comment, unless it has one. The names of tables and
    /// of their owners are known only to the server.
    fn note(&mut self) {
        let cdc = self.profile.method == Method::Cdc;
        let record = Record {
            database: self.profile.source.database.clone(),
            publication: if cdc { self.profile.publication.clone() } else { String::new() },
            created: cdc,
            ..Record::default()
        };
        let frame = Notes::default().with(&record).comment().unwrap_or_default();
        // The lists go in before the record's closing braces.
        let Some(open) = frame.strip_suffix("}]") else { return };
        let (schemas, chosen) = (&self.schemas, &self.chosen);
        let tables = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
        let table = "json_build_object('schema', n.nspname, 'name', c.relname)";
        let read = match &self.profile.selection {
            Selection::Schemas(_) => {
                format!(
                    "',\"select_all\":' || (SELECT coalesce(json_agg(n.nspname), '[]')::text FROM pg_catalog.pg_namespace n WHERE {schemas})\n      \
                 || ',\"defaults\":' || (SELECT coalesce(json_agg(json_build_array(d.owner, d.nspname)), '[]')::text FROM (SELECT DISTINCT\n        \
                 pg_catalog.pg_get_userbyid(c.relowner) AS owner, n.nspname {tables} WHERE {chosen}) d)"
                )
            }
            Selection::Tables(_) => {
                format!("',\"select\":' || (SELECT coalesce(json_agg({table}), '[]')::text {tables} WHERE {chosen})")
            }
        };
        let identities = if cdc {
            format!(
                "',\"identities\":' || (SELECT coalesce(json_agg(json_build_object('table', {table},\n        \
                 'setting', c.relreplident, 'made', CASE WHEN k.indisprimary THEN 'd' WHEN k.relname IS NOT NULL THEN 'i' ELSE 'f' END)), '[]')::text\n  \
                 {})",
                self.without_identity()
            )
        } else {
            "''".to_owned()
        };
        let heartbeat = if cdc && self.profile.setup.heartbeat {
            format!(" || CASE WHEN {BEAT_MISSING} THEN ',\"heartbeat\":true' ELSE '' END")
        } else {
            String::new()
        };
        let sql = format!(
            "SELECT format('COMMENT ON ROLE %I IS %L', r.rolname, {}\n    \
             || CASE WHEN NOT :'walpilot_new_role' THEN '' ELSE ',\"role\":true,\"connect\":true'\n      \
             || ',\"usage\":' || (SELECT coalesce(json_agg(n.nspname), '[]')::text FROM pg_catalog.pg_namespace n WHERE {schemas})\n      \
             || {read}\n      \
             || ',\"policies\":' || (SELECT coalesce(json_agg({table}), '[]')::text {tables} WHERE {chosen} AND c.relrowsecurity) END\n    \
             || {identities}{heartbeat} || '}}]')\n  \
             FROM pg_catalog.pg_roles r WHERE r.rolname = {} AND pg_catalog.shobj_description(r.oid, 'pg_authid') IS NULL\n    \
             AND NOT {}",
            quote_literal(open),
            self.user,
            condition::publication(&record.publication)
        );
        let title = format!("Note on role {} what is changed", self.profile.source.user);
        self.writes(&title, "the way back reads it there", sql, ADMIN);
    }

    fn publication(&mut self) {
        let name = &self.profile.publication;
        let literal = quote_literal(name);
        let with = if self.profile.setup.leaf_names { "" } else { " WITH (publish_via_partition_root = true)" };
        let which = match self.profile.setup.cover {
            Coverage::All => "c.relpersistence = 'p' AND c.oid >= 16384".to_owned(),
            _ => self.chosen.clone(),
        };
        let guard = condition::demand_identities(
            &which,
            "Published without one, a table refuses UPDATE and DELETE: give it a primary key or a replica identity.",
        );
        let publishable = "pg_catalog.pg_relation_is_publishable(c.oid)";
        let from = "FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
        let create = match (self.profile.setup.cover, &self.profile.selection) {
            (Coverage::All, _) => {
                format!(
                    "SELECT {}",
                    quote_literal(&ddl::create_publication_for(name, ddl::ALL_TABLES, !self.profile.setup.leaf_names))
                )
            }
            (Coverage::Schemas, Selection::Schemas(schemas)) => {
                let what = ddl::tables_in_schemas(schemas);
                let sql = ddl::create_publication_for(name, &what, !self.profile.setup.leaf_names);
                format!("SELECT {}", quote_literal(&sql))
            }
            _ => format!(
                "SELECT format('CREATE PUBLICATION %I FOR TABLE ', {literal})\n         \
                 || string_agg(format('ONLY %I.%I', n.nspname, c.relname), ', ' ORDER BY n.nspname, c.relname) || '{with}'\n  \
                 {from}\n  WHERE {} AND {publishable} HAVING count(*) > 0",
                self.chosen
            ),
        };
        let lock = "SHARE UPDATE EXCLUSIVE on the tables; reads and writes go on";
        let who = "superuser, or the tables' owner with CREATE on the database";
        let title = format!("Create publication {}", printable(name));
        let step = Step::new(Person::Administrator, &title, "where it is missing; before the slot", create, who);
        let step = step.form(Form::Writes).lock(lock).unless(condition::publication(name)).guard(Some(guard));
        let add = format!(
            "SELECT format('ALTER PUBLICATION %I ADD TABLE ONLY %I.%I', p.pubname, n.nspname, c.relname)\n  \
             {from}, pg_catalog.pg_publication p\n  \
             WHERE p.pubname = {literal} AND NOT p.puballtables AND {} AND {publishable}\n    \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_tables t WHERE t.pubname = p.pubname\n      \
             AND t.schemaname = n.nspname AND t.tablename = c.relname)\n    \
             AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel m WHERE m.prpubid = p.oid AND m.prrelid = c.oid)",
            self.chosen
        );
        let title = format!("Complete publication {}", printable(name));
        self.step(step);
        let why = "where it lacks chosen tables; what it holds keeps its row filters and column lists";
        self.step(Step::new(Person::Administrator, &title, why, add, who).form(Form::Writes).lock(lock));
    }

    /// What the role needs to write a heartbeat, if one is wished for.
    fn heartbeat(&mut self) {
        if !self.profile.setup.heartbeat {
            return;
        }
        let (name, user) = (self.profile.source.user.clone(), self.user.clone());
        self.writes(
            &format!("Let {name} write a heartbeat into the log"),
            "where it may not; from PostgreSQL 14 on a message is enough",
            format!(
                "SELECT format('GRANT EXECUTE ON FUNCTION %s TO %I', p.oid::regprocedure, r.rolname)\n  \
                 FROM pg_catalog.pg_proc p, pg_catalog.pg_roles r\n  \
                 WHERE p.proname = 'pg_logical_emit_message' AND p.pronamespace = 'pg_catalog'::regnamespace\n    \
                 AND r.rolname = {user} AND NOT {NEEDS_BEAT}\n    \
                 AND NOT pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE')"
            ),
            ADMIN,
        );
        let makes = [ddl::create_heartbeat_schema(), ddl::create_heartbeat_table()].into_iter();
        let makes = makes.chain(ddl::grant_heartbeat(&name).map(|(_, sql)| sql));
        let makes: Vec<String> = makes.map(|sql| quote_literal(&sql)).collect();
        self.writes(
            "Create the table for the heartbeat",
            "where it is missing; pgoutput of PostgreSQL 13 sends no messages",
            format!("SELECT sql FROM unnest(ARRAY[{}]) sql\n  WHERE {BEAT_MISSING}", makes.join(",\n    ")),
            ADMIN,
        );
        let (publication, table) = (&self.profile.publication, ddl::heartbeat_table());
        self.writes(
            &format!("Add the heartbeat to publication {}", printable(publication)),
            "where the table is there and not published yet",
            format!(
                "SELECT {} FROM pg_catalog.pg_publication\n  \
                 WHERE pubname = {} AND NOT puballtables AND {NEEDS_BEAT} AND NOT {}",
                quote_literal(&ddl::add_table(publication, &table)),
                quote_literal(publication),
                condition::member(publication, &table)
            ),
            "publication owner who also owns the table",
        );
    }

    fn slot(&mut self) {
        let name = &self.profile.slot;
        let title = format!("Create slot {}", printable(name));
        let why =
            "where it is missing; waits, 10 minutes at the most, until every transaction that has written is over";
        let who = "the replicating role, or superuser";
        let (sql, form) = if self.profile.setup.failover {
            let sql = format!(
                "SELECT CASE WHEN current_setting('server_version_num')::int >= 170000 THEN {} ELSE {} END",
                quote_literal(&ddl::create_failover_slot(name)),
                quote_literal(&ddl::create_slot(name))
            );
            (sql, Form::Writes)
        } else {
            (ddl::create_slot(name), Form::Statement)
        };
        let step = Step::new(Person::Administrator, &title, why, sql, who).form(form);
        self.step(step.unless(condition::slot(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::plan;
    use crate::connection::{Secret, Settings};
    use crate::profile::{Method, Profile, Selection, TableName};
    use crate::setup::script::render;
    use crate::setup::wishes::{Password, Wishes};

    #[test]
    fn a_script_is_written_from_names_alone_and_none_breaks_out() {
        let hostile = "a'\n\"; DROP TABLE t; --\u{1b}[31m";
        let source = Settings { user: hostile.to_owned(), database: hostile.to_owned(), ..Settings::default() };
        for method in [Method::Cdc, Method::Xmin] {
            let profile = Profile {
                method,
                selection: Selection::Tables(vec![TableName::new(hostile, hostile)]),
                publication: hostile.to_owned(),
                ..Profile::new(source.clone())
            };
            let wishes = Wishes { password: Password::Verifier(Secret::new("S3NT1NEL")), ..Wishes::default() };
            let text = render(&plan(&profile, &wishes), &profile);
            assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text}");
            assert!(text.lines().all(|line| !line.trim_start().starts_with("DROP")), "{text}");
            assert!(!text.contains("S3NT1NEL") && text.contains("SCRAM-SHA-256$"), "{text}");
            assert_eq!(text.contains("REPLICA IDENTITY"), method == Method::Cdc, "{text}");
        }
    }
}
