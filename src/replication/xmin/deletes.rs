//! How many deletes the source has counted, which this method can't see.

use std::collections::HashMap;

use tokio_postgres::Client;

use super::state::TableState;
use crate::replication::halt::{self, Halt, Side};

/// The source's counters of deleted rows, by relation. They count rolled back deletes too, and no TRUNCATE; a standby
/// counts nothing of what it replays.
pub(super) async fn counters(client: &Client, relations: &[u32]) -> Result<HashMap<u32, i64>, Halt> {
    let sql = "SELECT oid, pg_stat_get_tuples_deleted(oid) FROM unnest($1::oid[]) oid";
    let rows = client.query(sql, &[&relations]).await;
    let rows = rows.map_err(|error| halt::query(Side::Source, "asking how many rows were deleted", &error))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Adds what was counted since the last pass.
pub(super) fn counted(state: &mut TableState, counter: Option<i64>) {
    let Some(counter) = counter else {
        (state.deletes_counter, state.deletes_unseen) = (None, None);
        return;
    };
    state.deletes_unseen = Some(match (state.deletes_counter, state.deletes_unseen) {
        // A counter that has gone back was reset in between.
        (Some(before), Some(unseen)) if counter < before => unseen + counter,
        (Some(before), Some(unseen)) => unseen + (counter - before),
        // The first read has seen everything that was deleted before it.
        _ => 0,
    });
    state.deletes_counter = Some(counter);
}

#[cfg(test)]
mod tests {
    use super::{TableState, counted};

    #[test]
    fn deletes_add_up_from_the_first_pass_on_and_over_a_reset() {
        let mut state = TableState::default();
        for (counter, unseen) in [
            (Some(50), Some(0)),
            (Some(53), Some(3)),
            (Some(53), Some(3)),
            (Some(2), Some(5)),
            (None, None),
            (Some(9), Some(0)),
        ] {
            counted(&mut state, counter);
            assert_eq!((state.deletes_counter, state.deletes_unseen), (counter, unseen));
        }
    }
}
