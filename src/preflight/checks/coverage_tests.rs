//! That no check is left out: each one passes on a healthy source, raises on a spoilt one, and says what it can't see.

use std::collections::{BTreeMap, BTreeSet};

use super::fixture::{Case, Spoil, deep, destination, healthy, judge, no, profile};
use super::{CATALOGUE, Check, check};
use crate::catalog::facts::{Facts, Seen};
use crate::preflight::{Finding, FixKind, Severity, Status, evaluate};
use crate::profile::{Method, Profile};

/// All cases, in the order in which a failure counts them.
fn cases() -> impl Iterator<Item = &'static Case> {
    super::tests::CASES.iter().chain(super::more_tests::CASES)
}

/// Checks that no case can make raise, and why.
const NEVER_RAISE: &[(&str, &str)] =
    &[("connect-dns-tcp", "where there are facts, the server was reached: it is judged from the failure")];

/// Checks that can't pass on a source that is as it should be, and why.
const NEVER_PASS: &[(&str, &str)] =
    &[("xmin-deletes", "the method never sees deletes"), ("xmin-rewrite-events", "no rewrite can be ruled out")];

/// Checks that need nothing which a role could be denied, and why.
const NEVER_UNSEEN: &[(&str, &str)] = &[
    ("connect-dns-tcp", "judged from the failure"),
    ("connect-auth", "the role is read with the very first query: without it there are no facts"),
    ("connect-tls", "our own end of the connection"),
    ("server-version", "sent at the login"),
    ("in-recovery", "read with the very first query"),
    ("pooler-detected", "what the connection itself shows"),
    ("role-can-replicate", "the role's attributes, and the server's own answer"),
    ("replication-hba", "the server's own answer"),
    ("role-is-superuser", "the role's attributes"),
    ("role-expiry", "the role's attributes"),
    ("slot-name-valid", "the profile alone"),
    ("slot-database", "skipped: slot-exists says what can't be seen"),
    ("slot-type", "skipped: slot-exists says what can't be seen"),
    ("slot-plugin", "skipped: slot-exists says what can't be seen"),
    ("slot-active-elsewhere", "skipped: slot-exists says what can't be seen"),
    ("slot-lost", "skipped: slot-exists says what can't be seen"),
    ("slot-synced-copy", "skipped: slot-exists says what can't be seen"),
    ("slot-retained-now", "skipped: slot-exists says what can't be seen"),
    ("slot-without-snapshot", "skipped: slot-exists says what can't be seen"),
    ("slot-ahead-of-state", "skipped: slot-exists says what can't be seen"),
    ("publication-operations", "skipped: publication-exists says what can't be seen"),
    ("publication-owner-drift", "skipped: publication-exists says what can't be seen"),
    ("future-tables", "skipped: publication-exists says what can't be seen"),
    ("output-plugin-available", "only where the slot could be tried"),
    ("upgrade-ahead", "the version alone"),
    ("subscriber-capacity", "destination-basics says what can't be seen"),
];

/// Hides a part of the facts.
type Hide = fn(&mut Facts);

/// The parts of the facts, each with the way to hide it.
const PARTS: [(&str, Hide); 10] = [
    ("database", |f| f.database = Seen::No(no())),
    ("settings", |f| f.settings = Seen::No(no())),
    ("slots", |f| f.slots = Seen::No(no())),
    ("activity", |f| f.activity = Seen::No(no())),
    ("publication", |f| f.publication = Seen::No(no())),
    ("members", |f| f.members = Seen::No(no())),
    ("schemas", |f| f.schemas = Seen::No(no())),
    ("relations", |f| f.relations = Seen::No(no())),
    ("columns", |f| f.columns = Seen::No(no())),
    ("cluster", |f| f.cluster = Seen::No(no())),
];

/// A healthy source of both methods, with deep probes and a destination.
fn everything() -> [(Facts, Profile); 3] {
    let (mut cdc, mut standby, xmin) = (healthy(), healthy(), healthy());
    for facts in [&mut cdc, &mut standby] {
        deep(facts);
        destination(facts, |_| ());
    }
    standby.server.in_recovery = true;
    let mut by_xmin = profile();
    by_xmin.method = Method::Xmin;
    let mut xmin = xmin;
    deep(&mut xmin);
    xmin.server.in_recovery = true;
    [(cdc, profile()), (standby, profile()), (xmin, by_xmin)]
}

fn findings(hide: Option<Hide>) -> Vec<Finding> {
    let all = everything().into_iter().flat_map(|(mut facts, profile)| {
        if let Some(hide) = hide {
            hide(&mut facts);
        }
        evaluate(&facts, &profile).findings
    });
    all.collect()
}

