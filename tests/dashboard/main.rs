//! The dashboard as it looks: at three sizes, without data, without its source, without colours; and the picture of
//! the README, which is drawn by the same code. In a real terminal: `keys`, `screens`, `trouble`.

#[path = "../support/mod.rs"]
mod support;

mod fixture;
mod keys;
mod screens;
mod svg;
mod trouble;

use std::path::Path;
use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use walpilot::catalog::Lsn;
use walpilot::monitor::slot::{Consumer, Slot};
use walpilot::monitor::table::{Table, Tables};
use walpilot::monitor::{Moment, Sample};
use walpilot::profile::TableName;
use walpilot::tui::app::action::{Action, Panel};
use walpilot::tui::app::dashboard::{Dashboard, Recording, SlotOrder, Times};
use walpilot::tui::view::Theme;
use walpilot::tui::view::dashboard::draw;

fn drawn(dashboard: &Dashboard, theme: Theme, (width, height): (u16, u16), now: SystemTime) -> Buffer {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    draw(dashboard, theme, now, area, &mut buffer);
    buffer
}

fn text(buffer: &Buffer) -> String {
    let mut lines = Vec::new();
    for y in 0..buffer.area.height {
        let line: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol()).collect();
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

fn screen(dashboard: &Dashboard, size: (u16, u16)) -> String {
    text(&drawn(dashboard, Theme::default(), size, fixture::now()))
}

#[test]
fn at_80x24() {
    // What the wizard's frame leaves of 24 lines.
    insta::assert_snapshot!(screen(&fixture::full(), (80, 20)));
}

#[test]
fn at_80x24_alone_with_the_tables_in_focus() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::Show(Panel::Tables));
    dashboard.act(Action::Zoom);
    insta::assert_snapshot!(screen(&dashboard, (80, 22)));
}

#[test]
fn at_120x40() {
    insta::assert_snapshot!(screen(&fixture::full(), (120, 38)));
}

#[test]
fn at_200x60() {
    insta::assert_snapshot!(screen(&fixture::full(), (200, 58)));
}

#[test]
fn before_the_first_sample() {
    insta::assert_snapshot!(screen(&fixture::empty(), (80, 22)));
}

#[test]
fn with_the_connection_lost() {
    let mut dashboard = fixture::full();
    let reason = "The connection to walpilot@db.example:5432/shop was lost (connection closed).";
    dashboard.sample_failed(reason.to_owned(), Some(fixture::now() + Duration::from_secs(42)), fixture::now());
    let later = fixture::now() + Duration::from_secs(38);
    insta::assert_snapshot!(text(&drawn(&dashboard, Theme::default(), (80, 22), later)));
}

#[test]
fn frozen_with_the_diagnosis_alone() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::Show(Panel::Diagnosis));
    dashboard.act(Action::Freeze);
    let later = fixture::now() + Duration::from_secs(38);
    insta::assert_snapshot!(text(&drawn(&dashboard, Theme::default(), (80, 22), later)));
}

#[test]
fn every_panel_alone_on_a_small_terminal() {
    for (panel, name) in [
        (Panel::Slot, "slot"),
        (Panel::Wal, "wal"),
        (Panel::Lag, "lag"),
        (Panel::Horizon, "horizon"),
        (Panel::Xmin, "xmin"),
        (Panel::Events, "events"),
        (Panel::Visibility, "visibility"),
    ] {
        let mut dashboard = fixture::full();
        dashboard.act(Action::Show(panel));
        insta::assert_snapshot!(format!("alone_{name}"), screen(&dashboard, (80, 22)));
    }
}

#[test]
fn the_worst_slot_opened_on_a_large_terminal() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::First);
    dashboard.act(Action::Open);
    insta::assert_snapshot!(screen(&dashboard, (120, 38)));
}

#[test]
fn enter_leads_from_a_slot_to_its_reader_to_transactions_and_from_a_table_to_its_rows() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::Show(Panel::Slots));
    dashboard.select_slot("dbz_orders");
    for panel in [Panel::Slot, Panel::Reader, Panel::Horizon] {
        dashboard.act(Action::Open);
        assert_eq!(dashboard.panel(), panel);
        if panel == Panel::Reader {
            insta::assert_snapshot!("reader", screen(&dashboard, (80, 22)));
        }
    }
    for panel in [Panel::Reader, Panel::Slot, Panel::Slots] {
        dashboard.act(Action::Back);
        assert_eq!(dashboard.panel(), panel);
    }
    dashboard.act(Action::Show(Panel::Tables));
    assert!(dashboard.select_table("orders"));
    dashboard.act(Action::Open);
    dashboard.counted(fixture::count("orders"));
    insta::assert_snapshot!("table", screen(&dashboard, (80, 22)));
    dashboard.act(Action::Back);
    assert_eq!(dashboard.panel(), Panel::Tables);
}

#[test]
fn an_opened_page_never_shows_another_slot_or_table_than_was_opened() {
    for (open, gone) in [
        (Panel::Slots, "Slot dbz_orders is not there any more"),
        (Panel::Tables, "Table public.orders is not in the list any more"),
    ] {
        let mut dashboard = fixture::full();
        dashboard.act(Action::Show(open));
        dashboard.select_slot("dbz_orders");
        dashboard.select_table("orders");
        dashboard.act(Action::Open);
        if open == Panel::Slots {
            dashboard.act(Action::Open);
        }
        let later = fixture::now() + Duration::from_secs(2);
        let tables = Tables {
            at: Moment::from(later),
            publication_found: true,
            tables: vec![Table { name: TableName::new("public", "other"), ..Table::default() }],
        };
        let slots = vec![Slot { name: "other".to_owned(), ..Slot::default() }];
        let sample = Sample { at: Moment::from(later), slots, tables: Some(tables), ..Sample::default() };
        dashboard.sampled(sample, later);
        let shown = screen(&dashboard, (80, 22));
        assert!(shown.contains(gone), "{shown}");
    }
}

