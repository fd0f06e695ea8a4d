//! The server's settings, and what is left of its slots and walsenders.

use super::cause::slots;
use super::outcome::{Judged, Outcome, count, duration, settle, size, some_of};
use super::setting::Value;
use super::unseen::{Part, unseen, unseen_setting};
use super::{Check, Family};
use crate::catalog::facts::Slot;
use crate::catalog::{Facts, Seen, ddl};
use crate::preflight::finding::{Fix, FixKind, Severity};
use crate::profile::{Method, Profile};

/// Below this a single busy hour may outrun the limit.
const SMALL_KEEP_MB: i64 = 1024;
/// Below this a reader that applies one big transaction may be taken for dead.
const SHORT_SENDER_TIMEOUT_MS: i64 = 30_000;
/// Below this a weekend's pause costs the slot.
const SHORT_IDLE_TIMEOUT_S: i64 = 3 * 86_400;

const CDC: Option<Method> = Some(Method::Cdc);

pub(crate) static WAL_LEVEL: Check = Check {
    id: "wal-level",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Blocker,
    why: "Only wal_level = logical writes into the log what a logical slot needs.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-wal.html",
    judge: |facts, _| {
        let Some(value) = facts.setting("wal_level") else { return Some(unseen_setting(facts, "wal_level")) };
        if value == "logical" {
            return Some(Outcome::pass("wal_level is logical").evidence("wal_level", value));
        }
        let waiting = facts.settings.get().and_then(|all| all.get("wal_level")).is_some_and(|one| one.pending_restart);
        let summary = if waiting {
            format!("wal_level is {value}; a changed value waits for a restart")
        } else {
            format!("wal_level is {value}, and has to be logical")
        };
        let fix = Value::at_restart("wal_level", "logical").fixes(facts);
        Some(Outcome::fail(summary).evidence("wal_level", value).evidence("pending_restart", waiting).fixes(fix))
    },
};

pub(crate) static PENDING_RESTART: Check = Check {
    id: "pending-restart",
    family: Family::Settings,
    method: None,
    severity: Severity::Info,
    why: "A setting that was changed but not restarted does not have the value that the files say.",
    doc: "https://www.postgresql.org/docs/current/view-pg-settings.html",
    judge: |facts, _| {
        let settings = match &facts.settings {
            Seen::Yes(settings) => settings,
            Seen::No(reason) => return Some(unseen(facts, Part::Settings, reason)),
        };
        let names: Vec<String> =
            settings.iter().filter(|(_, one)| one.pending_restart).map(|(name, _)| name.clone()).collect();
        if names.is_empty() {
            return Some(Outcome::pass("no setting waits for a restart"));
        }
        // Only those that replication leans on are more than a note.
        let matters = names.iter().any(|name| name == "wal_level" || name.starts_with("max_"));
        let severity = if matters { Severity::Warning } else { Severity::Info };
        let summary =
            format!("{} for a restart: {}", count(names.len(), "setting waits", "settings wait"), some_of(&names));
        Some(Outcome::warn(summary).severity(severity).objects(names).fix(Fix {
            kind: FixKind::Text,
            text: "Restart the server when its users can bear it.".to_owned(),
            who: "superuser".to_owned(),
            lock: None,
            restart: true,
        }))
    },
};

/// How many slots are needed beyond those that exist: the profile's own, and a temporary one for the initial copy.
fn slots_needed(facts: &Facts, profile: &Profile) -> usize {
    usize::from(facts.slot(&profile.slot).is_none()) + usize::from(profile.initial_copy)
}

pub(crate) static SLOTS_FREE: Check = Check {
    id: "slots-free",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Blocker,
    why: "Without a free slot the slot can't be created; the initial copy needs a temporary one of its own.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| settle(slots_free(facts, profile)),
};

