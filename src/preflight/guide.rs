//! What each check goes by and how it is mended, in a line each: the texts of `walpilot explain` and `docs/checks.md`.

/// The words on one check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guide {
    /// When it passes.
    pub rule: &'static str,
    /// How it is mended.
    pub fix: &'static str,
}

/// The words on a check; a test sees that every check has some.
#[must_use]
pub fn guide(id: &str) -> Guide {
    let found = GUIDE.iter().find(|(known, _, _)| *known == id);
    found.map_or(Guide { rule: "", fix: "" }, |(_, rule, fix)| Guide { rule, fix })
}

/// Check, rule, fix.
#[rustfmt::skip]
const GUIDE: &[(&str, &str, &str)] = &[
    ("connect-dns-tcp", "The name resolves and the port answers within the time limit.", "Open the firewall, mend the name, or name the right port."),
    ("connect-auth", "The login succeeds, or an administrator who looks finds the role with LOGIN.", "Mend the password or pg_hba.conf; walpilot script creates a missing role."),
    ("connect-tls", "The connection is encrypted and the server's name verified, or does not leave the machine.", "ssl = on at the server, and sslmode=verify-full."),
    ("server-version", "server_version_num is 13 or later, and not newer than what was tested; its support has not ended, by the server's clock.", "Upgrade the server."),
    ("server-is-fork", "version() does not name a known fork.", "Test on a copy; where logical slots are missing, use the method xmin."),
    ("provider-detect", "Settings, roles, databases, schemas and functions that only one provider has, and the host's name; --provider says otherwise.", "None: it words the other fixes, and tells what surprises people on that platform."),
    ("in-recovery", "pg_is_in_recovery() is false; standbys from PostgreSQL 16 on are a warning.", "Connect to the primary."),
    ("standby-decoding-prereqs", "On a standby hot_standby_feedback is on and wal_level is logical.", "ALTER SYSTEM SET hot_standby_feedback = on at the standby."),
    ("standby-idle-primary", "On a standby whose slot is missing.", "SELECT pg_log_standby_snapshot() on the primary while the slot is made."),
    ("pooler-detected", "A replication connection opens, two statements share a session, the backend is the one that was announced at the login, and neither host nor port are a pooler's.", "Connect to the server's own host and port."),
    ("single-instance-endpoint", "With --deep: a snapshot exported on one connection can be imported on four others.", "Use one server's own address."),
    ("clock-skew", "The clocks differ by less than 5 s.", "Synchronise both machines."),
    ("server-encoding", "The database's encoding is UTF8.", "Test the copy; dump and reload into UTF8."),
    ("collation-version-mismatch", "From 15 on datcollversion is the library's version.", "REINDEX, then ALTER DATABASE … REFRESH COLLATION VERSION."),
    ("connections-headroom", "max_connections less the reserved and used ones, and the limits of role and database, leave 3.", "End idle sessions or raise the limit."),
    ("db-connect-privilege", "has_database_privilege(role, database, 'CONNECT').", "GRANT CONNECT ON DATABASE."),
    ("wal-level", "wal_level is logical.", "ALTER SYSTEM SET wal_level = 'logical' and a restart, or the switch in the provider's console."),
    ("pending-restart", "No setting has pending_restart.", "Restart when the users can bear it."),
    ("slots-free", "max_replication_slots less all slots leaves the own slot and one for the initial copy.", "Drop slots that nobody needs, or raise the setting and restart."),
    ("walsenders-free", "max_wal_senders less those in use leaves the run and the initial copy.", "Raise the setting and restart."),
    ("walsenders-below-slots", "max_wal_senders is at least max_replication_slots.", "Raise max_wal_senders at the next restart."),
    ("slot-wal-keep-size", "max_slot_wal_keep_size is limited, not 0, and 1 GB or more.", "Set a limit that the disk can bear; a reload is enough."),
    ("wal-rate-and-disk", "With --deep: at the measured rate the limit, and what --free-disk says, last for a day.", "Raise max_slot_wal_keep_size, or make room."),
    ("dead-slots-present", "No other slot is without a reader; one that holds nothing is a note.", "pg_drop_replication_slot, after its owner agreed."),
    ("idle-slot-timeout", "From 18 on idle_replication_slot_timeout is 0 or three days and more.", "Set it to 0 and reload."),
    ("wal-sender-timeout", "wal_sender_timeout is 0 or 30 s and more.", "ALTER ROLE … SET wal_sender_timeout."),
    ("logical-decoding-work-mem", "It is 64 MB or more, and no slot of this database spilled 1 GB.", "ALTER SYSTEM SET logical_decoding_work_mem and a reload."),
    ("tcp-keepalive", "tcp_keepalives_idle is shorter than a firewall's patience (350 s), or the server is local.", "ALTER SYSTEM SET tcp_keepalives_idle = 60 and a reload."),
    ("autovacuum-wraparound-risk", "No database is older than three times autovacuum_freeze_max_age or 10^9 transactions.", "End what holds it back, then VACUUM (FREEZE) in that database."),
    ("max-worker-processes", "On Azure it is 16 or more.", "The server parameter, and a restart."),
    ("role-can-replicate", "A replication connection opened, or rolreplication, rolsuper or membership of rds_replication.", "ALTER ROLE … REPLICATION, or GRANT rds_replication."),
    ("replication-hba", "A replication connection is not refused by pg_hba.conf.", "A pg_hba.conf line for the database (not the keyword replication), and a reload."),
    ("role-is-superuser", "rolsuper is false.", "Replicate as a role of its own."),
    ("role-expiry", "rolvaliduntil is more than 90 days away.", "ALTER ROLE … VALID UNTIL 'infinity'."),
    ("role-inherit", "Every membership is inherited (rolinherit, from 16 on inherit_option).", "ALTER ROLE … INHERIT, or GRANT … WITH INHERIT TRUE."),
    ("session-timeouts", "No time limit comes from the server, the database or the role.", "ALTER ROLE … SET … = 0."),
    ("default-read-only", "default_transaction_read_only is off for the role.", "ALTER ROLE … SET default_transaction_read_only = off."),
    ("role-settings", "pg_db_role_setting holds nothing for the role or the database.", "ALTER ROLE … RESET what was not meant for replication."),
    ("role-can-monitor", "The role has the rights of pg_read_all_stats.", "GRANT pg_monitor."),
    ("schema-exists", "pg_namespace has the name, exactly.", "Mend the name; near names are offered."),
    ("table-exists", "pg_class has the name, exactly; a chosen schema has tables.", "Mend the name; near names are offered."),
    ("schema-usage", "has_schema_privilege(role, schema, 'USAGE').", "GRANT USAGE ON SCHEMA."),
    ("table-select", "has_table_privilege(role, table, 'SELECT'); a note without an initial copy.", "GRANT SELECT."),
    ("column-select", "Where only some columns were granted, has_column_privilege for each.", "GRANT SELECT on the table."),
    ("default-privileges", "Each role that owns tables in a chosen schema has default privileges that reach the role.", "ALTER DEFAULT PRIVILEGES FOR ROLE … GRANT SELECT."),
    ("rls-active", "Row-level security does not apply, or a permissive policy of constant TRUE opens it.", "CREATE POLICY … USING (true), or BYPASSRLS."),
    ("relation-publishable", "pg_relation_is_publishable, the server's own verdict; views and foreign tables of a chosen schema are named too.", "ALTER TABLE … SET LOGGED; choose the tables behind a view."),
    ("extension-owned-table", "pg_depend names no extension as its owner.", "Leave it out, or follow the extension's documentation."),
    ("inheritance-parent", "No table that is left out inherits from it, partitions aside.", "Choose the heirs too."),
    ("unsupported-types", "Every column's type, or its elements', is a base type in pg_catalog.", "Create the types at the destination."),
    ("table-size", "The chosen tables hold less than 500 GB, as far as relpages tell.", "Plan for the log that the copy's time makes."),
    ("never-analyzed", "reltuples is known.", "ANALYZE."),
    ("name-collisions", "No two chosen tables, nor two columns of one, are equal in lower case.", "Rename one."),
    ("not-replicated-objects", "There are no sequences and no large objects.", "Copy them by hand before the destination takes over."),
    ("event-triggers", "pg_event_trigger has no enabled one.", "Read them before the script is run."),
    ("identity-usable", "The index that RelationGetIndexList would take exists, or FULL; a note while no publication at all sends updates or deletes.", "A usable primary key or unique index, else FULL."),
    ("identity-leaf-partitions", "The same for each partition that holds rows.", "ALTER TABLE ONLY each partition."),
    ("identity-full-cost", "No table with a usable key uses FULL, and none of 1 GB or more.", "Back to the key."),
    ("identity-full-generated-18", "No table with FULL has generated columns that are not published.", "A key as the identity, or publish_generated_columns = stored; virtual ones are never sent."),
    ("publish-affects-others", "Every table that the publication covers beside the chosen ones has an identity.", "As identity-usable, or take them out."),
    ("json-without-equality-keyless", "No table that the whole row identifies has columns of json, xml or point.", "A primary key."),
    ("toast-unchanged", "No table without FULL has values stored out of line.", "A reader that keeps unchanged values."),
    ("key-update-and-lob-key", "No primary key has more than three columns, or arrays, bytea or jsonb.", "A narrower unique index as the identity."),
    ("publication-exists", "pg_publication has the name.", "walpilot script creates it."),
    ("publication-not-empty", "It lists a table, or covers schemas or all tables.", "ALTER PUBLICATION … ADD TABLE."),
    ("publication-covers-tables", "Each chosen table, or all partitions below it, is published.", "ALTER PUBLICATION … ADD TABLE."),
    ("publication-operations", "Insert, update, delete and truncate are published.", "ALTER PUBLICATION … SET (publish = …)."),
    ("publication-via-root", "publish_via_partition_root is on where partitioned tables are chosen.", "ALTER PUBLICATION … SET (publish_via_partition_root = true)."),
    ("publication-after-slot", "The publication is older than the slot's catalog_xmin; if not, the first changes of a slot that nobody reads are decoded without being consumed.", "Drop the slot and create it again, then copy."),
    ("can-create-publication", "CREATE on the database and ownership of every table; with --deep a CREATE PUBLICATION that is rolled back.", "Let an administrator run the script."),
    ("publication-surplus-tables", "Nothing is published that was not chosen.", "ALTER PUBLICATION … DROP TABLE, or choose it."),
    ("publication-ancestor-overlap", "No partition is listed beside a partitioned table above it.", "ALTER PUBLICATION … DROP TABLE the partition."),
    ("publication-row-filter", "From 15 on: filters read only columns of the replica identity (else UPDATE fails), and there are none.", "Identity FULL, or no filter."),
    ("publication-column-list", "From 15 on: lists hold the replica identity, never with FULL (else UPDATE fails), and there are none.", "Publish all columns."),
    ("publication-generated-columns", "No generated column is left out.", "From 18 on publish_generated_columns = stored; else generate at the destination."),
    ("publication-owner-drift", "A publication of schemas or all tables belongs to a superuser.", "ALTER PUBLICATION … OWNER TO."),
    ("future-tables", "A publication for whole schemas takes in what comes later.", "From 15 on ADD TABLES IN SCHEMA, by a superuser."),
    ("existing-subscription-loop", "pg_subscription has none for this database.", "See that there is no circle."),
    ("heartbeat-possible", "EXECUTE on pg_logical_emit_message, on a primary of 14 or later.", "walpilot script --heartbeat: GRANT EXECUTE; on 13 a small table."),
    ("slot-name-valid", "1 to 63 of a-z, 0-9 and _.", "Another name."),
    ("slot-exists", "pg_replication_slots has the name.", "walpilot script creates it."),
    ("slot-database", "It belongs to this database.", "Another name."),
    ("slot-type", "It is logical.", "Another name."),
    ("slot-plugin", "Its plugin is pgoutput.", "Another name, or drop it."),
    ("slot-active-elsewhere", "Nobody but walpilot run reads it.", "Stop the other reader."),
    ("slot-lost", "wal_status is neither lost nor unreserved, and it was not invalidated.", "Drop it, create it again, copy anew."),
    ("slot-synced-copy", "On a standby: synced is false.", "Connect to the primary."),
    ("slot-ahead-of-state", "With --to: confirmed_flush_lsn is not past the destination's checkpoint, and the cluster is the same.", "Copy everything anew."),
    ("slot-half-created", "No active logical slot is without confirmed_flush_lsn.", "End the open transactions, or cancel the creation."),
    ("slot-retained-now", "It holds less than 10 GB and less than half of the limit.", "Let its reader catch up."),
    ("slot-without-snapshot", "Where an initial copy is wanted the slot does not exist yet.", "None for walpilot run; other tools create the slot."),
    ("output-plugin-available", "With --deep: a temporary slot of pgoutput could be made.", "Install the server's packages again."),
    ("slot-create-probe", "With --deep: a temporary slot was made within 5 s.", "What the server said, or the check that owns the cause."),
    ("duplicate-consumer", "No other slot of walpilot's name is read in this database.", "Stop it, then drop its slot."),
    ("failover-slot-readiness", "Where standbys have slots: failover is true, and synchronized_standby_slots names slots that exist.", "ALTER_REPLICATION_SLOT … (FAILOVER true)."),
    ("ha-manager-drops-slots", "No session, slot or schema of Patroni, CloudNativePG or repmgr.", "Name the slot to it."),
    ("upgrade-ahead", "The server is 17 or later.", "Read everything before an upgrade."),
    ("long-writers", "No transaction that has written is open for 10 s, or at both of two looks; from 10 minutes on it blocks.", "Wait, or let its owner end it."),
    ("prepared-transactions", "pg_prepared_xacts is empty but for passing ones, gone at a second look.", "COMMIT PREPARED or ROLLBACK PREPARED."),
    ("two-phase-in-use", "max_prepared_transactions is 0.", "End prepared transactions soon."),
    ("long-readers", "No session holds a snapshot for 10 minutes.", "Let its owner end it."),
    ("ddl-lock-conflict", "Nobody holds a lock on a table that the setup script has to change.", "Run the script later."),
    ("xmin-relation-kind", "Every chosen relation is a table stored as a heap.", "Choose the tables behind it."),
    ("xmin-deletes", "Always a note; a warning without a key.", "A primary key, or the method cdc."),
    ("xmin-full-scan", "The chosen tables hold less than 500 GB.", "The method cdc."),
    ("xmin-epoch", "The 64-bit transaction id is below 2^32.", "An unfiltered first run."),
    ("xmin-rate", "With --deep: fewer than 2^31 transactions in a week.", "More frequent runs."),
    ("xmin-long-writers", "xmax and xmin of the current snapshot are less than a million apart.", "End the oldest transaction."),
    ("xmin-rewrite-events", "Always a note.", "Expect a full read after such events."),
    ("xmin-standby-conflict", "On a standby hot_standby_feedback is on, or recovery waits for readers.", "hot_standby_feedback = on."),
    ("target-is-source", "With --to: another system identifier or another database.", "Another destination."),
    ("destination-basics", "With --to: it is reached, is a primary of 13 or later, may be written, and is empty.", "What the summary names."),
    ("subscriber-capacity", "With --to: max_worker_processes is above max_logical_replication_workers.", "Raise it and restart."),
];

#[cfg(test)]
mod tests {
    use super::{GUIDE, guide};
    use crate::preflight::CATALOGUE;

    #[test]
    fn every_check_has_words_and_no_words_are_left_over() {
        for check in CATALOGUE {
            let words = guide(check.id);
            assert!(words.rule.ends_with('.') && words.fix.ends_with('.'), "{}", check.id);
        }
        assert_eq!(GUIDE.len(), CATALOGUE.len());
    }
}