#[test]
fn filtered_sorted_and_ten_minutes_ago() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::Problems);
    dashboard.sort_by(SlotOrder::Name);
    dashboard.act(Action::Reverse);
    dashboard.act(Action::Step(-120));
    dashboard.act(Action::Measure);
    insta::assert_snapshot!(screen(&dashboard, (120, 38)));
}

#[test]
fn sizes_in_bytes_times_as_spans_and_columns_scrolled() {
    let mut dashboard = fixture::full();
    dashboard.act(Action::Sizes);
    dashboard.display_mut().times = Times::Since;
    dashboard.act(Action::Aside(4));
    insta::assert_snapshot!(screen(&dashboard, (120, 38)));
}

#[test]
fn recorded_while_the_source_answers_slowly() {
    let mut dashboard = fixture::full();
    let recording = Recording { file: "night.wrec".to_owned(), samples: 7, bytes: 4_400_000 };
    dashboard.record(Some(recording), fixture::now());
    dashboard.throttle(Some(Duration::from_secs(8)), fixture::now());
    let shown = screen(&dashboard, (200, 58));
    let last = shown.lines().last().unwrap().trim();
    assert_eq!(
        last,
        "looks every 8s, not 2s: the source answers slowly: 2.1 ms, 0.0 % of a core; sees all 24 facts; recording 4.2 MB; 1 connection, read-only"
    );
    assert!(shown.contains("The source answers slowly: it is asked every 8s, not every 2s."), "{shown}");
}

#[test]
fn hostile_names_stay_text_and_wide_ones_keep_the_columns() {
    let mut dashboard = fixture::empty();
    let hostile = "\u{1b}[31m\u{7}red\u{202e}";
    let wide = "注文明細の表".repeat(12);
    let reader = |name: &str| Consumer {
        pid: 7,
        user: Some(name.to_owned()),
        application_name: Some(name.to_owned()),
        client_addr: Some(name.to_owned()),
        ..Consumer::default()
    };
    let slot = |name: &str, text: &str| Slot {
        name: name.to_owned(),
        plugin: Some(text.to_owned()),
        database: Some(text.to_owned()),
        active: true,
        restart_lsn: Some(Lsn(1)),
        confirmed_flush_lsn: Some(Lsn(2)),
        consumer: Some(reader(text)),
        ..Slot::default()
    };
    let tables = [hostile, &wide].map(|name| Table { name: TableName::new(name, name), ..Table::default() });
    let mut sample = Sample {
        at: Moment::from(fixture::now()),
        lsn: Some(Lsn(1 << 40)),
        slots: vec![slot("a", hostile), slot("b", &wide), slot(&"x".repeat(63), "pgoutput")],
        tables: Some(Tables { at: Moment(1), publication_found: true, tables: tables.to_vec() }),
        ..Sample::default()
    };
    sample.server.role = hostile.to_owned();
    sample.server.database = wide.clone();
    dashboard.sampled(sample, fixture::now());
    for panel in Panel::ALL.into_iter().chain([Panel::Reader, Panel::Table, Panel::Xmin, Panel::Visibility]) {
        dashboard.act(Action::Show(panel));
        for size in [(80, 24), (120, 40), (200, 60)] {
            let shown = screen(&dashboard, size);
            let strange = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!shown.contains(strange), "{panel:?} {size:?}");
        }
    }
    dashboard.act(Action::Show(Panel::Slots));
    insta::assert_snapshot!(screen(&dashboard, (120, 24)));
}

#[test]
fn in_ascii_without_colours() {
    let theme = Theme { color: false, ascii: true, ..Theme::default() };
    let buffer = drawn(&fixture::full(), theme, (120, 38), fixture::now());
    let shown = text(&buffer);
    assert!(shown.is_ascii(), "{shown}");
    let colored = buffer.content.iter().any(|cell| cell.fg != ratatui::style::Color::Reset);
    assert!(!colored, "a colour was drawn");
    insta::assert_snapshot!(shown);
}

#[test]
fn no_size_is_too_small_or_too_large_to_draw() {
    let mut full = fixture::full();
    let empty = fixture::empty();
    let sizes: Vec<u16> = (1..20).chain([30, 57, 58, 79, 80, 109, 110, 149, 150, 250]).collect();
    for panel in 0..Panel::ALL.len() {
        for &width in &sizes {
            for &height in &sizes {
                for theme in [Theme::default(), Theme { color: false, ascii: true, ..Theme::default() }] {
                    drawn(&full, theme, (width, height), fixture::now());
                    drawn(&empty, theme, (width, height), fixture::now());
                }
            }
        }
        full.act(Action::NextPanel);
        if panel == 1 {
            full.act(Action::Zoom);
        }
    }
}

/// `WALPILOT_DRAW=1 cargo test --test dashboard picture` draws it anew.
#[test]
#[expect(clippy::disallowed_methods, reason = "the environment asks for a new picture")]
fn the_picture_in_the_readme_is_what_the_program_draws() {
    let buffer = drawn(&fixture::full(), Theme::default(), (120, 40), fixture::now());
    let picture = svg::svg(&buffer, "walpilot's dashboard");
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/dashboard.svg");
    if std::env::var_os("WALPILOT_DRAW").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &picture).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        kept == picture,
        "assets/dashboard.svg is stale; draw it anew: WALPILOT_DRAW=1 cargo test --test dashboard picture"
    );
}