fn slots_free(facts: &Facts, profile: &Profile) -> Judged {
    let Some(max) = facts.number("max_replication_slots") else {
        return Err(unseen_setting(facts, "max_replication_slots"));
    };
    let slots = slots(facts)?;
    let used = slots.len();
    let free = usize::try_from(max).unwrap_or(0).saturating_sub(used);
    let needed = slots_needed(facts, profile);
    let summary = format!("{free} of {max} replication slots free, {needed} needed");
    let outcome = if free >= needed {
        Outcome::pass(summary)
    } else {
        let idle: Vec<&str> = slots
            .iter()
            .filter(|slot| !slot.active && slot.slot_name != profile.slot)
            .map(|slot| slot.slot_name.as_str())
            .collect();
        let enough = (used + needed).to_string();
        let mut outcome =
            Outcome::fail(summary).fixes(Value::at_restart("max_replication_slots", &enough).fixes(facts));
        for slot in idle.iter().take(3) {
            outcome = outcome.sql(ddl::drop_slot(slot), "its owner, if nobody needs it: it has no reader now");
        }
        outcome.objects(idle)
    };
    Ok(Some(outcome.evidence("max_replication_slots", max).evidence("used", used).evidence("needed", needed)))
}

pub(crate) static WALSENDERS_FREE: Check = Check {
    id: "walsenders-free",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Blocker,
    why: "Each replication connection takes a walsender; backups and standbys take theirs from the same number.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| {
        let Some(max) = facts.number("max_wal_senders") else {
            return Some(unseen_setting(facts, "max_wal_senders"));
        };
        let activity = match &facts.activity {
            Seen::Yes(activity) => activity,
            Seen::No(reason) => return Some(unseen(facts, Part::Activity, reason)),
        };
        let used = i64::from(activity.walsenders);
        // A run that streams already holds its own.
        let running = facts.slot(&profile.slot).is_some_and(|slot| slot.active);
        let needed = i64::from(!running) + i64::from(profile.initial_copy);
        let free = (max - used).max(0);
        let summary = format!("{free} of {max} walsenders free, {needed} needed");
        let outcome = if free >= needed {
            Outcome::pass(summary)
        } else {
            let enough = (used + needed).to_string();
            Outcome::fail(summary).fixes(Value::at_restart("max_wal_senders", &enough).fixes(facts))
        };
        Some(outcome.evidence("max_wal_senders", max).evidence("used", used).evidence("needed", needed))
    },
};

pub(crate) static SLOT_WAL_KEEP_SIZE: Check = Check {
    id: "slot-wal-keep-size",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Warning,
    why: "A slot whose reader stops holds WAL back: without a limit until the disk is full, with a small one it is lost.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, _| {
        let Some(limit) = facts.number("max_slot_wal_keep_size") else {
            return Some(unseen_setting(facts, "max_slot_wal_keep_size"));
        };
        let raise = Value::at_reload("max_slot_wal_keep_size", "50GB", "51200").fixes(facts);
        let outcome = match limit {
            ..0 => {
                Outcome::warn("max_slot_wal_keep_size is -1: a stopped reader can fill the disk").fixes(raise).advice(
                    "Choose a limit that the disk can bear and that outlasts the longest pause you expect.",
                    "superuser",
                )
            }
            0 => {
                Outcome::fail("max_slot_wal_keep_size is 0: the slot is lost at the first checkpoint behind its reader")
                    .severity(Severity::Blocker)
                    .fixes(raise)
            }
            1..SMALL_KEEP_MB => {
                Outcome::warn(format!("max_slot_wal_keep_size is only {limit} MB: a short pause may cost the slot"))
                    .fixes(raise)
            }
            _ => Outcome::pass(format!("max_slot_wal_keep_size is {}", size(limit.saturating_mul(1024 * 1024)))),
        };
        Some(outcome.evidence("max_slot_wal_keep_size_mb", limit))
    },
};

