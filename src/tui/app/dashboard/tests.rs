//! What the dashboard's state does with samples and keys.

use std::time::Duration;

use super::*;
use crate::monitor::recording::{Header, Record};
use crate::monitor::slot::Slot;
use crate::tui::app::action::Action;

fn dashboard() -> Dashboard {
    Dashboard::new(Target::default(), false)
}

fn time(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_337_532 + second)
}

fn sample(second: u64, slots: &[&str]) -> Sample {
    let slot = |name: &&str| Slot { name: (*name).to_owned(), ..Slot::default() };
    Sample { at: Moment::from(time(second)), slots: slots.iter().map(slot).collect(), ..Sample::default() }
}

#[test]
fn frozen_the_display_stands_while_samples_come_in() {
    let mut dashboard = dashboard();
    dashboard.sampled(sample(0, &["a"]), time(0));
    dashboard.act(Action::Freeze);
    assert!(dashboard.can_go_back());
    dashboard.sampled(sample(2, &["a", "b"]), time(2));
    assert_eq!(dashboard.picture().watcher.reading().slots.len(), 1);
    assert_eq!(dashboard.frozen_since(), Some(time(0)));
    dashboard.act(Action::Back);
    assert_eq!(dashboard.picture().watcher.reading().slots.len(), 2);
    assert!(!dashboard.can_go_back());
}

#[test]
fn stepping_back_shows_the_past_and_forward_the_present() {
    let mut dashboard = dashboard();
    for second in 0..10 {
        let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
        dashboard.sampled(sample(second, &names[..=usize::try_from(second).unwrap()]), time(second));
    }
    let shown =
        |dashboard: &Dashboard| (dashboard.slots().len(), dashboard.steps_back(), dashboard.picture().log.len());
    assert_eq!(shown(&dashboard), (10, 0, 9));
    dashboard.act(Action::Step(-3));
    assert_eq!(shown(&dashboard), (7, 3, 6));
    dashboard.sampled(sample(10, &[]), time(10));
    assert_eq!(shown(&dashboard), (7, 4, 6));
    dashboard.act(Action::Step(1));
    assert_eq!(shown(&dashboard), (8, 3, 7));
    dashboard.act(Action::Step(-100));
    assert_eq!(shown(&dashboard), (1, 10, 0));
    dashboard.act(Action::Back);
    assert_eq!((dashboard.slots().len(), dashboard.frozen_since()), (0, None));
}

#[test]
fn a_recording_plays_at_its_own_pace_and_stops_at_its_end() {
    let record = |second| Record { heard: Moment::from(time(second)), outcome: Ok(Box::new(sample(second, &["a"]))) };
    let mut dashboard = Dashboard::replaying(&Header::default(), (0..5).map(|n| record(2 * n)).collect());
    assert_eq!(dashboard.replay(), Some((5, 5, None)));
    dashboard.act(Action::First);
    dashboard.act(Action::Step(-100));
    dashboard.act(Action::Freeze);
    dashboard.tick(time(1000));
    assert_eq!(dashboard.replay(), Some((1, 5, Some(1))));
    dashboard.tick(time(1005));
    assert_eq!(dashboard.replay(), Some((3, 5, Some(1))));
    dashboard.tick(time(1100));
    assert_eq!(dashboard.replay(), Some((5, 5, None)));
    assert_eq!(dashboard.frozen_since(), None);
}

#[test]
fn the_selection_stays_on_its_slot_and_survives_its_end() {
    let mut dashboard = dashboard();
    dashboard.sampled(sample(0, &["a", "b", "c"]), time(0));
    dashboard.act(Action::Last);
    assert_eq!(dashboard.selected_slot(), 2);
    dashboard.sampled(sample(2, &["c"]), time(2));
    assert_eq!(dashboard.selected_slot(), 0, "c is still selected");
    dashboard.sampled(sample(4, &[]), time(4));
    let (slot, seen) = dashboard.dropped_slot().expect("it is remembered");
    assert_eq!((slot.name.as_str(), seen), ("c", Moment::from(time(2))));
    dashboard.act(Action::Down);
    assert_eq!(dashboard.selected_slot(), 0);
}

#[test]
fn a_lost_connection_is_told_once_with_its_beginning_and_its_end() {
    let mut dashboard = dashboard();
    dashboard.sampled(sample(0, &[]), time(0));
    dashboard.sample_failed("gone\u{1b}[2J".to_owned(), None, time(2));
    dashboard.sample_failed("still gone".to_owned(), None, time(4));
    assert_eq!(dashboard.picture().failure, Some(("still gone".to_owned(), time(2))));
    dashboard.sampled(sample(6, &[]), time(6));
    assert_eq!(dashboard.picture().failure, None);
    let log: Vec<&str> = dashboard.picture().log.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(log, ["gone\\u{1b}[2J", "The source answers again."]);
}

#[test]
fn every_key_is_safe_on_an_empty_dashboard() {
    use Action::*;
    let mut dashboard = dashboard();
    for _ in Panel::ALL {
        for action in [
            Up,
            Down,
            PageUp,
            PageDown,
            First,
            Last,
            Zoom,
            Back,
            Freeze,
            Freeze,
            PreviousPanel,
            NextPanel,
            Open,
            Back,
            Step(-1),
            Step(1),
            Back,
            Shorter,
            Longer,
            Longer,
            Longer,
            Longer,
            Measure,
            Problems,
            Sort,
            Reverse,
            Filter,
            Back,
            Slower,
            Slower,
            Slower,
            Slower,
            Slower,
            Faster,
        ] {
            dashboard.act(action);
        }
        dashboard.act(NextPanel);
    }
    assert_eq!(dashboard.panel(), Panel::Slots);
    assert_eq!(dashboard.sql(), None);
}
