-- Without a publication: the largest tables outside the system schemas (relpages is as of the last VACUUM or ANALYZE).
SELECT json_build_object('found', true, 'tables', (
  SELECT json_agg(json_build_object('schema', nspname, 'name', relname) ORDER BY nspname, relname) FROM (
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r','p') AND NOT c.relispartition AND c.relpersistence <> 't'
      AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    ORDER BY c.relpages DESC, 1, 2 LIMIT 200) t))::text
