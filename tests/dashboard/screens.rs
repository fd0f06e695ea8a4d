//! What a person sees on the dashboard in a real terminal: a run by xmin and its panel, long windows, another time zone,
//! a light background, and no colours at all.

use crate::support::program::{password, uri, walpilot};
use crate::support::pty::Terminal;
use crate::support::{self, destination, execute, session, source};
use walpilot::connection::Settings;

/// A dashboard in a terminal of 120 by 40.
fn watch(from: &Settings, to: Option<&Settings>, env: &[(&str, &str)]) -> Terminal {
    let (from_uri, to_uri) = (uri(from), to.map(uri));
    let mut args = vec!["watch", from_uri.as_str()];
    if let Some(to) = &to_uri {
        args.extend(["--to", to.as_str()]);
    }
    let mut all = vec![("PGPASSWORD", password(from)), ("WALPILOT_TO_PASSWORD", to.map_or("", password))];
    all.extend(env);
    let mut terminal = Terminal::start(&args, &all);
    terminal.resizes(120, 40);
    terminal
}

/// The hour of the clock in the first line of the screen.
fn hour(screen: &vt100::Screen) -> Option<u32> {
    let text = screen.contents();
    let word = text.lines().next()?.split_whitespace().find(|word| word.matches(':').count() == 2)?.to_owned();
    word.split(':').next()?.parse().ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_by_xmin_on_its_panel_with_a_long_window_and_local_time() {
    let (from, to) = tokio::join!(source(), destination());
    let (from, to) = (from.settings(), to.settings());
    execute(&from, "CREATE TABLE public.t (id int PRIMARY KEY); INSERT INTO public.t SELECT generate_series(1, 40)")
        .await;
    let (from_uri, to_uri) = (uri(&from), uri(&to));
    let args = ["run", "--from", &from_uri, "--to", &to_uri, "--method", "xmin", "--every", "2s"];
    let run = walpilot(args).password(&from).env("WALPILOT_TO_PASSWORD", password(&to));
    let (run, _home) = run.spawn();
    // What it says is read, or a full pipe would stop it; the end of the task kills it.
    let run = tokio::spawn(run.wait_with_output());
    let mut terminal = watch(&from, Some(&to), &[("TZ", "Asia/Tokyo")]);
    terminal.wait_for("Slots");
    terminal.types("0");
    for line in ["safe upper bound", "watermark", "over 1 table;", "the next begins in", "deletes not seen"] {
        terminal.wait_for(line);
    }
    // A transaction that has written holds the bound back, and its process is named.
    let open = session(&from).await;
    open.client.batch_execute("BEGIN; INSERT INTO public.t VALUES (100)").await.expect("a row");
    // The server counts an id as given only when a later one has ended.
    execute(&from, "INSERT INTO public.t VALUES (101)").await;
    let pid: i32 = open.client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row").get(0);
    terminal.wait_for(&format!("by process {pid}"));
    terminal.wait_for("1 transaction is open");
    open.client.batch_execute("COMMIT").await.expect("a commit");
    terminal.wait_for("would miss nothing now");
    // What is deleted stays at the destination, and the panel counts it.
    execute(&from, "DELETE FROM public.t WHERE id = 1").await;
    terminal.wait_for("1 row that stands at the destination still");

    // Windows beyond what was seen are drawn too, with what there is at their end.
    terminal.types("4");
    terminal.types(":window 6h\r");
    terminal.wait_for("last 6h");
    terminal.types(":window 3d\r");
    terminal.wait_for("last 3d");
    terminal.types("[");
    terminal.wait_for("last 1d");

    terminal.wait_until("the time in UTC", |screen| hour(screen).is_some());
    terminal.types("t");
    terminal.wait_for("Times: Asia/Tokyo.");
    let now = support::value(&from, "SELECT to_char(clock_timestamp() AT TIME ZONE 'Asia/Tokyo', 'HH24')").await;
    let now: u32 = now.parse().expect("an hour");
    terminal.wait_until("the time in Tokyo", |screen| hour(screen).is_some_and(|hour| (hour + 24 - now) % 24 <= 1));
    terminal.types("t");
    terminal.wait_for("Times: ago.");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!run.is_finished(), "the run ended: {:?}", run.await);
    run.abort();
}

