-- The passes of the run for slot $1; see replication::xmin for the tables.
SELECT coalesce((SELECT json_build_object(
 'passes', p.passes, 'running', p.running, 'snapshot_xmin', p.snapshot_xmin, 'snapshot_xmax', p.snapshot_xmax,
 'began_at', p.began_at, 'ended_at', p.ended_at, 'next_at', p.next_at,
 'rows_read', (SELECT sum(t.rows_read) FROM walpilot.xmin_table t WHERE t.slot = p.slot),
 'rows_written', (SELECT sum(t.rows_written) FROM walpilot.xmin_table t WHERE t.slot = p.slot),
 'deletes_unseen', (SELECT sum(t.deletes_unseen) FROM walpilot.xmin_table t WHERE t.slot = p.slot),
 'tables', coalesce((SELECT json_agg(json_build_object('schema', t.schema_name, 'table', t.table_name, 'state', t.state,
   'rows_read', t.rows_read, 'rows_written', t.rows_written, 'deletes_unseen', t.deletes_unseen)
   ORDER BY t.schema_name, t.table_name) FROM walpilot.xmin_table t WHERE t.slot = p.slot), '[]')
) FROM walpilot.xmin_pass p WHERE p.slot = $1)::text, 'null')
