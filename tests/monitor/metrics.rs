//! What monitoring systems get: the pages of `walpilot metrics`, the line of `walpilot diagnose`, and the files in
//! `assets/` that use their names.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::program::uri;
use crate::support::{self, Walpilot, await_until, execute, short_of_log, source, walpilot};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use walpilot::connection::{Secret, Settings};

/// A server of `walpilot metrics`; dropping it ends it.
struct Exporter {
    address: String,
    _child: tokio::process::Child,
    _home: tempfile::TempDir,
}

impl Exporter {
    async fn start(settings: &Settings, more: &[&str]) -> Self {
        let uri = uri(settings);
        let mut args = vec!["metrics", &uri, "--listen", "127.0.0.1:0", "--interval", "500ms"];
        args.extend(more);
        Self::of(walpilot(args).password(settings)).await
    }

    async fn of(program: Walpilot) -> Self {
        let (mut child, home) = program.spawn();
        let line = BufReader::new(child.stdout.take().expect("it is there"))
            .lines()
            .next_line()
            .await
            .expect("it is there")
            .expect("a line");
        let address = line.split("http://").nth(1).and_then(|rest| rest.strip_suffix("/metrics"));
        let address = address.unwrap_or_else(|| panic!("no address in {line}")).to_owned();
        Self { address, _child: child, _home: home }
    }

    /// The whole answer to a request, headers and all.
    async fn ask(&self, request: &str) -> String {
        let mut client = TcpStream::connect(&self.address).await.expect("it listens");
        client.write_all(request.as_bytes()).await.expect("it is there");
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.expect("it is there");
        String::from_utf8(answer).expect("UTF-8")
    }

    async fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await
    }

    async fn numbers(&self) -> BTreeMap<String, f64> {
        numbers(&self.get("/metrics").await)
    }
}

/// Every sample by its name and labels.
fn numbers(page: &str) -> BTreeMap<String, f64> {
    let body = page.split_once("\r\n\r\n").map_or(page, |(_, body)| body);
    let samples = body.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| {
            line.rsplit_once(' ')
                .map(|(name, value)| (name.to_owned(), value.parse().expect("it is there")))
                .expect("it is there")
        })
        .collect()
}

/// The rules of the format that a reader relies on: each family has HELP and TYPE before its samples and stands in one
/// piece, no series comes twice, and the page says that it is whole.
fn well_formed(page: &str, open_metrics: bool) -> BTreeSet<String> {
    let body = page.split_once("\r\n\r\n").map_or(page, |(_, body)| body);
    assert!(body.ends_with("# EOF\n"), "{body}");
    let mut families: BTreeSet<String> = BTreeSet::new();
    let (mut family, mut kind) = (String::new(), String::new());
    let mut series = BTreeSet::new();
    for line in body.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, help] => {
                assert!(families.insert(name.to_owned()), "the family {name} comes twice");
                assert!(help.ends_with('.') && name.starts_with("walpilot_"), "{line}");
                name.clone_into(&mut family);
            }
            ["#", "TYPE", name, type_name] => {
                assert_eq!(name, family);
                assert!(["gauge", "counter"].contains(&type_name), "{line}");
                type_name.clone_into(&mut kind);
                let total = name.ends_with("_total");
                assert_eq!(total, kind == "counter" && !open_metrics, "{line}");
            }
            ["#", "UNIT", name, unit] => assert!(name == family && name.ends_with(unit), "{line}"),
            _ => {
                let (name, value) = line.rsplit_once(' ').expect("a value");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(series.insert(name.to_owned()), "{name} comes twice");
                let bare = name.split('{').next().expect("it is there");
                let suffix = if kind == "counter" && open_metrics { "_total" } else { "" };
                assert_eq!(bare, format!("{family}{suffix}"), "{line}");
            }
        }
    }
    families
}

