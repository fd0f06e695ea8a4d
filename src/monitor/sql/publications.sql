-- The publications of this database, what is younger than a slot, and which tables will refuse writes.
-- Catalogs only and no function that locks a relation: nothing waits behind ACCESS EXCLUSIVE.
WITH RECURSIVE s AS (
  SELECT slot_name, age(catalog_xmin) AS age FROM pg_replication_slots
  WHERE slot_type = 'logical' AND database = current_database() AND catalog_xmin IS NOT NULL AND wal_status IS DISTINCT FROM 'lost'
), m AS (
  SELECT p.oid AS pub, c.oid AS rel FROM pg_publication p JOIN pg_class c ON p.puballtables AND c.relkind IN ('r','p') AND pg_relation_is_publishable(c.oid)
  UNION
  SELECT n.pnpubid, c.oid FROM pg_publication_namespace n JOIN pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r','p') AND pg_relation_is_publishable(c.oid) --15+
  UNION --15+
  SELECT prpubid, prrelid FROM pg_publication_rel
), down AS (
  SELECT pub, rel FROM m
  UNION
  SELECT d.pub, i.inhrelid FROM down d JOIN pg_inherits i ON i.inhparent = d.rel JOIN pg_class c ON c.oid = d.rel AND c.relkind = 'p'
), up AS (
  SELECT oid AS rel, oid AS anc FROM pg_class WHERE relispartition
  UNION
  SELECT u.rel, i.inhparent FROM up u JOIN pg_inherits i ON i.inhrelid = u.anc
), counts AS ( -- as many as pg_publication_tables lists
  SELECT d.pub, count(*) AS tables FROM down d JOIN pg_publication p ON p.oid = d.pub AND NOT p.pubviaroot
  JOIN pg_class c ON c.oid = d.rel AND c.relkind = 'r' GROUP BY d.pub
  UNION ALL
  SELECT m.pub, count(*) FROM m JOIN pg_publication p ON p.oid = m.pub AND p.pubviaroot
  WHERE NOT EXISTS (SELECT 1 FROM up u JOIN m a ON a.rel = u.anc WHERE u.rel = m.rel AND u.anc <> u.rel AND a.pub = m.pub) GROUP BY m.pub
), gaps AS (
  SELECT min(p.pubname) AS publication, n.nspname, c.relname, bool_or(p.pubupdate) AS updates, bool_or(p.pubdelete) AS deletes, c.relreplident
  FROM down d JOIN pg_publication p ON p.oid = d.pub JOIN pg_class c ON c.oid = d.rel AND c.relkind = 'r'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE (p.pubupdate OR p.pubdelete) AND c.relreplident <> 'f' AND NOT EXISTS (
    SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisvalid
      AND CASE c.relreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate WHEN 'i' THEN i.indisreplident END)
  GROUP BY n.nspname, c.relname, c.relreplident
)
SELECT json_build_object(
 'at', clock_timestamp(),
 'next_xid', pg_snapshot_xmax(pg_current_snapshot())::text::bigint,
 'publications', (SELECT json_agg(json_build_object('name', p.pubname, 'owner', pg_get_userbyid(p.pubowner),
     'all_tables', p.puballtables, 'inserts', p.pubinsert, 'updates', p.pubupdate, 'deletes', p.pubdelete,
     'truncates', p.pubtruncate, 'age', age(p.xmin), 'tables', coalesce(t.tables, 0)) ORDER BY p.pubname)
   FROM pg_publication p LEFT JOIN counts t ON t.pub = p.oid),
 'slots', (SELECT json_agg(json_build_object('name', slot_name, 'age', age)) FROM s),
 'added', (SELECT json_agg(json_build_object('publication', pubname, 'schema', nspname, 'table', relname, 'age', age)) FROM (
     SELECT p.pubname, n.nspname, c.relname, age(r.xmin) AS age
     FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid
     JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE age(r.xmin) <= (SELECT max(age) FROM s) ORDER BY age(r.xmin), 1, 2, 3 LIMIT 100) a),
 'gaps', (SELECT json_agg(json_build_object('publication', publication, 'schema', nspname, 'table', relname,
     'updates', updates, 'deletes', deletes, 'identity', relreplident)) FROM (SELECT * FROM gaps ORDER BY 2, 3 LIMIT 50) g),
 'gap_count', (SELECT count(*) FROM gaps)
)::text
