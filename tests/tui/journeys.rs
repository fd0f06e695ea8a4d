//! What a user does, key by key, and what the state makes of it.

use std::time::Duration;

use walpilot::connection::cause::Trouble;
use walpilot::connection::{Failure, Secret, Settings, SslMode};
use walpilot::profile::{Coverage, Method, Selection, SetupChoices, TableName};
use walpilot::replication::{Progress, Summary};
use walpilot::setup::apply::ApplyEvent;
use walpilot::tui::app::Prefill;
use walpilot::tui::app::job::Job;
use walpilot::tui::app::message::{Answer, Effect, Work};
use walpilot::tui::app::step::Step;
use walpilot::tui::view::Theme;

use super::person::{PASSWORD, Person, planned, report, tables, tested};

fn newcomer() -> Person {
    Person::at(Prefill::default())
}

#[test]
fn fields_are_filled_from_the_keyboard_and_tried_on_the_last_enter() {
    let mut person = newcomer();
    person.types("<Tab><C-u>db.example<Enter><C-u>5433<Tab><C-u>shop<Enter><C-u>repl?q<Tab>s?cret<Enter>");
    let Some((_, Work::Test(settings))) = person.started(Job::TestSource) else {
        panic!("no try: {:?}", person.effects)
    };
    assert_eq!((settings.host.as_str(), settings.port, settings.database.as_str()), ("db.example", 5433, "shop"));
    assert_eq!((settings.user.as_str(), settings.password.as_ref().map(Secret::reveal)), ("repl?q", Some("s?cret")));
    assert!(person.app.help.is_none(), "a question mark in a field is text");
}

#[test]
fn a_wrong_field_is_named_and_nothing_is_tried() {
    let mut person = newcomer();
    person.types("<Tab><Tab><C-u>70000<F5>");
    assert!(person.started(Job::TestSource).is_none());
    assert!(person.sees().contains("The port is a number from 1 to 65535"), "{}", person.sees());
}

#[test]
fn a_connection_string_is_split_after_a_question() {
    for pasted in [true, false] {
        let mut person = newcomer();
        let uri = "postgres://repl:S3NT1NEL@db.example:6000/shop?sslmode=require";
        person.types("<Tab><C-u>");
        if pasted {
            person.pastes(uri);
        } else {
            person.types(uri).types("<Enter>");
        }
        let screen = person.sees();
        assert!(screen.contains("db.example") && screen.contains("(given, not shown)"), "{screen}");
        person.types("<Enter>");
        let source = person.app.source();
        assert_eq!((source.host.as_str(), source.port, source.ssl_mode), ("db.example", 6000, SslMode::Require));
        assert_eq!(source.password.as_ref().map(Secret::reveal), Some(PASSWORD));
    }
}

#[test]
fn a_connection_string_keeps_what_has_no_field_until_its_host_is_changed() {
    let mut person = newcomer();
    person.pastes(
        "host=a,b port=1,2 hostaddr=10.0.0.1,10.0.0.2 dbname=shop target_session_attrs=primary options='-c geqo=off' \
         sslrootcert=/r sslmode=verify-full sslcert=/c sslkey=/k sslpassword=S3NT1NEL",
    );
    let screen = person.sees_at(Theme::default(), 120, 40);
    assert!(screen.contains("hostaddr=10.0.0.1,10.0.0.2") && screen.contains("by_variable (PGUSER)"), "{screen}");
    person.types("<Enter>");
    let source = person.app.source();
    assert_eq!((source.hostaddr.as_deref(), source.alternatives.len()), (Some("10.0.0.1"), 1));
    assert_eq!(source.options.as_deref(), Some("-c geqo=off"));
    assert_eq!((source.ssl_mode, source.tls.cert.is_some()), (SslMode::VerifyFull, true));
    assert_eq!(source.tls.key_passphrase.as_ref().map(Secret::reveal), Some(PASSWORD));
    assert!(person.sees().contains("PGUSER"), "{}", person.sees());
    person.types("<Up><Up><Up><Up><C-u>other");
    let source = person.app.source();
    assert_eq!((source.host.as_str(), source.hostaddr, source.alternatives.len()), ("other", None, 0));
}

