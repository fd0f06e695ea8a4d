//! A rehearsal proves the plan, leaves nothing behind, and never makes the application queue.

use crate::setting_up::{MESS, PASSWORD, look, planned, profile};
use crate::support::catalog::catalog;
use crate::support::{prepare, session, source, source_builder, started};
use walpilot::connection::Secret;
use walpilot::profile::Profile;
use walpilot::setup::rehearse::rehearse;

#[tokio::test]
async fn a_rehearsal_shows_what_the_script_clears_and_leaves_nothing() {
    let cluster = started(source_builder().setting("max_slot_wal_keep_size", "10GB")).await;
    let admin = cluster.settings();
    prepare(&admin, MESS);
    let profile = profile(&cluster, "repl");
    let (facts, report) = look(&admin, &profile).await;
    let before = catalog(&cluster, &admin);
    let plan = planned(&facts, &profile);
    let session = session(&admin).await;
    let shown = rehearse(&session, &profile, &plan, &report).await.expect("rehearsed");
    assert_eq!(shown.failed, None);
    assert_eq!(shown.left_out, [("Create slot walpilot_slot".to_owned(), "not possible in a transaction")]);
    assert_eq!(shown.rehearsed, plan.steps.len() - 1);
    assert!(shown.blocked.is_empty(), "{:?}", shown.blocked);
    for id in ["connect-auth", "identity-usable", "identity-leaf-partitions", "publication-exists"] {
        assert!(shown.cleared.contains(&id), "{id}: {:?}", shown.cleared);
    }
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn nobody_queues_behind_a_rehearsal_of_a_table_that_is_in_use() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text); CREATE TABLE other(line text)");
    let before = catalog(&cluster, &admin);
    let profile = Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))));
    let (facts, report) = look(&admin, &profile).await;
    let plan = planned(&facts, &profile);
    let holder = session(&admin).await;
    holder.client.batch_execute("BEGIN; SELECT * FROM public.log").await.expect("an open SELECT");
    // Whoever had to queue behind a lock that is waited for would be refused at once: lock_timeout counts from there.
    let application = session(&admin).await;
    application.client.batch_execute("SET lock_timeout = '1ms'").await.expect("set");
    let rehearsing = session(&admin).await;
    let rehearsal = rehearse(&rehearsing, &profile, &plan, &report);
    let mut rehearsal = std::pin::pin!(rehearsal);
    let mut statements = 0;
    let shown = loop {
        tokio::select! {
            biased;
            shown = &mut rehearsal => break shown.expect("rehearsed"),
            done = application.client.batch_execute("INSERT INTO public.log VALUES ('a'); UPDATE public.log SET line = 'b'") => {
                done.unwrap_or_else(|error| panic!("the application had to queue: {error:?}"));
                statements += 1;
            }
        }
    };
    assert!(statements > 0, "the application worked meanwhile");
    let left_out: Vec<&str> = shown.left_out.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(shown.failed, None);
    assert!(left_out.contains(&"Set the replica identity of public.log"), "{left_out:?}");
    assert!(left_out.iter().any(|title| title.starts_with("Create publication")), "{left_out:?}");
    drop(holder);
    assert_eq!(catalog(&cluster, &admin), before);
}

#[tokio::test]
async fn a_step_that_would_fail_is_named_and_nothing_is_changed() {
    let cluster = source().await;
    let admin = cluster.settings();
    prepare(&admin, "CREATE TABLE log(line text); CREATE ROLE weak LOGIN CREATEROLE PASSWORD 'weak'");
    let before = catalog(&cluster, &admin);
    let profile = Profile::new(admin.as_user("repl", Some(Secret::new(PASSWORD))));
    let (facts, report) = look(&admin, &profile).await;
    let plan = planned(&facts, &profile);
    let weak = session(&admin.as_user("weak", Some(Secret::new("weak")))).await;
    let shown = rehearse(&weak, &profile, &plan, &report).await.expect("rehearsed");
    let (_, reason) = shown.failed.expect("it may not");
    assert!(reason.contains("42501"), "{reason}");
    assert_eq!(shown.after, None);
    assert_eq!(catalog(&cluster, &admin), before);
}
