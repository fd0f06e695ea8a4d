//! The statements that rules propose, written once.

use super::finding::Action;
use crate::catalog::ident::quote_literal;
use crate::monitor::server::Server;

/// Raising the limit revives even an unreserved slot at once, without a restart, as long as no checkpoint came first
/// (seen on 13 to 18).
pub(super) fn raise_limit(server: &Server) -> Option<Action> {
    let limit = server.slot_wal_limit()?;
    let megabytes = (limit >> 20).max(512).saturating_mul(2);
    Some(
        Action::set("Buy time: let slots hold more", format!("max_slot_wal_keep_size = '{megabytes}MB'"))
            .at_risk("needs that much room on the volume of pg_wal"),
    )
}

/// Gives the slot's data up.
pub(super) fn drop_slot(label: &str, slot: &str) -> Action {
    let sql = format!("SELECT pg_drop_replication_slot({});", quote_literal(slot));
    Action::run(label, sql, "a role with REPLICATION")
        .at_risk("changes not consumed yet are lost: the consumer must copy everything again")
}
