//! The dashboard as it looks: at three sizes, without data, without its source, without colours; and the picture of
//! the README, which is drawn by the same code.

mod fixture;
mod svg;

use std::path::Path;
use std::time::{Duration, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use walpilot::tui::app::dashboard::{Dashboard, DashboardAction, Panel};
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
    dashboard.act(DashboardAction::Show(Panel::Tables));
    dashboard.act(DashboardAction::Zoom);
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
    dashboard.act(DashboardAction::Show(Panel::Diagnosis));
    dashboard.act(DashboardAction::Freeze);
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
        dashboard.act(DashboardAction::Show(panel));
        insta::assert_snapshot!(format!("alone_{name}"), screen(&dashboard, (80, 22)));
    }
}

#[test]
fn the_worst_slot_opened_on_a_large_terminal() {
    let mut dashboard = fixture::full();
    dashboard.act(DashboardAction::First);
    dashboard.act(DashboardAction::Open);
    insta::assert_snapshot!(screen(&dashboard, (120, 38)));
}

#[test]
fn filtered_sorted_and_ten_minutes_ago() {
    let mut dashboard = fixture::full();
    dashboard.act(DashboardAction::Problems);
    dashboard.act(DashboardAction::Sort);
    dashboard.act(DashboardAction::Reverse);
    dashboard.act(DashboardAction::Step(-120));
    dashboard.act(DashboardAction::Measure);
    insta::assert_snapshot!(screen(&dashboard, (120, 38)));
}

#[test]
fn in_ascii_without_colours() {
    let theme = Theme { color: false, ascii: true };
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
                for theme in [Theme::default(), Theme { color: false, ascii: true }] {
                    drawn(&full, theme, (width, height), fixture::now());
                    drawn(&empty, theme, (width, height), fixture::now());
                }
            }
        }
        full.act(DashboardAction::NextPanel);
        if panel == 1 {
            full.act(DashboardAction::Zoom);
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
