//! A recording says the same as what was seen live: the same numbers, the same diagnosis, on the same screens.

use std::os::unix::fs::PermissionsExt;

use crate::support::program::uri;
use crate::support::pty::Terminal;
use crate::support::{await_until, execute, short_of_log, source, walpilot};
use walpilot::connection::Settings;
use walpilot::monitor::recording::{Reader, Writer};
use walpilot::monitor::report::Report;
use walpilot::monitor::state::SlotState;
use walpilot::monitor::{Moment, Sampler, Target, Watcher};

fn report(watcher: &Watcher) -> serde_json::Value {
    serde_json::to_value(Report::of(watcher).expect("a sample")).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_what_was_said_live_at_every_moment() {
    let cluster = short_of_log().await;
    let settings = cluster.settings();
    execute(&settings, "CREATE TABLE public.orders (id int PRIMARY KEY); CREATE PUBLICATION p FOR TABLE public.orders")
        .await;
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    execute(&settings, "SELECT pg_create_physical_replication_slot('standby')").await;
    let target = Target {
        source: settings.clone(),
        slot: Some("s".into()),
        publication: Some("p".into()),
        destination: Some(settings.clone()),
        ..Target::default()
    };
    let mut sampler = Sampler::connect(target).await.unwrap_or_else(|failure| panic!("{failure}"));
    sampler.settle().await;
    let (mut live, mut replayed) = (Watcher::default(), Watcher::default());
    let (mut writer, mut reader) = (Writer::default(), Reader::default());
    let mut states = Vec::new();
    await_until("the slot is lost, and gone", async || {
        execute(&settings, "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()").await;
        let sample = sampler.sample().await.unwrap_or_else(|reason| panic!("{reason}"));
        let line = writer.line(Moment(0), &Ok(sample.clone())).expect("a line");
        live.push(sample.clone());
        let read = reader.read(&line).expect("a record").outcome.expect("a sample");
        assert_eq!(*read, sample);
        replayed.push(*read);
        assert_eq!(report(&live), report(&replayed));
        assert_eq!(live.events(), replayed.events());
        let state = live.reading().slot("s").map(|slot| slot.state);
        if states.last() != Some(&state) {
            states.push(state);
        }
        match state {
            Some(SlotState::Lost) => execute(&settings, "SELECT pg_drop_replication_slot('s')").await,
            Some(_) => execute(&settings, "CHECKPOINT").await,
            None => {}
        }
        state.is_none()
    })
    .await;
    assert!(states.len() >= 3, "{states:?}");
}

async fn recorded(settings: &Settings, folder: &std::path::Path) -> String {
    let file = folder.join("night.wrec").to_string_lossy().into_owned();
    let made = walpilot(["record", &file, &uri(settings), "--slot", "s", "--interval", "500ms", "--for", "3s"])
        .password(settings)
        .run()
        .await
        .expect_code(0);
    assert!(made.stdout.contains("samples, ") && made.stdout.contains("walpilot replay"), "{}", made.stdout);
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_recorded_once_for_its_owner_only_and_read_up_to_its_cut() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(&settings, folder.path()).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again =
        walpilot(["record", &file, &uri(&settings), "--for", "1s"]).password(&settings).run().await.expect_code(2);
    assert!(again.stderr.contains("exists and is not overwritten"), "{}", again.stderr);
    let text = std::fs::read_to_string(&file).unwrap();
    let password = settings.password.as_ref().expect("a password").reveal().to_owned();
    assert!(!text.contains(&password));
    let markdown = walpilot(["replay", &file, "--format", "markdown"]).run().await;
    assert!(markdown.stdout.contains("| s | DETACHED |"), "{markdown:?}");
    let json = walpilot(["replay", &file, "--format", "json"]).run().await;
    let report: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(report["slots"][0]["slot"]["name"], "s");

    let cut = folder.path().join("cut.wrec").to_string_lossy().into_owned();
    std::fs::write(&cut, &text[..text.len() - 40]).unwrap();
    let read = walpilot(["replay", &cut, "--format", "line"]).run().await;
    assert!(read.stdout.starts_with("WALPILOT ") && read.stderr.contains("which can't be read"), "{read:?}");
    for (name, content, why) in [
        ("other", "PGDMP\n", "it is no recording"),
        ("empty", "", "it is no recording"),
        ("newer", "{\"walpilot_recording\":99,\"source\":\"s\"}\n", "newer walpilot"),
        ("head", "{\"walpilot_recording\":1,\"source\":\"s\"}\n", "there is no sample in it"),
    ] {
        let path = folder.path().join(name).to_string_lossy().into_owned();
        std::fs::write(&path, content).unwrap();
        let refused = walpilot(["replay", &path, "--format", "line"]).run().await.expect_code(2);
        assert!(refused.stderr.contains(why), "{name}: {}", refused.stderr);
    }
    let away = walpilot(["replay", "/nonexistent/night.wrec"]).run().await.expect_code(2);
    assert!(away.stderr.contains("/nonexistent/night.wrec"), "{}", away.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_is_replayed_on_the_dashboard() {
    let source = source().await;
    let settings = source.settings();
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let folder = tempfile::tempdir().unwrap();
    let file = recorded(&settings, folder.path()).await;
    drop(source);
    let mut terminal = Terminal::start(&["replay", &file], &[]);
    terminal.wait_for("DETACHED");
    terminal.wait_until("the last sample", |screen| screen.contents().contains("stands"));
    terminal.types("{");
    terminal.wait_for("REPLAY 1 of ");
    terminal.types(" ");
    terminal.wait_for("plays 1x");
    terminal.wait_until("its end", |screen| {
        let text = screen.contents();
        !text.contains("REPLAY 1 of ") && text.contains("stands")
    });
    terminal.types("4");
    terminal.wait_for("Lag in time");
    terminal.types("\u{1b}\u{1b}");
    terminal.types("q");
    assert_eq!(terminal.ends(), 0);
}
