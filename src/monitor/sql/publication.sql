-- The tables of publication $1 as pg_publication_tables lists them, without its locks: from 16 on that view waits
-- behind ACCESS EXCLUSIVE. Partitions stand for themselves unless publish_via_partition_root.
WITH RECURSIVE p AS (SELECT oid, puballtables, pubviaroot FROM pg_publication WHERE pubname = $1),
m AS (
  SELECT c.oid AS rel FROM p JOIN pg_class c ON p.puballtables AND c.relkind IN ('r','p') AND pg_relation_is_publishable(c.oid)
  UNION
  SELECT c.oid FROM p JOIN pg_publication_namespace n ON n.pnpubid = p.oid JOIN pg_class c ON c.relnamespace = n.pnnspid AND c.relkind IN ('r','p') AND pg_relation_is_publishable(c.oid) --15+
  UNION --15+
  SELECT r.prrelid FROM p JOIN pg_publication_rel r ON r.prpubid = p.oid
), down AS (
  SELECT rel FROM m
  UNION
  SELECT i.inhrelid FROM down d JOIN pg_class c ON c.oid = d.rel AND c.relkind = 'p' JOIN pg_inherits i ON i.inhparent = d.rel
), up AS (
  SELECT oid AS rel, oid AS anc FROM pg_class WHERE relispartition
  UNION
  SELECT u.rel, i.inhparent FROM up u JOIN pg_inherits i ON i.inhrelid = u.anc
)
SELECT json_build_object(
 'found', EXISTS (SELECT 1 FROM p),
 'tables', (SELECT json_agg(json_build_object('schema', n.nspname, 'name', c.relname) ORDER BY n.nspname, c.relname)
   FROM down d CROSS JOIN p JOIN pg_class c ON c.oid = d.rel JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE CASE WHEN p.pubviaroot
              THEN d.rel IN (SELECT rel FROM m)
                   AND NOT EXISTS (SELECT 1 FROM up u JOIN m ON m.rel = u.anc WHERE u.rel = d.rel AND u.anc <> d.rel)
              ELSE c.relkind = 'r' END)
)::text
