//! The wizard in a real pseudo-terminal: what a user sees, and that the terminal is given back whatever happens.

use crate::support::pty::Terminal;
use crate::support::walpilot;

const F1: &str = "\u{1b}OP";
const CTRL_F12: &str = "\u{1b}[24;5~";

fn wizard() -> Terminal {
    let terminal = Terminal::start(&["setup", "postgres://repl@127.0.0.1:1/shop"], &[]);
    terminal.wait_for("The source: the database to replicate from");
    terminal
}

#[test]
fn it_starts_helps_resizes_and_gives_the_terminal_back() {
    let mut terminal = wizard();
    terminal.wait_for("127.0.0.1");
    terminal.types(F1);
    terminal.wait_for("Show or hide the password");
    terminal.types("\u{1b}");
    terminal.wait_until("the help to close", |screen| !screen.contents().contains("Show or hide the password"));
    terminal.resizes(50, 12);
    terminal.wait_for("This terminal is too small.");
    terminal.resizes(120, 40);
    terminal.wait_for("Method and tables");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_question_mark_and_a_letter_are_text_in_a_field() {
    let mut terminal = wizard();
    terminal.types("\t\u{15}q?k");
    terminal.wait_for("q?k");
    terminal.types("\u{11}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_password_pasted_with_a_newline_is_not_submitted_and_stands_nowhere() {
    let mut terminal = wizard();
    terminal.pastes("S3NT1\nNEL\r\n");
    terminal.wait_for("••••••••");
    // Had the newline pressed Enter, the connection would have been tried.
    assert!(terminal.contents().contains("Not tested yet"), "{}", terminal.contents());
    terminal.types("\r");
    terminal.wait_for("Nothing listens on 127.0.0.1:1");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains("S3NT1"), "the password was drawn");
}

#[test]
fn a_pasted_connection_string_fills_the_fields() {
    let mut terminal = wizard();
    terminal.pastes("postgres://other:S3NT1NEL@db.invalid:6000/sales\n");
    terminal.wait_for("(given, not shown)");
    terminal.types("\r");
    terminal.wait_until("the fields", |screen| {
        let text = screen.contents();
        text.contains("db.invalid") && text.contains("6000") && !text.contains("whole connection string")
    });
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
    assert!(!terminal.stream().contains("S3NT1NEL"), "the password was drawn");
}

#[test]
fn ctrl_z_gives_the_terminal_back_until_the_program_is_continued() {
    let mut terminal = wizard();
    terminal.types("\u{1a}");
    terminal.wait_for_state("T");
    terminal.wait_until("the shell's screen", |screen| !screen.alternate_screen() && !screen.hide_cursor());
    terminal.signals("CONT");
    terminal.wait_until("the wizard again", |screen| {
        screen.alternate_screen() && screen.contents().contains("The source: the database")
    });
    // The keys still arrive.
    terminal.types("\t\u{15}again");
    terminal.wait_for("again");
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_stop_signal_from_outside_is_as_ctrl_z() {
    let mut terminal = wizard();
    terminal.signals("TSTP");
    terminal.wait_for_state("T");
    terminal.wait_until("the shell's screen", |screen| !screen.alternate_screen());
    terminal.signals("CONT");
    terminal.wait_until("the wizard again", |screen| screen.alternate_screen() && screen.contents().contains("Host"));
    terminal.types("\u{3}");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_signal_ends_it_with_the_terminal_given_back() {
    for signal in ["TERM", "HUP", "INT"] {
        let mut terminal = wizard();
        terminal.signals(signal);
        assert_eq!(terminal.ends(), 130, "{signal}");
    }
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_gives_the_terminal_back_before_it_is_reported() {
    let mut terminal = wizard();
    terminal.pastes("S3NT1NEL");
    terminal.wait_for("••••••••");
    terminal.types(CTRL_F12);
    assert_eq!(terminal.ends(), 101);
    let text = terminal.contents();
    assert!(text.contains("a panic was asked for") && text.contains("defect of walpilot"), "{text}");
    assert!(!terminal.stream().contains("S3NT1NEL"));
}

#[tokio::test]
async fn without_a_terminal_it_names_the_plain_commands() {
    for args in [vec![], vec!["setup"], vec!["setup", "postgres://h/d"]] {
        let outcome = walpilot(args).run().await.expect_code(2);
        assert!(outcome.stderr.contains("walpilot check") && outcome.stdout.is_empty(), "{}", outcome.stderr);
    }
}
