SELECT json_build_object(
 'there', count(*) FILTER (WHERE NOT c.relname LIKE 'xmin%') = 4,
 'readable', coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT'))
             FILTER (WHERE NOT c.relname LIKE 'xmin%'), false),
 'xmin', coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false)
         AND count(*) FILTER (WHERE c.relname LIKE 'xmin%') = 2
)::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'walpilot' AND c.relname IN ('source', 'checkpoint', 'progress', 'table_progress', 'xmin_pass', 'xmin_table')
