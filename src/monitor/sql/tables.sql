-- Estimates and counters of the tables named by $1 (schemas) and $2 (names), partitions added up at the client.
-- An analysed partitioned table has relpages -1.
WITH RECURSIVE tree AS (
  SELECT w.at, c.oid, c.relkind FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS w(nsp, rel, at)
  JOIN pg_namespace n ON n.nspname = w.nsp JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.rel AND c.relkind IN ('r','p')
  UNION ALL
  SELECT t.at, c.oid, c.relkind FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid JOIN pg_class c ON c.oid = i.inhrelid
  WHERE t.relkind = 'p'
)
SELECT json_build_object(
 'at', extract(epoch from clock_timestamp()),
 'rows', (SELECT json_agg(json_build_object(
   'at', t.at, 'leaf', t.relkind = 'r', 'reltuples', c.reltuples, 'bytes', greatest(c.relpages, 0)::bigint * current_setting('block_size')::int,
   'live', pg_stat_get_live_tuples(c.oid),
   'dead', pg_stat_get_dead_tuples(c.oid), 'hot', pg_stat_get_tuples_hot_updated(c.oid), 'frozen_age', CASE WHEN c.relfrozenxid <> '0' THEN age(c.relfrozenxid) END,
   'identity', c.relreplident,
   'inserts', pg_stat_get_tuples_inserted(c.oid), 'updates', pg_stat_get_tuples_updated(c.oid), 'deletes', pg_stat_get_tuples_deleted(c.oid),
   'analyzed', coalesce(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid),
                        pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)) IS NOT NULL))
  FROM tree t JOIN pg_class c ON c.oid = t.oid)
)::text
