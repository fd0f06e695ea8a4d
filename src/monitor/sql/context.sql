-- Who holds back vacuum and decoding, which copies run, and what the checkpointer and the archiver do.
-- For a role without pg_read_all_stats other roles' state, times, addresses and statements are null.
SELECT json_build_object(
 'at', clock_timestamp(),
 'holders', (SELECT json_agg(h ORDER BY (h->>'age')::bigint DESC) FROM (
    (SELECT json_build_object('kind', 'session', 'pid', a.pid, 'user', a.usename, 'application', a.application_name,
        'database', a.datname, 'backend_type', a.backend_type, 'state', a.state,
        'age', greatest(age(a.backend_xmin), age(a.backend_xid)), 'writing_age', age(a.backend_xid),
        'began', a.xact_start, 'state_change', a.state_change, 'query', left(a.query, 100)) AS h
     FROM pg_stat_activity a
     WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
       AND a.pid NOT IN (SELECT w.pid FROM pg_stat_get_wal_senders() w WHERE w.pid IS NOT NULL)
     ORDER BY greatest(age(a.backend_xmin), age(a.backend_xid)) DESC LIMIT 10)
    UNION ALL
    (SELECT json_build_object('kind', 'prepared', 'name', p.gid, 'database', p.database, 'user', p.owner,
        'age', age(p.transaction), 'writing_age', age(p.transaction), 'began', p.prepared)
     FROM pg_prepared_xacts p ORDER BY age(p.transaction) DESC LIMIT 5)
    UNION ALL
    (SELECT json_build_object('kind', 'slot', 'name', s.slot_name, 'age', greatest(age(s.xmin), age(s.catalog_xmin)),
        'catalog_only', s.xmin IS NULL)
     FROM pg_replication_slots s
     -- A lost slot still shows its catalog_xmin and holds nothing any more.
     WHERE (s.xmin IS NOT NULL OR s.catalog_xmin IS NOT NULL) AND s.wal_status IS DISTINCT FROM 'lost'
     ORDER BY greatest(age(s.xmin), age(s.catalog_xmin)) DESC LIMIT 10)
    UNION ALL
    (SELECT json_build_object('kind', 'standby', 'pid', a.pid, 'application', a.application_name, 'user', a.usename,
        'age', age(a.backend_xmin))
     FROM pg_stat_activity a JOIN pg_stat_get_wal_senders() w ON w.pid = a.pid
     WHERE a.backend_xmin IS NOT NULL AND a.pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE active_pid IS NOT NULL) LIMIT 5)
    ) u),
 -- What the readers of slots asked for.
 'requests', (SELECT json_agg(json_build_object('pid', a.pid, 'query', left(a.query, 1000)))
    FROM pg_stat_activity a WHERE a.query ILIKE 'START_REPLICATION%' AND a.pid IN (SELECT active_pid FROM pg_replication_slots)),
 'copies', (SELECT json_agg(json_build_object('pid', c.pid, 'schema', n.nspname, 'table', k.relname, 'command', c.command, --14+
        'rows', c.tuples_processed, 'bytes', c.bytes_processed, 'estimated_rows', k.reltuples, --14+
        'application', a.application_name, 'user', a.usename, 'began', a.xact_start)) --14+
    FROM pg_stat_progress_copy c LEFT JOIN pg_class k ON k.oid = c.relid AND c.datname = current_database() --14+
    LEFT JOIN pg_namespace n ON n.oid = k.relnamespace LEFT JOIN pg_stat_activity a ON a.pid = c.pid), --14+
 'oldest_database', (SELECT json_build_object('name', datname, 'age', age(datfrozenxid))
    FROM pg_database ORDER BY age(datfrozenxid) DESC LIMIT 1),
 'redo', (SELECT redo_lsn FROM pg_control_checkpoint()),
 'checkpointed', (SELECT checkpoint_time FROM pg_control_checkpoint()),
 -- A standby of a primary that does not keep them would raise an error.
 'last_commit', CASE WHEN current_setting('track_commit_timestamp') = 'on' AND NOT pg_is_in_recovery()
    THEN (SELECT timestamp FROM pg_last_committed_xact()) END,
 'timed_checkpoints', (SELECT checkpoints_timed FROM pg_stat_bgwriter), --16-
 'requested_checkpoints', (SELECT checkpoints_req FROM pg_stat_bgwriter), --16-
 'timed_checkpoints', (SELECT num_timed FROM pg_stat_checkpointer), --17+
 'requested_checkpoints', (SELECT num_requested FROM pg_stat_checkpointer), --17+
 'archiver', (SELECT json_build_object('archived', archived_count, 'last_archived', last_archived_wal,
    'last_archived_at', last_archived_time, 'failed', failed_count, 'last_failed', last_failed_wal,
    'last_failed_at', last_failed_time) FROM pg_stat_archiver),
 'pending_restart', (SELECT json_agg(name ORDER BY name) FROM pg_settings
    WHERE pending_restart AND name IN ('wal_level','max_wal_senders','max_replication_slots','track_commit_timestamp')),
 -- Standbys by slot or by connection: a failover goes to one of them.
 'standbys', (SELECT count(*) FROM pg_stat_get_wal_senders() w
    WHERE w.pid NOT IN (SELECT active_pid FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid IS NOT NULL))
   + (SELECT count(*) FROM pg_replication_slots WHERE slot_type = 'physical' AND NOT active AND restart_lsn IS NOT NULL)
)::text
