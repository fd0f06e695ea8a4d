//! The decoder of the output plugin's messages against bytes that no server sends: messages of a real server, mutated,
//! and arbitrary bytes. It never panics, and takes no memory on the word of a length. (`fuzz/` has the same as a
//! target for cargo-fuzz.)

use crate::replicating::tables::{Table, transaction};
use crate::replicating::values::TYPES;
use crate::replicating::{Random, execute, query};
use crate::support::{session, source};
use walpilot::connection::Settings;
use walpilot::replication::probe::{Read, read_message};

const ROUNDS: u64 = 300_000;

#[tokio::test]
async fn mutated_messages_of_a_server_and_arbitrary_bytes_never_panic_and_cost_no_more_than_they_bear_out() {
    let mut random = Random::new();
    let source = source().await;
    let corpus = messages(&source.settings(), &mut random, source.major()).await;
    let mut kinds: Vec<u8> = corpus.iter().map(|message| message[0]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(b"BCDIRTUY".iter().all(|kind| kinds.contains(kind)), "{:?}", String::from_utf8_lossy(&kinds));
    let mut read = 0_u64;
    for message in &corpus {
        assert!(matches!(read_message(message), Read::Message { .. }), "a server's message: {message:?}");
    }
    for _ in 0..ROUNDS {
        let bytes = if random.below(10) == 0 {
            (0..random.below(200)).map(|_| random.below(256) as u8).collect()
        } else {
            mutated(&corpus, &mut random)
        };
        if let Read::Message { reserved } = read_message(&bytes) {
            read += 1;
            assert!(reserved <= bytes.len(), "{reserved} elements for {} bytes: {bytes:?}", bytes.len());
        }
    }
    // Otherwise the mutations only try the first byte.
    assert!(read > ROUNDS / 100 && read < ROUNDS, "{read}");
}

/// A message with something wrong: bytes changed, left out, repeated, or the end of another message.
fn mutated(corpus: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let any = |random: &mut Random| corpus[random.below(corpus.len() as u64) as usize].clone();
    let mut bytes = any(random);
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() as u64 + 1) as usize;
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => {
                let other = any(random);
                bytes.truncate(at);
                bytes.extend(&other[random.below(other.len() as u64) as usize..]);
            }
            2 => bytes.insert(at, random.below(256) as u8),
            3 if at + 4 <= bytes.len() => bytes[at..at + 4].copy_from_slice(&[0xff; 4]),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    bytes
}

/// What the output plugin makes of random transactions on random tables.
async fn messages(settings: &Settings, random: &mut Random, major: u32) -> Vec<Vec<u8>> {
    execute(settings, TYPES).await;
    let tables: Vec<Table> = (0..5).map(|at| Table::random(random, at, major)).collect();
    let schema: String = tables.iter().map(|table| table.create() + ";").collect();
    execute(settings, &schema).await;
    execute(
        settings,
        "CREATE TABLE always (id int PRIMARY KEY, e \"My types\".\"E\"); CREATE PUBLICATION p FOR ALL TABLES",
    )
    .await;
    execute(settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    execute(
        settings,
        "INSERT INTO always VALUES (1, 'one'), (2, NULL); UPDATE always SET id = 3 WHERE id = 1; \
         UPDATE always SET e = ''; DELETE FROM always; TRUNCATE always",
    )
    .await;
    let session = session(settings).await;
    session.client.batch_execute("SET search_path = public").await.expect("the session is there");
    for number in 0..30 {
        for statement in transaction(random, &tables, number) {
            let _ = session.client.batch_execute(&statement).await;
        }
        let _ = session.client.batch_execute("ROLLBACK").await;
    }
    let sql = "SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes('s', NULL, NULL, 'proto_version', '1', \
               'publication_names', 'p')";
    let rows = query(settings, sql).await;
    rows.into_iter().filter_map(|row| row.into_iter().next().flatten()).map(|hex| unhex(&hex)).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
