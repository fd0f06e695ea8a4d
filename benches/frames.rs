//! How long a frame of the dashboard takes: 200 by 60, with a hundred slots and a quarter of an hour of samples.
//!
//! `make bench` prints it. The limit is 5 ms, a third of what a terminal of 60 frames a second would leave.

#![expect(clippy::disallowed_macros, clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use walpilot::catalog::Lsn;
use walpilot::monitor::slot::{Consumer, Slot};
use walpilot::monitor::{Moment, Sample, Target};
use walpilot::tui::app::action::{Action, Panel};
use walpilot::tui::app::dashboard::Dashboard;
use walpilot::tui::view::Theme;
use walpilot::tui::view::dashboard::draw;

const SLOTS: u64 = 100;
const SAMPLES: u64 = 450;
const FRAMES: usize = 500;
const LIMIT: Duration = Duration::from_millis(5);

fn time(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_349_021 + 2 * number)
}

fn sample(number: u64) -> Sample {
    let end = (1 << 40) + number * (8 << 20);
    let slot = |at: u64| Slot {
        name: format!("slot_{at:03}"),
        plugin: Some("pgoutput".to_owned()),
        database: Some("shop".to_owned()),
        active: !at.is_multiple_of(7),
        restart_lsn: Some(Lsn(end - at * (4 << 20))),
        confirmed_flush_lsn: Some(Lsn(end - at * (1 << 20))),
        consumer: (!at.is_multiple_of(7)).then(|| Consumer { pid: 1000, ..Consumer::default() }),
        ..Slot::default()
    };
    Sample {
        at: Moment::from(time(number)),
        lsn: Some(Lsn(end)),
        next_xid: number,
        slots: (0..SLOTS).map(slot).collect(),
        ..Sample::default()
    }
}

#[expect(clippy::disallowed_methods, reason = "it measures")]
fn measure(name: &str, mut work: impl FnMut()) {
    let mut times: Vec<Duration> = (0..FRAMES)
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    times.sort();
    let (middle, slow) = (times[FRAMES / 2], times[FRAMES * 99 / 100]);
    let verdict = if slow <= LIMIT { "within" } else { "beyond" };
    println!("{name:<28} median {middle:>10.2?}   99 % {slow:>10.2?}   {verdict} {LIMIT:?}");
}

fn main() {
    let mut dashboard = Dashboard::new(Target::default(), false);
    for number in 0..SAMPLES {
        dashboard.sampled(sample(number), time(number));
    }
    let area = Rect::new(0, 0, 200, 60);
    let mut buffer = Buffer::empty(area);
    println!("frames of 200x60, {SLOTS} slots, {SAMPLES} samples:");
    for panel in [Panel::Slots, Panel::Slot, Panel::Wal, Panel::Lag, Panel::Diagnosis, Panel::Tables, Panel::Events] {
        dashboard.act(Action::Show(panel));
        measure(panel.name().1, || {
            buffer.reset();
            draw(black_box(&dashboard), Theme::default(), time(SAMPLES), area, &mut buffer);
        });
    }
    let mut number = SAMPLES;
    measure("taking a sample in", || {
        dashboard.sampled(sample(number), time(number));
        number += 1;
    });
    measure("a step back in time", || {
        dashboard.act(Action::Step(-1));
    });
}
