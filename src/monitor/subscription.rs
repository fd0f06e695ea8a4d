//! Native subscriptions at the destination.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::context::{Copying, nothing_is_empty};
use super::moment::Moment;
use crate::catalog::Lsn;

/// The subscriptions of the destination's database, read every ten seconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subscriptions {
    /// When they were read, on the destination's clock.
    pub at: Moment,
    /// The subscriptions, by name.
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub subscriptions: Vec<Subscription>,
    /// First copies that run there (14 and newer).
    #[serde(default, deserialize_with = "nothing_is_empty")]
    pub copies: Vec<Copying>,
}

/// One subscription.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subscription {
    /// Its name.
    pub name: String,
    /// Whether it is switched on.
    pub enabled: bool,
    /// Its slot at the source.
    pub slot: Option<String>,
    /// Its publications at the source.
    pub publications: Vec<String>,
    /// Whether an error switches it off (15 and newer).
    pub disable_on_error: Option<bool>,
    /// Its apply worker; `None` while none runs.
    pub pid: Option<i32>,
    /// Up to where it has received the log.
    pub received: Option<Lsn>,
    /// The last position that it reported to the source.
    pub reported: Option<Lsn>,
    /// When it last heard from the source.
    pub heard_at: Option<Moment>,
    /// Workers that copy tables.
    pub workers: u32,
    /// Tables by state: `i` to be copied, `d` being copied, `f` copied, `s` synchronised, `r` ready.
    pub tables: Option<BTreeMap<String, u64>>,
    /// `pg_stat_subscription_stats` (15 and newer): errors, and from 18 on conflicts, by column.
    pub counts: Option<BTreeMap<String, serde_json::Value>>,
}

impl Subscription {
    /// A counter of `pg_stat_subscription_stats`, if the server has it.
    #[must_use]
    pub fn counter(&self, column: &str) -> Option<u64> {
        self.counts.as_ref()?.get(column)?.as_u64()
    }

    /// Conflicts by kind, where there were any (18 and newer).
    #[must_use]
    pub fn conflicts<'a>(&'a self) -> Vec<(&'a str, u64)> {
        let counted = |(name, count): (&'a String, &serde_json::Value)| {
            let count = count.as_u64().filter(|count| *count > 0)?;
            Some((name.strip_prefix("confl_")?, count))
        };
        self.counts.iter().flatten().filter_map(counted).collect()
    }

    /// Tables that are not in step with the stream yet, and all.
    #[must_use]
    pub fn unfinished(&self) -> (u64, u64) {
        let tables = self.tables.iter().flatten();
        tables.fold((0, 0), |(open, all), (state, count)| (open + if state == "r" { 0 } else { *count }, all + count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_as_far_as_the_version_has_them() {
        let of_18: Subscription = serde_json::from_str(
            r#"{"name": "s", "enabled": true, "slot": "s", "publications": ["p"], "pid": null,
            "tables": {"r": 3, "d": 1}, "counts": {"subid": "16411", "subname": "s", "apply_error_count": 2,
            "confl_insert_exists": 1, "confl_update_missing": 0, "stats_reset": null}, "workers": 0}"#,
        )
        .unwrap();
        assert_eq!(of_18.counter("apply_error_count"), Some(2));
        assert_eq!(of_18.conflicts(), [("insert_exists", 1)]);
        assert_eq!(of_18.unfinished(), (1, 4));
        let of_13: Subscription =
            serde_json::from_str(r#"{"name": "s", "enabled": false, "slot": null, "publications": []}"#).unwrap();
        assert_eq!((of_13.counter("apply_error_count"), of_13.unfinished()), (None, (0, 0)));
    }
}