fn without(reasons: &[(&str, &str)], known: &BTreeSet<&str>) -> Vec<&'static str> {
    let ids = CATALOGUE.iter().map(|check: &&Check| check.id);
    ids.filter(|id| !known.contains(id) && reasons.iter().all(|(other, _)| other != id)).collect()
}

/// The statuses that cases, a healthy source and hidden parts bring about, by check.
fn shown() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut shown: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut note = |id: &'static str, status: Status| {
        let name = match status {
            Status::Pass => "pass",
            Status::Warn | Status::Fail => "raise",
            Status::Unseen => "unseen",
            Status::Skipped => "skipped",
        };
        shown.entry(id).or_default().insert(name);
    };
    cases().for_each(|case| note(case.0, case.2));
    for hide in std::iter::once(None).chain(PARTS.iter().map(|(_, hide)| Some(*hide))) {
        findings(hide).iter().for_each(|finding| note(finding.id, finding.status));
    }
    shown
}

#[test]
fn each_check_passes_raises_and_says_what_it_can_not_see() {
    let shown = shown();
    for (status, reasons) in [("pass", NEVER_PASS), ("raise", NEVER_RAISE), ("unseen", NEVER_UNSEEN)] {
        let has = |id: &str| shown.get(id).is_some_and(|statuses| statuses.contains(status));
        let known: BTreeSet<&str> = CATALOGUE.iter().map(|check| check.id).filter(|id| has(id)).collect();
        let lacking = without(reasons, &known);
        assert!(lacking.is_empty(), "nothing makes these checks {status}: {lacking:#?}");
        let stale: Vec<_> = reasons.iter().filter(|(id, _)| known.contains(id)).collect();
        assert!(stale.is_empty(), "these checks {status} after all: {stale:#?}");
    }
}

#[test]
fn what_is_hidden_is_never_called_in_order_and_a_grant_would_open_it() {
    let healthy = findings(None);
    for (part, hide) in PARTS {
        let mut unseen = 0;
        for finding in findings(Some(hide)) {
            match finding.status {
                Status::Unseen => {
                    unseen += 1;
                    let grants =
                        |fix: &crate::preflight::Fix| fix.kind == FixKind::Sql && fix.text.starts_with("GRANT ");
                    assert!(finding.fixes.iter().any(grants), "{part}: {finding:#?}");
                }
                // Hiding something makes nothing worse than it was.
                Status::Fail | Status::Warn => {
                    let same = healthy.iter().any(|one| (one.id, one.status) == (finding.id, finding.status));
                    assert!(same || finding.severity == Severity::Info, "{part}: {finding:#?}");
                }
                Status::Pass | Status::Skipped => {}
            }
        }
        assert!(unseen > 0, "nothing tells that {part} is hidden");
    }
}

#[test]
fn each_check_says_what_is_spoilt() {
    let mut wrong = Vec::new();
    for (number, (id, spoil, status, severity, word)) in cases().enumerate() {
        let (mut facts, mut profile) = (healthy(), profile());
        spoil(&mut facts, &mut profile);
        let Some(finding) = judge(id, &facts, &profile) else {
            wrong.push(format!("case {number}: {id} did not apply"));
            continue;
        };
        let texts = finding.fixes.iter().map(|fix| fix.text.as_str()).chain([finding.summary.as_str()]);
        let said = texts.into_iter().any(|text| text.contains(word));
        let counted = finding.object_count == finding.objects.len();
        let owned =
            *status != Status::Skipped || check(finding.evidence["owner"].as_str().unwrap_or_default()).is_some();
        if (finding.status, finding.severity) != (*status, *severity) || !said || !counted || !owned {
            wrong.push(format!("case {number} ({status:?}, {severity:?}, {word:?}): {finding:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn whatever_raises_says_what_to_do() {
    for (number, (id, spoil, status, severity, _)) in cases().enumerate() {
        let spoil: &Spoil = spoil;
        let (mut facts, mut profile) = (healthy(), profile());
        spoil(&mut facts, &mut profile);
        let Some(finding) = judge(id, &facts, &profile) else { continue };
        let silent = finding.fixes.is_empty() && *severity != Severity::Info;
        assert!(!silent || matches!(status, Status::Pass | Status::Skipped), "case {number}: {finding:#?}");
        // One statement at a time: what is copied into psql -c or a migration runs as a transaction of its own.
        for fix in &finding.fixes {
            let several = fix.text.contains("ALTER SYSTEM") && fix.text.matches(';').count() > 1;
            assert!(!several && !fix.text.contains('\n') && !fix.who.is_empty(), "case {number}: {fix:#?}");
        }
    }
}
