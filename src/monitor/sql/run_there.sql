SELECT json_build_object(
 'there', count(*) = 4,
 'readable', coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false),
 'xmin', (SELECT count(*) = 2 AND coalesce(bool_and(has_table_privilege(x.oid, 'SELECT')), false)
          FROM pg_class x JOIN pg_namespace xn ON xn.oid = x.relnamespace
          WHERE xn.nspname = 'walpilot' AND x.relname IN ('xmin_pass', 'xmin_table'))
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'walpilot' AND c.relname IN ('source', 'checkpoint', 'progress', 'table_progress')