/// Whether a cell has a colour of its own.
fn coloured(screen: &vt100::Screen, forbidden: impl Fn(vt100::Color) -> bool) -> bool {
    let (rows, columns) = screen.size();
    let (rows, columns) = (rows.get(), columns.get());
    let cells = (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column)));
    cells
        .filter_map(|(row, column)| screen.cell(row, column))
        .any(|cell| forbidden(cell.fgcolor()) || forbidden(cell.bgcolor()))
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_light_background_and_without_colours_every_panel_can_be_read() {
    let cluster = source().await;
    let settings = cluster.settings();
    execute(&settings, "SELECT pg_create_logical_replication_slot('orphan', 'pgoutput')").await;
    let light = ("COLORFGBG", "0;15");
    for env in [vec![light], vec![light, ("TERM", "xterm")], vec![("NO_COLOR", "1")]] {
        let (sixteen, plain) = (env.contains(&("TERM", "xterm")), env.contains(&("NO_COLOR", "1")));
        let mut terminal = watch(&settings, None, &env);
        terminal.wait_for("orphan");
        terminal.wait_for("Diagnosis");
        for panel in ["1", "2", "3", "4", "5", "6", "7", "8", "0", "v"] {
            terminal.types(panel);
            terminal.wait_until("a screen with legible colours", |screen| {
                !coloured(screen, |colour| match colour {
                    vt100::Color::Default => false,
                    _ if plain => true,
                    // Of the sixteen only red, blue and magenta can be read on every white.
                    vt100::Color::Idx(index) if sixteen => ![1, 4, 5].contains(&index),
                    vt100::Color::Idx(index) => index < 16,
                    vt100::Color::Rgb(..) => true,
                })
            });
        }
        // Where there are colours, they are used.
        terminal.types("1");
        terminal.wait_until("colours, or none", |screen| {
            coloured(screen, |colour| colour != vt100::Color::Default) != plain
        });
        terminal.types("\u{3}");
        assert_eq!(terminal.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn enter_on_a_table_shows_its_rows_and_help_explains_the_panel() {
    let cluster = source().await;
    let settings = cluster.settings();
    execute(&settings, "CREATE TABLE public.orders (id int PRIMARY KEY); INSERT INTO public.orders VALUES (1)").await;
    let mut terminal = watch(&settings, None, &[]);
    terminal.wait_for("orders");
    terminal.types("6\r");
    terminal.wait_for("Table public.orders");
    terminal.wait_for("c counts every row");
    terminal.types("c");
    terminal.wait_for("public.orders: 1 row at the source.");
    terminal.wait_for("=1");
    terminal.types("?");
    terminal.wait_for("updates that needed no new index entry");
    // Beyond its end it goes no further: one key leads back from there.
    let first = |text: &str| text.lines().nth(1).map(str::to_owned);
    terminal.types(&"\u{1b}[6~".repeat(30));
    terminal.types("G");
    terminal.wait_until("the end of the help", |screen| !screen.contents().contains("more ↓"));
    let end = first(&terminal.contents());
    terminal.types("k");
    terminal.wait_until("the line before", |screen| {
        let text = screen.contents();
        text.contains("more ↓") && first(&text) != end
    });
    terminal.types("q");
    terminal.wait_until("no help", |screen| !screen.contents().contains("vacuum has to remove"));
    terminal.types("s");
    terminal.wait_for("most dead rows");
    terminal.types("6\r");
    terminal.types("q");
    terminal.wait_for("sort: most dead rows");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}
