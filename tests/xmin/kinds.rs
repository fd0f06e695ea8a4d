//! What is a table, what is read as one, and what is refused.

use super::replicating::{execute, value};
use super::{between, database, pass, refusal};

#[tokio::test]
async fn what_has_no_key_or_no_xmin_is_refused_with_its_reason() {
    let pair = super::pair(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE bare (a int); CREATE VIEW v AS SELECT 1 AS id; \
         CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE FOREIGN TABLE f (id int) SERVER s; \
         CREATE MATERIALIZED VIEW m AS SELECT 1 AS id; CREATE TABLE nullable (a int UNIQUE)",
    )
    .await;
    for (table, words) in [
        ("bare", ["public.bare", "primary key"]),
        ("nullable", ["public.nullable", "primary key"]),
        ("v", ["public.v is a view", "tables behind it"]),
        ("f", ["public.f is a foreign table", "its own server"]),
        ("m", ["public.m has no unique index", "Create one"]),
        ("nothing", ["no table public.nothing", "source"]),
    ] {
        let text = refusal(&pair, &["--tables", &format!("public.t,public.{table}")]).await;
        assert!(words.iter().all(|word| text.contains(word)), "{table}: {text}");
    }
    assert!(refusal(&pair, &[]).await.contains("public.bare"));
    // Of a whole schema, what is no table is left out and said.
    execute(&pair.from(), "DROP TABLE bare, nullable").await;
    let outcome = pass(&pair, &[]).await;
    for word in ["public.v is left out", "public.f is left out", "public.m is left out"] {
        assert!(outcome.stdout.contains(word), "{word}: {}", outcome.stdout);
    }
    // The destination's side.
    execute(&pair.from(), "CREATE TABLE mine (id int PRIMARY KEY); INSERT INTO mine VALUES (1)").await;
    execute(&pair.to(), "CREATE TABLE mine (id int)").await;
    assert!(refusal(&pair, &[]).await.contains("ADD PRIMARY KEY (\"id\")"));
    execute(&pair.to(), "ALTER TABLE mine ADD PRIMARY KEY (id); INSERT INTO mine VALUES (9)").await;
    assert!(refusal(&pair, &[]).await.contains("already has rows"));
    execute(&pair.to(), "TRUNCATE mine").await;
    pass(&pair, &[]).await;
    // A table that vanished at the destination is made and read again.
    execute(&pair.to(), "DROP TABLE mine").await;
    pass(&pair, &[]).await;
    assert_eq!(value(&pair.to(), "SELECT count(*) FROM mine").await, "1");
}

