-- The native subscriptions of this database. pg_stat_subscription is the base: before 14 a role that is no superuser
-- may not read pg_subscription.oid.
SELECT json_build_object(
 'at', clock_timestamp(),
 'subscriptions', (SELECT json_agg(json_build_object(
     'name', s.subname, 'enabled', s.subenabled, 'slot', s.subslotname, 'publications', s.subpublications,
     'disable_on_error', s.subdisableonerr, --15+
     'pid', w.pid, 'received', w.received_lsn, 'reported', w.latest_end_lsn, 'heard_at', w.last_msg_receipt_time,
     'tables', (SELECT json_object_agg(state, n) FROM (SELECT r.srsubstate AS state, count(*) AS n
                FROM pg_subscription_rel r WHERE r.srsubid = w.subid GROUP BY 1) t),
     'counts', (SELECT row_to_json(x) FROM pg_stat_subscription_stats x WHERE x.subid = w.subid), --15+
     'workers', (SELECT count(*) FROM pg_stat_subscription o WHERE o.subid = w.subid AND o.relid IS NOT NULL AND o.pid IS NOT NULL)
   ) ORDER BY s.subname)
   FROM pg_subscription s
   JOIN pg_stat_subscription w ON w.relid IS NULL
     AND w.leader_pid IS NULL --16+
     AND w.subid = s.oid --14+
     AND w.subname = s.subname --13-
   WHERE s.subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()))
 ,'copies', (SELECT json_agg(json_build_object('pid', c.pid, 'schema', n.nspname, 'table', k.relname, 'command', c.command, --14+
        'rows', c.tuples_processed, 'bytes', c.bytes_processed)) --14+
    FROM pg_stat_progress_copy c JOIN pg_class k ON k.oid = c.relid AND c.datname = current_database() --14+
    JOIN pg_namespace n ON n.oid = k.relnamespace) --14+
)::text