#[test]
fn plain_text_is_never_proposed_for_another_machine_but_can_be_chosen() {
    let mut person = newcomer();
    assert_eq!(person.app.source().ssl_mode, SslMode::Prefer, "localhost");
    person.types("<Up><Up><Up><Up><C-u>db.example");
    assert_eq!(person.app.source().ssl_mode, SslMode::Require);
    person.types("<C-u>x.neon.tech");
    assert_eq!(person.app.source().ssl_mode, SslMode::VerifyFull);
    person.pastes("postgres://db.example/shop?sslmode=prefer").types("<Enter>");
    assert_eq!(person.app.source().ssl_mode, SslMode::Prefer, "it was asked for");
}

#[test]
fn a_paste_with_a_newline_neither_submits_nor_moves_the_focus() {
    let mut person = newcomer();
    person.pastes("secret\nwith\r\nlines\u{1b}[A\n");
    assert!(person.effects.is_empty());
    assert_eq!(person.app.source().password.as_ref().map(Secret::reveal), Some("secretwithlines[A"));
}

#[test]
fn an_answer_for_values_that_were_changed_meanwhile_is_dropped() {
    let mut person = Person::in_the_demo();
    person.types("<Enter>");
    let old = person.ticket(Job::TestSource);
    person.types("x");
    assert!(person.effects.iter().any(|effect| matches!(effect, Effect::Cancel(ticket) if *ticket == old)));
    person.learns_from(old, tested());
    assert!(person.app.connection.outcome.is_none());
    person.types("<Enter>");
    assert_ne!(person.ticket(Job::TestSource), old);
    person.learns_from(old, tested());
    assert!(person.app.connection.outcome.is_none(), "the older task speaks of older values");
    person.learns(Job::TestSource, tested()).types("<Enter>");
    assert_eq!(person.app.step, Step::Encryption);
}

#[test]
fn escape_cancels_a_try() {
    let mut person = Person::in_the_demo();
    person.types("<Enter>");
    let ticket = person.ticket(Job::TestSource);
    assert!(person.sees().contains("Esc cancels"));
    person.types("<Esc>");
    assert!(person.effects.iter().any(|effect| matches!(effect, Effect::Cancel(cancelled) if *cancelled == ticket)));
    assert!(!person.sees().contains("Connecting"));
}

#[test]
fn another_mode_is_tried_before_the_wizard_goes_on() {
    let mut person = Person::in_the_demo();
    person.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Down><Enter>");
    assert_eq!(person.app.step, Step::Encryption);
    let Some((_, Work::Test(settings))) = person.started(Job::TestSource) else { panic!("no try") };
    assert_eq!(settings.ssl_mode, SslMode::Require);
    let failure = Failure::explain(&Trouble::TlsUnsupported, settings);
    let message = failure.message.clone();
    person.learns(Job::TestSource, Answer::Tested(Err(Box::new(failure))));
    assert!(person.sees().replace('\n', " ").contains(message.split(' ').next().unwrap()));
    person.types("<Up><Enter>").learns(Job::TestSource, tested()).types("<Enter>");
    assert_eq!(person.app.step, Step::Tables);
}

#[test]
fn going_back_keeps_every_value_and_an_edit_closes_the_way_forward() {
    let mut person = Person::in_the_demo();
    person.reaches_the_preflight();
    person.types("<C-PgUp><A-Left><C-PgUp>");
    assert_eq!(person.app.step, Step::Connection);
    assert_eq!(person.app.source().user, "shop_repl");
    person.types("<C-PgDn><C-PgDn><C-PgDn><C-PgDn>");
    assert_eq!(person.app.step, Step::Preflight, "as far as it was reached");
    person.types("<C-PgUp><C-PgUp><C-PgUp>x<C-PgDn>");
    assert_eq!(person.app.step, Step::Connection);
}

#[test]
fn tables_are_ticked_filtered_and_named() {
    let mut person = Person::in_the_demo();
    person.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Enter>");
    person.learns(Job::ListTables, Answer::Tables(Ok(tables())));
    assert_eq!(person.app.profile().selection, Selection::Schemas(vec!["audit".into(), "shop".into()]));
    person.types("a<Enter>");
    assert_eq!(person.app.step, Step::Tables, "nothing is ticked");
    assert!(person.sees().contains("No table is ticked"));
    person.types("/q?orders<Esc>/orders<Enter><Down><Space>");
    assert_eq!(person.app.profile().selection, Selection::Tables(vec![TableName::new("shop", "orders")]));
    person.types("<Tab><Tab><C-u>Bad-Slot<Enter>");
    assert_eq!(person.app.step, Step::Tables);
    assert!(person.sees().contains("lower-case letters"));
    person.types("<C-u>good_slot<BackTab><BackTab><BackTab><Space>");
    assert_eq!((person.app.profile().method, person.app.profile().slot.as_str()), (Method::Xmin, "good_slot"));
}