/// Every family by its name as Prometheus stores it, with the labels of its series: from pages in its own format, of a
/// source beside a run with the method cdc, and beside one with the method xmin.
async fn families() -> BTreeMap<String, BTreeSet<String>> {
    let (from, to) = (source().await, support::destination().await);
    execute(&from.settings(), "CREATE TABLE public.t (id int PRIMARY KEY)").await;
    execute(&from.settings(), "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let to_uri = support::program::uri_with_password(&to.settings());
    let mut families: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for run in [include_str!("../fixtures/run.sql"), include_str!("../fixtures/xmin_run.sql")] {
        execute(&to.settings(), "DROP SCHEMA IF EXISTS walpilot CASCADE").await;
        execute(&to.settings(), run).await;
        let page = walpilot(["watch", &uri(&from.settings()), "--to", &to_uri, "--once", "--format", "prometheus"])
            .password(&from.settings())
            .run()
            .await
            .expect_code(0);
        for name in well_formed(&page.stdout, false) {
            families.entry(name).or_default();
        }
        for line in page.stdout.lines().filter(|line| !line.starts_with('#')) {
            let (name, labels) = line.split_once(['{', ' ']).expect("a sample");
            let labels = labels.split("=\"").filter_map(|part| part.rsplit([',', '}', ' ', '"']).next());
            let known = families.get_mut(name).expect("a family");
            known.extend(
                labels.filter(|label| label.chars().all(|c| c.is_ascii_lowercase() || c == '_')).map(str::to_owned),
            );
        }
    }
    families
}

/// The expressions of a dashboard's panels and variables.
fn expressions(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::Array(values) => values.iter().flat_map(expressions).collect(),
        serde_json::Value::Object(fields) => {
            let own = fields.get("expr").and_then(|expression| expression.as_str()).map(str::to_owned);
            own.into_iter().chain(fields.values().flat_map(expressions)).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether every bracket and quotation mark of an expression has its partner.
fn is_balanced(expression: &str) -> bool {
    let mut open = Vec::new();
    let mut quoted = false;
    for c in expression.chars() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' => open.push(')'),
            '[' => open.push(']'),
            '{' => open.push('}'),
            ')' | ']' | '}' if open.pop() != Some(c) => return false,
            _ => {}
        }
    }
    open.is_empty() && !quoted
}