pub(crate) static DEAD_SLOTS: Check = Check {
    id: "dead-slots-present",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Warning,
    why: "A slot that nobody reads holds WAL and dead catalog rows back for as long as it exists.",
    doc: "https://www.postgresql.org/docs/current/view-pg-replication-slots.html",
    judge: |facts, profile| settle(dead_slots(facts, profile)),
};

fn dead_slots(facts: &Facts, profile: &Profile) -> Judged {
    let dead: Vec<&Slot> = slots(facts)?
        .iter()
        .filter(|slot| !slot.active && !slot.synced && !slot.temporary && slot.slot_name != profile.slot)
        .collect();
    if dead.is_empty() {
        return Ok(Some(Outcome::pass("no other slot lies idle")));
    }
    let named: Vec<String> = dead
        .iter()
        .map(|slot| match slot.retained {
            Some(bytes) => format!("{} (holds {})", slot.slot_name, size(bytes.max(0))),
            None => slot.slot_name.clone(),
        })
        .collect();
    let mut outcome = Outcome::warn(format!(
        "{}: {}",
        count(dead.len(), "other slot has no reader", "other slots have no reader"),
        some_of(&named)
    ))
    .objects(dead.iter().map(|slot| &slot.slot_name));
    // One that reserves nothing, or is lost already, only takes a place.
    let holds = |slot: &&Slot| slot.retained.is_some() || slot.catalog_age.is_some();
    if !dead.iter().any(holds) {
        outcome = outcome.severity(Severity::Info);
    }
    for slot in &dead {
        outcome = outcome.sql(ddl::drop_slot(&slot.slot_name), "its owner, who confirms that nobody needs it");
    }
    Ok(Some(outcome))
}

pub(crate) static IDLE_SLOT_TIMEOUT: Check = Check {
    id: "idle-slot-timeout",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Warning,
    why: "A slot that is not read for that long is invalidated, and everything has to be copied again.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, _| {
        if facts.server.major() < 18 {
            return None;
        }
        let Some(seconds) = facts.number("idle_replication_slot_timeout") else {
            return Some(unseen_setting(facts, "idle_replication_slot_timeout"));
        };
        let outcome = match seconds {
            0 => Outcome::pass("idle_replication_slot_timeout is off"),
            SHORT_IDLE_TIMEOUT_S.. => Outcome::pass(format!("idle_replication_slot_timeout is {}", duration(seconds))),
            _ => Outcome::warn(format!(
                "idle_replication_slot_timeout is {}: a longer pause costs the slot",
                duration(seconds)
            ))
            .fixes(Value::at_reload("idle_replication_slot_timeout", "0", "0").fixes(facts)),
        };
        Some(outcome.evidence("idle_replication_slot_timeout_s", seconds))
    },
};

pub(crate) static WAL_SENDER_TIMEOUT: Check = Check {
    id: "wal-sender-timeout",
    family: Family::Settings,
    method: CDC,
    severity: Severity::Warning,
    why: "A reader that does not answer for that long is disconnected, also while it applies a big transaction.",
    doc: "https://www.postgresql.org/docs/current/runtime-config-replication.html",
    judge: |facts, profile| {
        let Some(limit) = facts.number("wal_sender_timeout") else {
            return Some(unseen_setting(facts, "wal_sender_timeout"));
        };
        let outcome = if (1..SHORT_SENDER_TIMEOUT_MS).contains(&limit) {
            let user = crate::catalog::ident::quote_ident(&profile.source.user);
            Outcome::warn(format!("wal_sender_timeout is only {limit} ms"))
                .sql(format!("ALTER ROLE {user} SET wal_sender_timeout = '60s'"), "superuser, or the role itself")
        } else if limit == 0 {
            Outcome::pass("wal_sender_timeout is off")
        } else {
            Outcome::pass(format!("wal_sender_timeout is {}", duration(limit / 1000)))
        };
        Some(outcome.evidence("wal_sender_timeout_ms", limit))
    },
};