#[test]
fn blockers_do_not_stop_the_way_to_the_script_that_mends_them() {
    let mut person = Person::in_the_demo();
    person.reaches_the_preflight();
    let first = person.ticket(Job::Preflight);
    person.learns(Job::Preflight, Answer::Checked(Err("The source went away. Press r.".into())));
    assert!(person.sees().contains("The source went away"));
    person.types("r");
    assert_ne!(person.ticket(Job::Preflight), first);
    person.learns(Job::Preflight, Answer::Checked(Ok(Box::new(report())))).types("<Enter>");
    assert_eq!(person.app.step, Step::Script);
    assert!(person.sees().contains("Going on with blockers"));
}

#[test]
fn the_script_is_applied_after_a_question_and_the_checks_run_again() {
    let mut person = Person::in_the_demo();
    person.reaches_the_script().learns(Job::Plan, Answer::Planned(Ok(Box::new(planned()))));
    person.types("<Enter>");
    let screen = person.sees();
    assert!(screen.contains("3 statements run as postgres@localhost:5432/postgres"), "{screen}");
    person.types("<Right><Enter>");
    assert!(person.started(Job::Apply).is_none(), "cancelled");
    person.types("<Enter><Enter>");
    let Some((_, Work::Apply(admin, plan))) = person.started(Job::Apply) else { panic!("not applied") };
    assert_eq!((admin.user.as_str(), plan.steps.len()), ("postgres", 3));
    person.learns(Job::Apply, Answer::Applying(ApplyEvent::Started(0)));
    person.learns(Job::Apply, Answer::Applying(ApplyEvent::Done(0)));
    assert!(person.sees().contains("done"));
    let checks = person.ticket(Job::Preflight);
    person.learns(Job::Apply, Answer::Applied(Ok(())));
    assert_ne!(person.ticket(Job::Preflight), checks);
    person.learns(Job::Preflight, Answer::Checked(Ok(Box::new(report()))));
    person.learns(Job::Plan, Answer::Planned(Ok(Box::new(planned()))));
    assert!(person.sees().contains("Preflight now"));
    person.types("<Enter>");
    assert_eq!(person.app.step, Step::Destination);
}

#[test]
fn a_rehearsal_is_started_shown_closed_and_cancelled() {
    let mut person = Person::in_the_demo();
    person.reaches_the_script().learns(Job::Plan, Answer::Planned(Ok(Box::new(planned())))).types("t");
    let Some((_, Work::Rehearse(_, admin, plan))) = person.started(Job::Rehearse) else { panic!("not rehearsed") };
    assert_eq!((admin.user.as_str(), plan.steps.len()), ("postgres", 3));
    assert!(person.sees().contains("everything is rolled back"));
    person.types("a");
    assert!(person.app.dialog.is_none() && person.sees().contains("Still working"));
    person.types("<Esc>");
    assert!(!person.app.jobs.runs(Job::Rehearse) && person.sees().contains("rolled back"));
    person.types("t");
    person.learns(Job::Rehearse, Answer::Rehearsed(Err("it took too long".into())));
    assert!(person.sees().contains("it took too long"));
    person.types("<Esc>");
    let screen = person.sees();
    assert!(!screen.contains("it took too long") && screen.contains("CREATE PUBLICATION"), "{screen}");
    assert_eq!(person.app.step, Step::Script);
}

#[test]
fn a_rehearsal_needs_an_administrator() {
    let mut person = Person::in_the_demo();
    person.app.script.form.set(walpilot::tui::app::validate::FieldId::AdminUser, "");
    person.reaches_the_script().learns(Job::Plan, Answer::Planned(Ok(Box::new(planned())))).types("t");
    assert!(person.started(Job::Rehearse).is_none() && person.app.script.field().is_some());
    assert!(person.sees().contains("Name an administrator"));
}

#[test]
fn deep_probes_are_run_on_demand_and_say_so_when_they_are_in_the_report() {
    let mut person = Person::in_the_demo();
    person.reaches_the_preflight().learns(Job::Preflight, Answer::Checked(Ok(Box::new(report()))));
    assert!(!person.sees().contains("deep probes"));
    person.types("d");
    let Some((_, Work::Preflight { deep, .. })) = person.started(Job::Preflight) else { panic!("not started") };
    assert!(*deep && person.sees().contains("about 10 s"));
    person.types("<Esc>");
    assert!(!person.sees().contains("deep probes"), "cancelled");
    person.types("d").learns(Job::Preflight, Answer::Checked(Ok(Box::new(report()))));
    assert!(person.sees().contains("deep probes"));
    person.types("r").learns(Job::Preflight, Answer::Checked(Ok(Box::new(report()))));
    assert!(!person.sees().contains("deep probes"));
}

