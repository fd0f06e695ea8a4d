-- What the run $1 of the method xmin has written down; docs/xmin.md tells what the tables mean.
SELECT coalesce((SELECT json_build_object(
 'passes', p.passes, 'running', p.running, 'resumed', p.resumed, 'snapshot_xmin', p.snapshot_xmin,
 'snapshot_xmax', p.snapshot_xmax, 'began_at', p.began_at, 'ended_at', p.ended_at, 'next_at', p.next_at,
 'tables', (SELECT json_agg(json_build_object('table', json_build_object('schema', t.schema_name, 'name', t.table_name),
     'state', t.state, 'rows_read', t.rows_read, 'rows_written', t.rows_written, 'deletes_unseen', t.deletes_unseen,
     'deletes_since', t.deletes_since, 'reconciled_at', t.reconciled_at, 'rows_removed', t.rows_removed)
     ORDER BY t.schema_name, t.table_name) FROM walpilot.xmin_table t WHERE t.slot = p.slot)
) FROM walpilot.xmin_pass p WHERE p.slot = $1)::text, 'null')
