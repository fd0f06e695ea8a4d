//! R19: native subscriptions at the destination that do not work.

use super::case::Case;
use super::finding::{Action, Finding, Severity};
use crate::catalog::ident::quote_ident;
use crate::connection::printable;
use crate::monitor::destination::Destination;
use crate::monitor::subscription::Subscription;
use crate::monitor::units;

/// R19: switched off, or failing; R19b: conflicts.
pub(super) fn subscriptions(at: &Case<'_>) -> Vec<Finding> {
    let Some(Destination::Reached(reached)) = &at.sample.destination else { return Vec::new() };
    let Some(there) = reached.subscriptions.known() else { return Vec::new() };
    there
        .subscriptions
        .iter()
        .flat_map(|subscription| stopped(at, subscription).into_iter().chain(conflicts(subscription)))
        .collect()
}

fn stopped(at: &Case<'_>, subscription: &Subscription) -> Option<Finding> {
    let errors = at.history.subscription_errors(&subscription.name);
    let object = format!("subscription {}", printable(&subscription.name));
    let total = subscription.counter("apply_error_count").zip(subscription.counter("sync_error_count"));
    let counted = total.map_or_else(String::new, |(apply, sync)| {
        format!(" So far {} errors in applying and {} in copying.", units::count(apply), units::count(sync))
    });
    let enable = Action::run(
        "Switch it on",
        format!("ALTER SUBSCRIPTION {} ENABLE;", quote_ident(&subscription.name)),
        "its owner, at the destination",
    )
    .at_risk("it stops at the same change again unless that is mended");
    let read = Action::advice(
        "Read the destination's log: it names the change that can't be applied, its table and the position where it ends",
    );
    let skip = Action::run(
        "Mend the row at the destination, or skip that transaction (15 and newer)",
        format!("ALTER SUBSCRIPTION {} SKIP (lsn = '…');", quote_ident(&subscription.name)),
        "its owner, with pg_create_subscription or as a superuser",
    )
    .at_risk("the whole transaction is left out: both sides differ from then on");
    if !subscription.enabled {
        let why = match subscription.disable_on_error {
            Some(true) => "it is switched off, as disable_on_error does after an error",
            _ => "it is switched off",
        };
        let held = subscription
            .slot
            .as_deref()
            .map_or_else(String::new, |slot| format!(" Slot {} holds log at the source meanwhile.", printable(slot)));
        let evidence = format!("At the destination {why}.{counted}{held}");
        let title = "the subscription is switched off";
        return Some(Finding::new("R19", Severity::Critical, object, title, evidence, vec![read, skip, enable]));
    }
    if errors > 0 {
        let evidence =
            format!("{} errors in the last minutes: its worker ends and starts again.{counted}", units::count(errors));
        let title = "the subscription fails again and again";
        return Some(Finding::new("R19", Severity::Critical, object, title, evidence, vec![read, skip]));
    }
    if subscription.pid.is_none() {
        let evidence = format!(
            "It is enabled and no worker runs for it: it can't connect, fails, or max_logical_replication_workers is reached.{counted}"
        );
        let look =
            Action::run("See the workers", "SELECT * FROM pg_stat_subscription;", "any role, at the destination");
        let title = "the subscription has no worker";
        return Some(Finding::new("R19", Severity::Critical, object, title, evidence, vec![read, look]).lasting(15));
    }
    None
}

fn conflicts(subscription: &Subscription) -> Option<Finding> {
    let conflicts = subscription.conflicts();
    if conflicts.is_empty() {
        return None;
    }
    let kinds: Vec<String> =
        conflicts.iter().map(|(kind, count)| format!("{} {}", units::count(*count), kind.replace('_', " "))).collect();
    let evidence = format!("Since its statistics were reset: {}.", kinds.join(", "));
    let actions = vec![
        Action::advice("Both sides differed in those rows; the destination's log names them. Compare the tables"),
        Action::run(
            "When that is settled, count anew",
            format!(
                "SELECT pg_stat_reset_subscription_stats(oid) FROM pg_subscription WHERE subname = {};",
                crate::catalog::ident::quote_literal(&subscription.name)
            ),
            "a superuser, at the destination",
        ),
    ];
    let object = format!("subscription {}", printable(&subscription.name));
    Some(Finding::new("R19b", Severity::Warning, object, "the subscription met conflicts", evidence, actions))
}