#[test]
fn options_of_the_setup_are_chosen_by_keys_planned_anew_and_kept_in_the_profile() {
    let mut person = Person::in_the_demo();
    let plan = || Answer::Planned(Ok(Box::new(planned())));
    person.reaches_the_script().learns(Job::Plan, plan());
    let screen = person.sees();
    assert!(screen.contains("nothing beyond what is missing"), "{screen}");
    person.types("<Tab><Tab><Tab>");
    let screen = person.sees();
    for words in ["Publishes", "Partitions", "Failover slot", "Heartbeat", "Monitoring"] {
        assert!(screen.contains(words), "{screen}");
    }
    person.types("<Right><Right><Tab><Space><Tab><Space><Tab><Space><Tab><Space>");
    let all = SetupChoices { cover: Coverage::All, leaf_names: true, failover: true, monitor: true, heartbeat: true };
    let Some((_, Work::Plan(profile, _))) = person.started(Job::Plan) else { panic!("not planned anew") };
    assert_eq!(profile.setup, all);
    person.learns(Job::Plan, plan()).types("<Left><Enter>").learns(Job::Plan, plan());
    assert_eq!(person.app.profile().setup, SetupChoices { monitor: false, ..all });
    let screen = person.sees_at(Theme::default(), 120, 40);
    let words = "publishes all tables, partitions by their own names, failover slot, heartbeat";
    assert!(screen.contains(words), "{screen}");
    // Neither a publication nor a slot belongs to the method xmin.
    let checked = || Answer::Checked(Ok(Box::new(report())));
    person.types("<Esc>").learns(Job::Preflight, checked());
    person.types("<Esc><BackTab><Space><Enter>").learns(Job::Preflight, checked());
    person.types("<Enter>").learns(Job::Plan, plan()).types("<Tab><Tab><Tab>");
    let screen = person.sees();
    assert!(screen.contains("Monitoring") && !screen.contains("Publishes"), "{screen}");
}

#[test]
fn the_initial_copy_is_left_out_on_the_screen_of_the_tables() {
    let mut person = Person::in_the_demo();
    person.types("<Enter>").learns(Job::TestSource, tested()).types("<Enter><Enter>");
    person.learns(Job::ListTables, Answer::Tables(Ok(tables()))).types("<Tab><Tab><Tab><Space>");
    assert!(person.sees().contains("only changes from now on"));
    assert!(!person.app.profile().initial_copy);
    person.types("<Left>");
    assert!(person.app.profile().initial_copy);
}

#[test]
fn a_script_is_written_in_one_file_or_in_one_for_each_person() {
    let mut person = Person::in_the_demo();
    person
        .reaches_the_script()
        .learns(Job::Plan, Answer::Planned(Ok(Box::new(planned()))))
        .types("w<C-u>parts/<Enter>");
    let Some((_, Work::WriteParts(folder, files))) = person.started(Job::Write) else { panic!("not written") };
    assert_eq!((folder.to_str(), files.len(), files[0].0.as_str()), (Some("parts/"), 1, "1-administrator.sql"));
    person.types("w<C-u>one.sql<Enter>");
    let Some((_, Work::Write(file, text))) = person.started(Job::Write) else { panic!("not written") };
    assert!(file.ends_with("one.sql") && text.contains("CREATE PUBLICATION"), "{text}");
}

#[test]
fn a_failed_step_is_shown_and_can_be_gone_on_from() {
    let mut person = Person::in_the_demo();
    person.reaches_the_script().learns(Job::Plan, Answer::Planned(Ok(Box::new(planned())))).types("<Enter><Enter>");
    person.learns(Job::Apply, Answer::Applying(ApplyEvent::Started(1)));
    person.learns(Job::Apply, Answer::Applied(Err("step 2 failed: no. Ask the owner.".into())));
    person.learns(Job::Plan, Answer::Planned(Ok(Box::new(planned()))));
    let screen = person.sees();
    assert!(screen.contains("Ask the owner") && screen.contains("failed"), "{screen}");
    person.types("a<Enter>");
    assert!(person.app.jobs.runs(Job::Apply));
}

