//! What is drawn: pictures of every screen, and what must hold at every size.

use walpilot::connection::Failure;
use walpilot::connection::cause::{Stage, Trouble};
use walpilot::setup::apply::ApplyEvent;
use walpilot::setup::rehearse::Rehearsal;
use walpilot::tui::app::Prefill;
use walpilot::tui::app::job::Job;
use walpilot::tui::app::message::Answer;
use walpilot::tui::view::Theme;

use super::person::{PASSWORD, Person, planned, report, tables, tested, text_of};

/// Every screen by its name.
fn screens() -> Vec<(&'static str, Person)> {
    let step = |prepare: &dyn for<'a> Fn(&'a mut Person) -> &'a mut Person| {
        let mut person = Person::in_the_demo();
        prepare(&mut person);
        person
    };
    let plan = || Answer::Planned(Ok(Box::new(planned())));
    vec![
        ("connection_empty", Person::at(Prefill::default())),
        ("connection_running", step(&|p| p.types("<Enter>"))),
        ("connection_proven", step(&|p| p.types("<Enter>").learns(Job::TestSource, tested()))),
        (
            "connection_failed",
            step(&|p| {
                let failure = Failure::explain(&Trouble::Timeout(Stage::Dial), &p.app.source());
                p.types("<Enter>").learns(Job::TestSource, Answer::Tested(Err(Box::new(failure))))
            }),
        ),
        ("connection_invalid", step(&|p| p.types("<Up><Up><Up><C-u>x<Up><C-u><F5>"))),
        ("connection_split", step(&|p| p.pastes("postgres://r:S3NT1NEL@db.example/shop"))),
        ("encryption", step(&|p| p.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter>"))),
        (
            "encryption_risk",
            step(&|p| {
                p.types("<Up><Up><Up><Up><C-u>db.example<Down><Down><Down><Down><Enter>");
                p.learns(Job::TestSource, tested()).types("<Enter><Up>")
            }),
        ),
        (
            "tables",
            step(&|p| {
                p.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Enter>");
                p.learns(Job::ListTables, Answer::Tables(Ok(tables()))).types("<Down><Space>")
            }),
        ),
        (
            "tables_filter",
            step(&|p| {
                p.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Enter>");
                p.learns(Job::ListTables, Answer::Tables(Ok(tables()))).types("/order")
            }),
        ),
        ("preflight_running", step(&|p| p.reaches_the_preflight())),
        (
            "preflight",
            step(&|p| p.reaches_the_preflight().learns(Job::Preflight, Answer::Checked(Ok(Box::new(report()))))),
        ),
        (
            "preflight_deep",
            step(&|p| {
                p.reaches_the_preflight().learns(Job::Preflight, Answer::Checked(Ok(Box::new(report())))).types("d")
            }),
        ),
        ("script", step(&|p| p.reaches_the_script().learns(Job::Plan, plan()))),
        (
            "script_rehearsed",
            step(&|p| {
                let shown = Rehearsal {
                    rehearsed: 2,
                    left_out: vec![("Create slot walpilot_slot".into(), "not possible in a transaction")],
                    cleared: vec!["role-can-replicate", "identity-usable"],
                    blocked: vec![("wal-level", "wal_level is replica, and has to be logical".into())],
                    ..Rehearsal::default()
                };
                p.reaches_the_script().learns(Job::Plan, plan()).types("t");
                p.learns(Job::Rehearse, Answer::Rehearsed(Ok(Box::new(shown))))
            }),
        ),
        (
            "script_would_fail",
            step(&|p| {
                let reason = "must be owner of table events (SQLSTATE 42501)".to_owned();
                let shown = Rehearsal { failed: Some((1, reason)), ..Rehearsal::default() };
                p.reaches_the_script().learns(Job::Plan, plan()).types("t");
                p.learns(Job::Rehearse, Answer::Rehearsed(Ok(Box::new(shown))))
            }),
        ),
        ("script_question", step(&|p| p.reaches_the_script().learns(Job::Plan, plan()).types("<Enter>"))),
        ("script_file", step(&|p| p.reaches_the_script().learns(Job::Plan, plan()).types("w"))),
        (
            "script_applying",
            step(&|p| {
                p.reaches_the_script().learns(Job::Plan, plan()).types("<Enter><Enter>");
                p.learns(Job::Apply, Answer::Applying(ApplyEvent::Done(0)));
                p.learns(
                    Job::Apply,
                    Answer::Applying(ApplyEvent::Waiting { at: 1, reason: "the table is locked", left: 3, pause: 4 }),
                )
            }),
        ),
        ("destination", step(&|p| p.reaches_the_destination())),
        (
            "destination_proven",
            step(&|p| p.reaches_the_destination().types("<Enter>").learns(Job::TestDestination, tested())),
        ),
        ("destination_watch", step(&|p| p.reaches_the_destination().types("<Tab><Space>"))),
        ("leave", step(&|p| p.reaches_the_dashboard().types("q"))),
        ("help", step(&|p| p.reaches_the_script().learns(Job::Plan, plan()).types("?"))),
    ]
}

#[test]
fn every_screen_is_as_in_its_picture() {
    // Behind the question before leaving is the dashboard, which has pictures of its own.
    for (name, mut person) in screens().into_iter().filter(|(name, _)| *name != "leave") {
        for (columns, rows) in [(80, 24), (120, 40)] {
            let text = person.sees_at(Theme::default(), columns, rows);
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(format!("{name}_{columns}x{rows}"), text);
            });
        }
    }
}

#[test]
fn without_colour_and_unicode_it_says_the_same() {
    let theme = Theme { color: false, ascii: true, ..Theme::default() };
    for (name, mut person) in screens() {
        let buffer = person.buffer(theme, 80, 24);
        for cell in buffer.content() {
            assert!(cell.fg == ratatui::style::Color::Reset && cell.bg == ratatui::style::Color::Reset, "{name}");
        }
        let text = person.sees_at(theme, 80, 24);
        if !name.starts_with("tables") {
            assert!(text.is_ascii(), "{name}: {text}");
        }
        if matches!(name, "preflight" | "connection_failed") {
            insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
                insta::assert_snapshot!(format!("{name}_ascii"), text);
            });
        }
    }
}

#[test]
fn a_terminal_that_is_too_small_is_told_so() {
    let mut person = Person::in_the_demo();
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("too_small", person.sees_at(Theme::default(), 40, 10));
    });
}

#[test]
fn every_size_can_be_drawn() {
    for (_, mut person) in screens() {
        for columns in (1..=201).step_by(7) {
            for rows in (1..=61).step_by(4) {
                person.sees_at(Theme::default(), columns, rows);
            }
        }
    }
}

#[test]
fn a_password_is_on_no_screen_and_in_no_debug_output() {
    for (name, mut person) in screens() {
        for (columns, rows) in [(60, 16), (80, 24), (200, 60)] {
            let text = text_of(&person.buffer(Theme::default(), columns, rows));
            assert!(!text.contains(PASSWORD), "{name}: {text}");
        }
        let debug = format!("{:?} {:?}", person.app, person.effects);
        assert!(!debug.contains(PASSWORD), "{name}");
        person.types("<F1>");
    }
}

#[test]
fn a_password_is_shown_only_while_its_field_has_the_focus() {
    let mut person = Person::in_the_demo();
    person.types("<C-r>");
    assert!(person.sees().contains(PASSWORD));
    person.types("<Tab><BackTab>");
    assert!(!person.sees().contains(PASSWORD));
}
