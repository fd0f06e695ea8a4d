-- What the run for slot $1 (or the latest one) has written down; see replication::checkpoint for the tables.
WITH w AS (
  SELECT s.slot, s.system_identifier, s.publication, s.method FROM walpilot.source s LEFT JOIN walpilot.progress p USING (slot)
  WHERE $1::text IS NULL OR s.slot = $1 ORDER BY p.updated_at DESC NULLS LAST LIMIT 1
)
SELECT coalesce((SELECT json_build_object(
 'at', extract(epoch from clock_timestamp()), 'slot', w.slot, 'system_identifier', w.system_identifier,
 'publication', w.publication, 'method', w.method, 'checkpoint', c.lsn, 'commit_time', c.commit_time, 'applied_at', c.applied_at,
 'progress', (SELECT row_to_json(p) FROM walpilot.progress p WHERE p.slot = w.slot),
 'tables', (SELECT json_agg(t ORDER BY t.schema_name, t.table_name) FROM walpilot.table_progress t WHERE t.slot = w.slot)
) FROM w LEFT JOIN walpilot.checkpoint c USING (slot))::text, 'null')
