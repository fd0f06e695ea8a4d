-- What lies in pg_wal, in the archiver's queue and in the slots' spill files; $1: also when which file was written.
-- Files after the current one are recycled: they hold nothing yet and keep their old times.
WITH c AS (SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_lsn()) END AS name),
f AS (
  SELECT name, size, modification, row_number() OVER (ORDER BY name) AS rn, greatest(1, count(*) OVER () / 200) AS step
  FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'
)
SELECT json_build_object(
 'at', clock_timestamp(),
 'segments', count(*),
 'bytes', coalesce(sum(size), 0),
 'behind', sum(size) FILTER (WHERE f.name < c.name),
 'ahead', sum(size) FILTER (WHERE f.name > c.name),
 'written', json_agg(json_build_array(f.name, extract(epoch from modification)) ORDER BY f.name)
            FILTER (WHERE $1 AND f.name < c.name AND left(f.name, 8) = left(c.name, 8) AND (rn % step = 0 OR rn = 1)),
 'ready', (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready'),
 'spill', (SELECT json_agg(json_build_object('slot', slot_name, 'files', n, 'bytes', b)) FROM ( --15+
     SELECT s.slot_name, count(d.name) AS n, coalesce(sum(d.size), 0) AS b FROM pg_replication_slots s --15+
     LEFT JOIN LATERAL pg_ls_replslotdir(s.slot_name) d ON d.name LIKE '%.spill' --15+
     WHERE s.slot_type = 'logical' AND s.active_pid IS NOT NULL GROUP BY 1) q), --15+
 'of', max(c.name)
)::text FROM c LEFT JOIN f ON true