#[test]
fn without_an_administrator_the_script_is_not_run_but_the_way_is_open() {
    let mut person = Person::in_the_demo();
    person.app.script.form.set(walpilot::tui::app::validate::FieldId::AdminUser, "");
    person.reaches_the_script().learns(Job::Plan, Answer::Planned(Ok(Box::new(planned())))).types("<Enter>");
    assert!(person.sees().contains("No administrator is named"));
    person.types("<Enter>");
    assert_eq!(person.app.step, Step::Destination);
}

#[test]
fn the_source_is_no_destination_and_a_standby_neither() {
    let mut person = Person::in_the_demo();
    person.reaches_the_destination();
    let here = person.app.source();
    person.app.destination.form.fill(&here);
    person.types("<Enter>");
    assert!(person.started(Job::TestDestination).is_none());
    assert!(person.sees().contains("This is the source itself"));
    let mut person = Person::in_the_demo();
    person.reaches_the_destination().types("<Enter>");
    let Answer::Tested(Ok(mut standby)) = tested() else { panic!() };
    standby.in_recovery = true;
    person.learns(Job::TestDestination, Answer::Tested(Ok(standby))).types("<Enter>");
    assert!(person.started(Job::Run).is_none());
}

#[test]
fn the_source_can_be_watched_without_a_destination() {
    let mut person = Person::in_the_demo();
    person.reaches_the_destination().types("<Tab><Space><Enter>");
    assert_eq!(person.app.step, Step::Dashboard);
    let Some((_, Work::Watch(target))) = person.started(Job::Watch) else { panic!("not watched") };
    assert!(target.destination.is_none() && person.started(Job::Run).is_none());
}

#[test]
fn a_run_of_the_method_xmin_is_started_and_watched_without_a_slot() {
    let mut person = Person::in_the_demo();
    person.app.tables.method = Method::Xmin;
    person.reaches_the_dashboard();
    let Some((_, Work::Run(options))) = person.started(Job::Run) else { panic!("not run") };
    assert_eq!((options.profile.method, options.xmin.every), (Method::Xmin, Some(Duration::from_secs(300))));
    let Some((_, Work::Watch(target))) = person.started(Job::Watch) else { panic!("not watched") };
    assert!(target.slot.is_none() && target.publication.is_none() && target.destination.is_some());
}

#[test]
fn leaving_a_replication_asks_once_and_waits_for_its_batch() {
    let mut person = Person::in_the_demo();
    person.reaches_the_dashboard();
    let Some((_, Work::Run(options))) = person.started(Job::Run) else { panic!("not run") };
    assert_eq!(options.destination, Settings { port: 5433, ..person.app.source() });
    person.types("q");
    assert!(person.sees().contains("checkpoint"));
    person.types("<Esc>");
    assert!(person.app.dialog.is_none() && person.app.run.is_running());
    person.types("q<Enter>");
    assert!(person.effects.iter().any(|effect| matches!(effect, Effect::StopRun)));
    assert!(!quits(&person));
    let summary = Summary { progress: Progress::default(), ..Summary::default() };
    person.learns(Job::Run, Answer::RunEnded(Ok(Box::new(summary))));
    assert!(quits(&person));
}

#[test]
fn a_replication_that_does_not_end_is_left_after_five_seconds_or_at_the_second_press() {
    let mut person = Person::in_the_demo();
    person.reaches_the_dashboard().is_told_to_end();
    person.waits(Duration::from_millis(4900));
    assert!(!quits(&person));
    person.waits(Duration::from_millis(200));
    assert!(quits(&person));
    let mut person = Person::in_the_demo();
    person.reaches_the_dashboard().types("<C-c><C-c>");
    assert!(!quits(&person));
    person.types("<C-c>");
    assert!(quits(&person));
}

#[test]
fn a_task_that_died_is_told_instead_of_waited_for() {
    let mut person = Person::in_the_demo();
    person.reaches_the_preflight().learns(Job::Preflight, Answer::Died("walpilot has a defect here.".into()));
    assert!(person.sees().contains("walpilot has a defect here."));
    assert!(!person.app.jobs.busy());
}

#[test]
fn nothing_moves_on_a_screen_where_nothing_runs() {
    let mut person = Person::in_the_demo();
    assert!(person.app.next_deadline().is_none());
    person.types("<Enter>");
    assert!(person.app.next_deadline().is_some());
    person.learns(Job::TestSource, tested());
    assert!(person.app.next_deadline().is_none());
}

fn quits(person: &Person) -> bool {
    person.effects.iter().any(|effect| matches!(effect, Effect::Quit))
}
