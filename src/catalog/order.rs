//! Asks the server whether a slot sees a publication: decodes the slot's first changes without consuming them.
//!
//! A slot decodes each change with the catalogs as they were at that change. When the publication was created after the
//! slot, changes in between can't be decoded: PostgreSQL fails up to version 17 and leaves them out with a warning since
//! 18. The transaction ids in the catalogs only raise the suspicion (see the check `publication-after-slot`).
//!
//! It is asked only of a slot that nobody reads, and under a time limit. The slot stays where it is; for that moment it
//! counts as active.

use std::io;
use std::time::Duration;

use postgres_protocol::message::backend::Message;
use postgres_protocol::message::frontend;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ident::quote_literal;
use super::probe::SlotOrder;
use super::{Facts, precedence};
use crate::connection::login::server_error;
use crate::connection::server_error::ServerError;
use crate::connection::stream::PgStream;
use crate::connection::{Settings, attempt};
use crate::profile::Profile;

/// For how long the server may decode.
const LIMIT: &str = "SET statement_timeout = '3s'";
/// For how long its answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// undefined_object: up to PostgreSQL 17.
const NO_PUBLICATION: &str = "42704";
/// object_not_in_prerequisite_state, of a warning: from PostgreSQL 18 on.
const LEFT_OUT: &str = "55000";

/// Asks, if the catalogs raise the suspicion and the slot is free; `None` when nothing was found out.
pub(super) async fn ask(settings: &Settings, profile: &Profile, facts: &Facts) -> Option<SlotOrder> {
    let slot = facts.slot(&profile.slot)?;
    let here = facts.database.get().map(|database| database.name.as_str());
    let readable = slot.plugin.as_deref() == Some("pgoutput") && slot.database.as_deref() == here;
    let kept = slot.wal_status.as_deref() != Some("lost") && !slot.synced;
    // Where the order is plain nothing has to be decoded, which would count in the slot's statistics.
    let unsure = precedence::suspected(facts, slot) && !precedence::horizon_is_exact(facts, slot);
    if slot.active || !readable || !kept || !unsure {
        return None;
    }
    // Before PostgreSQL 15 transactions without a published change come as well, as BEGIN and COMMIT.
    let most = if facts.server.major() < 15 { 1000 } else { 1 };
    // The option is a list of identifiers.
    let publication = format!("\"{}\"", profile.publication.replace('"', "\"\""));
    let peek = format!(
        "SELECT count(*) FROM pg_catalog.pg_logical_slot_peek_binary_changes({}, NULL, {most}, \
         'proto_version', '1', 'publication_names', {}) WHERE chr(get_byte(data, 0)) IN ('I', 'U', 'D', 'T')",
        quote_literal(&profile.slot),
        quote_literal(&publication)
    );
    let answers = async {
        let opened = attempt::connect_replication(settings, &[("replication", "database")]).await.ok()?;
        let mut connection = Connection { stream: opened.0, input: opened.1 };
        connection.query(LIMIT).await.ok()?;
        connection.query(&peek).await.ok()
    };
    let answer = tokio::time::timeout(PATIENCE, Box::pin(answers)).await.ok()??;
    if let Some(warning) = answer.warnings.iter().find(|warning| warning.sqlstate == LEFT_OUT) {
        return Some(SlotOrder::Misses(warning.to_string()));
    }
    match answer.result {
        Err(error) if error.sqlstate == NO_PUBLICATION => Some(SlotOrder::Misses(error.to_string())),
        Err(_) => None,
        Ok(count) if count == "0" => Some(SlotOrder::NothingWritten),
        Ok(_) => Some(SlotOrder::Sees),
    }
}

/// What came back for a query: the first value of its last row, or an error.
struct Answer {
    result: Result<String, ServerError>,
    warnings: Vec<ServerError>,
}

/// A walsender connection, read message by message: the query library keeps warnings to itself.
struct Connection {
    stream: PgStream,
    input: bytes::BytesMut,
}

impl Connection {
    async fn query(&mut self, sql: &str) -> io::Result<Answer> {
        let mut out = bytes::BytesMut::new();
        frontend::query(sql, &mut out)?;
        self.stream.write_all(&out).await?;
        self.stream.flush().await?;
        let mut answer = Answer { result: Ok(String::new()), warnings: Vec::new() };
        loop {
            match Message::parse(&mut self.input)? {
                Some(Message::DataRow(body)) => {
                    use fallible_iterator::FallibleIterator;
                    if let Some(range) = body.ranges().next()?.flatten() {
                        answer.result = Ok(String::from_utf8_lossy(&body.buffer()[range]).into_owned());
                    }
                }
                Some(Message::ErrorResponse(body)) => answer.result = Err(server_error(body.fields())?),
                Some(Message::NoticeResponse(body)) => answer.warnings.push(server_error(body.fields())?),
                Some(Message::ReadyForQuery(_)) => return Ok(answer),
                Some(_) => {}
                None if self.stream.read_buf(&mut self.input).await? == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                None => {}
            }
        }
    }
}