#[tokio::test]
async fn partitions_are_read_one_by_one_also_those_that_are_attached_with_old_rows() {
    let pair = super::pair(
        "CREATE TABLE p (id int, r text, v int, PRIMARY KEY (id, r)) PARTITION BY LIST (r); \
         CREATE TABLE p_a PARTITION OF p FOR VALUES IN ('a'); \
         CREATE TABLE p_b PARTITION OF p FOR VALUES IN ('b') PARTITION BY RANGE (id); \
         CREATE TABLE p_b1 PARTITION OF p_b FOR VALUES FROM (0) TO (50); CREATE TABLE p_b2 PARTITION OF p_b DEFAULT; \
         INSERT INTO p SELECT i, CASE i % 2 WHEN 0 THEN 'a' ELSE 'b' END, i FROM generate_series(1, 100) i; \
         CREATE TABLE p_c (v int, r text NOT NULL, id int NOT NULL); INSERT INTO p_c SELECT i, 'c', i FROM generate_series(1, 30) i; \
         ALTER TABLE p_c ADD PRIMARY KEY (id, r); CREATE TABLE parent (id int PRIMARY KEY, v int); INSERT INTO parent VALUES (1, 1); \
         CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (2, 2)",
    )
    .await;
    let tables = ["--tables", "public.p,public.parent,public.heir"];
    pass(&pair, &tables).await;
    let same = async || {
        for table in ["p", "ONLY parent", "ONLY heir"] {
            let sql = format!(
                "SELECT count(*) || md5(string_agg(x::text, ',' ORDER BY x::text)) FROM (SELECT * FROM {table}) x"
            );
            assert_eq!(value(&pair.from(), &sql).await, value(&pair.to(), &sql).await, "{table}");
        }
    };
    same().await;
    // Its rows are older than the last pass.
    execute(&pair.from(), "ALTER TABLE p ATTACH PARTITION p_c FOR VALUES IN ('c'); UPDATE p SET v = -v WHERE id < 5")
        .await;
    pass(&pair, &tables).await;
    same().await;
    // A row that moves to another partition, a partition that was away for a while, a table that was exchanged.
    execute(
        &pair.from(),
        "UPDATE p SET id = id + 1000 WHERE id = 1; ALTER TABLE p DETACH PARTITION p_c; UPDATE p_c SET v = 0 WHERE id = 3; \
         CREATE TABLE next (id int PRIMARY KEY, v int); INSERT INTO next VALUES (1, 100), (3, 3)",
    )
    .await;
    pass(&pair, &["--tables", "public.p,public.parent,public.heir", "--reconcile"]).await;
    same().await;
    execute(
        &pair.from(),
        "ALTER TABLE p ATTACH PARTITION p_c FOR VALUES IN ('c'); DROP TABLE heir; ALTER TABLE parent RENAME TO before; \
         ALTER TABLE next RENAME TO parent; CREATE TABLE heir (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO heir VALUES (2, 2)",
    )
    .await;
    pass(&pair, &tables).await;
    same().await;
    // A role without rights on the partitions themselves reads the whole.
    execute(
        &pair.from(),
        "CREATE ROLE reader LOGIN PASSWORD 'S3NT1NEL'; GRANT SELECT ON p TO reader; UPDATE p SET v = 7 WHERE id = 8",
    )
    .await;
    let reader = walpilot::connection::Settings {
        user: "reader".to_owned(),
        password: Some(walpilot::connection::Secret::new("S3NT1NEL")),
        ..pair.from()
    };
    let other = database(&pair.to(), "other").await;
    let run = async || {
        between(&reader, &other, &["--once", "--tables", "public.p"]).run().await.expect_code(0);
        let sql = "SELECT count(*) || md5(string_agg(x::text, ',' ORDER BY x::text)) FROM p x";
        assert_eq!(value(&pair.from(), sql).await, value(&other, sql).await);
    };
    run().await;
    execute(
        &pair.from(),
        "CREATE TABLE p_d (LIKE p_a INCLUDING ALL); INSERT INTO p_d VALUES (1, 'd', 1); UPDATE p SET v = 8 WHERE id = 8",
    )
    .await;
    run().await;
    execute(&pair.from(), "ALTER TABLE p ATTACH PARTITION p_d FOR VALUES IN ('d')").await;
    run().await;
}

#[tokio::test]
async fn a_materialized_view_is_read_again_and_loses_what_it_has_lost() {
    let pair = super::pair(
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t SELECT i, i % 10 FROM generate_series(1, 100) i; \
         CREATE MATERIALIZED VIEW m AS SELECT v, count(*) AS n FROM t GROUP BY v; CREATE UNIQUE INDEX m_v ON m (v)",
    )
    .await;
    let same = async || {
        let sql = "SELECT string_agg(v || ':' || n, ',' ORDER BY v) FROM m";
        assert_eq!(value(&pair.from(), sql).await, value(&pair.to(), sql).await);
    };
    pass(&pair, &[]).await;
    same().await;
    execute(&pair.from(), "DELETE FROM t WHERE v = 3; UPDATE t SET v = 4 WHERE id = 1; REFRESH MATERIALIZED VIEW m")
        .await;
    pass(&pair, &[]).await;
    same().await;
    execute(&pair.from(), "DELETE FROM t WHERE v = 5; REFRESH MATERIALIZED VIEW CONCURRENTLY m").await;
    pass(&pair, &[]).await;
    same().await;
}
