-- One snapshot, one round trip. Whole rows travel as JSON, so that every version brings the columns it has.
-- Nothing here waits for a lock of another session: only shared memory and relations that nobody locks.
-- pg_stat_database is left out: before 15 it makes this backend read the whole statistics file.
WITH l AS MATERIALIZED (SELECT clock_timestamp() AS ts, pg_is_in_recovery() AS rec, pg_current_snapshot() AS snapshot),
 s AS MATERIALIZED (SELECT s.*, age(s.xmin) AS xmin_age, age(s.catalog_xmin) AS catalog_xmin_age FROM pg_replication_slots s),
 w AS MATERIALIZED (SELECT *, extract(epoch FROM write_lag) AS write_seconds, extract(epoch FROM flush_lag) AS flush_seconds,
        extract(epoch FROM replay_lag) AS replay_seconds FROM pg_stat_get_wal_senders())
SELECT json_build_object(
 'at', extract(epoch from l.ts),
 'in_recovery', l.rec,
 'lsn', CASE WHEN l.rec THEN coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), pg_last_wal_replay_lsn())
             ELSE pg_current_wal_lsn() END,
 'next_xid', pg_snapshot_xmax(l.snapshot)::text,
 'oldest_xid', pg_snapshot_xmin(l.snapshot)::text,
 'open_transactions', (SELECT count(*) FROM pg_snapshot_xip(l.snapshot)),
 'slots', (SELECT json_agg(s) FROM s),
 'senders', (SELECT json_agg(w) FROM w),
 'sessions', (SELECT json_agg(a) FROM (
     SELECT pid, usename, application_name, client_addr, backend_type, wait_event_type, wait_event, backend_start
     FROM pg_stat_activity WHERE pid IN (SELECT active_pid FROM s UNION ALL SELECT pid FROM w)) a),
 'decoding', (SELECT json_agg(x) FROM pg_stat_replication_slots x), --14+
 'wal', (SELECT row_to_json(x) FROM pg_stat_wal x), --14+
 'creating', (SELECT json_agg(json_build_object('slot', s.slot_name, 'by', to_json(pg_blocking_pids(s.active_pid))))
              FROM s WHERE s.active_pid IS NOT NULL AND s.slot_type = 'logical' AND s.confirmed_flush_lsn IS NULL)
)::text FROM l