fn used_in(text: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for (at, _) in text.match_indices("walpilot_") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        used.insert(text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect());
    }
    used
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_shows_every_name_and_dashboard_and_alerts_use_none_that_does_not_exist() {
    let families = families().await;
    let names: BTreeSet<String> = families.keys().cloned().collect();
    let read = |file: &str| std::fs::read_to_string(file).expect("a file of the project");
    let (dashboard, alerts) = (read("assets/grafana/walpilot.json"), read("assets/prometheus/walpilot-alerts.yml"));
    for text in [&dashboard, &alerts] {
        let unknown: Vec<String> = used_in(text).difference(&names).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?} are used; there are {names:#?}");
    }
    let unseen: Vec<&String> = names.iter().filter(|name| !used_in(&dashboard).contains(*name)).collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");

    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    let mut ids = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].as_u64()), "the id of {} comes twice", panel["title"]);
        let place =
            |name: &str| panel["gridPos"][name].as_u64().unwrap_or_else(|| panic!("{name} of {}", panel["title"]));
        assert!(place("x") + place("w") <= 24, "{}", panel["title"]);
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
        let shows = panel["targets"].as_array().is_some_and(|targets| !targets.is_empty());
        assert_eq!(panel["type"] != "row", shows, "{}", panel["title"]);
    }
    for expression in expressions(&dashboard) {
        assert!(is_balanced(&expression) && expression.contains("instance=~"), "{expression}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_alert_says_how_bad_it_is_and_names_what_its_series_carry() {
    let families = families().await;
    let file = "assets/prometheus/walpilot-alerts.yml";
    let text = std::fs::read_to_string(file).expect(file);
    let mut names = BTreeSet::new();
    for alert in text.split("      - alert: ").skip(1) {
        let name = alert.lines().next().unwrap_or_default();
        assert!(!name.is_empty() && names.insert(name), "{name}");
        let field = |key: &str| {
            let key = format!("{key}: ");
            alert.lines().find_map(|line| line.trim_start().strip_prefix(key.as_str())).map(str::to_owned)
        };
        let expression = field("expr").unwrap_or_else(|| panic!("{name} has no expression"));
        assert!(is_balanced(&expression), "{expression}");
        let severity = field("severity").unwrap_or_default();
        assert!(["critical", "warning", "info"].contains(&severity.as_str()), "{name}: {severity}");
        if let Some(time) = field("for") {
            let (number, unit) = time.split_at(time.len() - 1);
            assert!(number.parse::<u32>().is_ok() && ["s", "m", "h"].contains(&unit), "{name}: {time}");
        }
        let said = format!("{} {}", field("summary").expect(name), field("description").expect(name));
        let known: BTreeSet<&String> =
            used_in(&expression).into_iter().flat_map(|name| families[&name].iter()).collect();
        for (at, _) in said.match_indices("$labels.") {
            let label: String = said[at + 8..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            assert!(label == "instance" || known.contains(&label), "{name}: {label} is none of {known:?}");
        }
    }
    // The judge of the format, where it is installed.
    match std::process::Command::new("promtool").args(["check", "rules", file]).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_series_of_a_slot_stay_when_it_is_lost_and_tell_when_it_is_gone() {
    let cluster = short_of_log().await;
    let settings = cluster.settings();
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let exporter = Exporter::start(&settings, &["--slot", "wanted"]).await;
    let slot_lost = |page: &BTreeMap<String, f64>| page.get("walpilot_slot_lost{slot=\"s\"}").copied();
    await_until("the first sample", async || slot_lost(&exporter.numbers().await) == Some(0.0)).await;
    let before = exporter.numbers().await;
    assert_eq!(before["walpilot_slot_present{slot=\"wanted\"}"], 0.0);
    assert_eq!(before["walpilot_slot_present{slot=\"s\"}"], 1.0);
    assert_eq!(before["walpilot_source_slot_wal_limit_bytes"], 32.0 * 1_048_576.0);
    assert!(before["walpilot_slot_safe_bytes{slot=\"s\"}"] > 0.0);
    await_until("the slot is lost", async || {
        execute(&settings, "SELECT pg_logical_emit_message(false, 'fill', repeat('x', 1000)), pg_switch_wal()").await;
        execute(&settings, "CHECKPOINT").await;
        slot_lost(&exporter.numbers().await) == Some(1.0)
    })
    .await;
    let after = exporter.numbers().await;
    let of_slot = |page: &BTreeMap<String, f64>| -> BTreeSet<String> {
        page.keys().filter(|name| name.contains("slot=\"s\"")).cloned().collect()
    };
    assert_eq!(of_slot(&before), of_slot(&after));
    assert_eq!(after["walpilot_slot_state{slot=\"s\",state=\"lost\"}"], 1.0);
    for name in ["walpilot_slot_retained_bytes", "walpilot_slot_safe_bytes", "walpilot_slot_time_to_loss_seconds"] {
        assert_eq!(after[&format!("{name}{{slot=\"s\"}}")], 0.0, "{name}");
    }
    assert!(after["walpilot_slot_lag_bytes{slot=\"s\"}"] > 0.0);
    execute(&settings, "SELECT pg_drop_replication_slot('s')").await;
    await_until("its absence", async || {
        exporter.numbers().await.get("walpilot_slot_present{slot=\"s\"}") == Some(&0.0)
    })
    .await;
    assert_eq!(slot_lost(&exporter.numbers().await), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_as_a_monitoring_system_asks_and_says_when_the_source_is_gone() {
    let mut cluster = source().await;
    let settings = cluster.settings();
    execute(&settings, "CREATE TABLE public.\"a\"\"b\\c\nd\" (id int PRIMARY KEY)").await;
    let exporter = Exporter::start(&settings, &[]).await;
    await_until("it is healthy", async || exporter.get("/healthz").await.starts_with("HTTP/1.1 200")).await;
    let open = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n";
    let page = exporter.ask(open).await;
    assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"), "{page}");
    well_formed(&page, true);
    assert!(page.contains("table=\"a\\\"b\\\\c\\\\u{a}d\""), "{page}");
    let plain = exporter.get("/metrics").await;
    assert!(plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
    well_formed(&plain, false);
    for (request, answer) in [
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "HTTP/1.1 405"),
        ("GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 404"),
        ("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200"),
        ("nonsense\r\n\r\n", "HTTP/1.1 400"),
    ] {
        let said = exporter.ask(request).await;
        assert!(said.starts_with(answer), "{request:?}: {said}");
    }
    assert!(exporter.ask("HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.ends_with("\r\n\r\n"));
    cluster.stop_immediate().await.unwrap();
    await_until("the loss is told", async || exporter.get("/healthz").await.starts_with("HTTP/1.1 503")).await;
    let page = exporter.numbers().await;
    assert_eq!(page["walpilot_source_up"], 0.0);
    assert!(page["walpilot_sample_failures_total"] >= 1.0 && page["walpilot_sample_timestamp_seconds"] > 1.7e9);
    assert!(!page.keys().any(|name| name.starts_with("walpilot_slot") || name.starts_with("walpilot_table")));
    cluster.start_again().await.unwrap();
    await_until("it is back", async || exporter.numbers().await["walpilot_source_up"] == 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_sources_stand_on_one_page_under_their_names() {
    let (one, mut other) = (source().await, source().await);
    let home = tempfile::tempdir().expect("a folder");
    let home_name = home.path().to_string_lossy().into_owned();
    for (name, cluster) in [("one", &one), ("other", &other)] {
        // One role with one password, so that one PGPASSWORD opens both.
        execute(&cluster.settings(), "CREATE ROLE watcher LOGIN PASSWORD 'looks'").await;
        execute(&cluster.settings(), "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
        let settings = cluster.settings().as_user("watcher", Some(Secret::new("looks")));
        let save = walpilot(["profiles", "save", name, &uri(&settings)]);
        save.env("HOME", &home_name).env("PGPASSWORD", "looks").run().await.expect_code(0);
    }
    let args = ["metrics", "--fleet", "all", "--listen", "127.0.0.1:0", "--interval", "500ms"];
    let exporter = Exporter::of(walpilot(args).env("HOME", &home_name).env("PGPASSWORD", "looks")).await;
    let lag = |page: &BTreeMap<String, f64>, name: &str| {
        page.get(&format!("walpilot_slot_lag_bytes{{profile=\"{name}\",slot=\"s\"}}")).copied()
    };
    await_until("both are there", async || {
        let page = exporter.numbers().await;
        lag(&page, "one").is_some() && lag(&page, "other").is_some()
    })
    .await;
    well_formed(&exporter.get("/metrics").await, false);
    assert!(exporter.get("/healthz").await.starts_with("HTTP/1.1 200"));
    other.stop_immediate().await.expect("it is stopped");
    await_until("the loss of one is told", async || {
        let page = exporter.numbers().await;
        page["walpilot_source_up{profile=\"other\"}"] == 0.0 && lag(&page, "one").is_some()
    })
    .await;
    let health = exporter.get("/healthz").await;
    assert!(health.starts_with("HTTP/1.1 503") && health.contains("\r\n\r\nother: "), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_line_and_an_exit_code_say_what_is_wrong() {
    let cluster = source().await;
    let settings = cluster.settings();
    execute(&settings, "ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'").await;
    execute(&settings, "SELECT pg_reload_conf()").await;
    let diagnose = async |more: &[&str]| {
        let uri = uri(&settings);
        let mut args = vec!["diagnose", &uri, "--for", "1s"];
        args.extend(more);
        walpilot(args).password(&settings).run().await
    };
    let fine = diagnose(&[]).await.expect_code(0);
    assert!(fine.stdout.starts_with("WALPILOT OK - 0 slots|critical=0;;;0 warning=0;;;0"), "{}", fine.stdout);
    let missing = diagnose(&["--slot", "nobody"]).await.expect_code(2);
    assert!(missing.stdout.starts_with("WALPILOT CRITICAL - there is no slot \"nobody\"|"), "{}", missing.stdout);
    execute(&settings, "SELECT pg_create_logical_replication_slot('s', 'pgoutput')").await;
    let seen = diagnose(&[]).await;
    assert_eq!(seen.stdout.lines().count(), 1, "{}", seen.stdout);
    let (_, data) = seen.stdout.split_once('|').expect("performance data");
    assert!(data.contains("'s_lag'=") && data.contains("'s_held'="), "{data}");
    let report = diagnose(&["--format", "markdown"]).await;
    for part in ["# Replication of ", "## Diagnosis", "## Slots", "| s | DETACHED |", "## Events"] {
        assert!(report.stdout.contains(part), "{part}: {}", report.stdout);
    }
    for (args, said) in [
        (&["diagnose", "postgres://nobody@127.0.0.1:1/x"][..], "WALPILOT UNKNOWN - Nothing listens on 127.0.0.1:1"),
        (&["diagnose", "postgres://h:99999/d"], "WALPILOT UNKNOWN"),
    ] {
        let unknown = walpilot(args).run().await.expect_code(3);
        assert!(unknown.stdout.starts_with(said) && unknown.stderr.is_empty(), "{unknown:?}");
    }
    walpilot(["diagnose", "--nonsense"]).run().await.expect_code(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_cannot_be_had_is_named() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = walpilot(["metrics", "postgres://h/d", "--listen", &address]).run().await.expect_code(4);
    assert!(said.stderr.contains(&format!("Another program listens on {address}")), "{}", said.stderr);
    let said = walpilot(["metrics", "postgres://h/d", "--listen", "nonsense"]).run().await.expect_code(2);
    assert!(said.stderr.contains("127.0.0.1:9187"), "{}", said.stderr);
    let said = walpilot(["watch", "postgres://h/d", "--format", "prometheus"]).run().await.expect_code(2);
    assert!(said.stderr.contains("--once"), "{}", said.stderr);
}
