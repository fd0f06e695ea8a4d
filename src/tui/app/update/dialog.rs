//! Keys of a question, and what its answer does.

use super::{connection, dashboard, destination, leave, palette, profile, record, script};
use crate::connection::Secret;
use crate::connection::askpass::{Event, Kind};
use crate::tui::app::action::Action;
use crate::tui::app::dialog::{Dialog, Question};
use crate::tui::app::field::Field;
use crate::tui::app::message::Effect;
use crate::tui::app::state::{App, Draft};
use crate::tui::app::step::Step;
use crate::tui::app::validate::FieldId;

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let Some(dialog) = app.dialog.as_mut() else { return };
    match action {
        Action::Back => close(app, effects),
        Action::Up | Action::Down if dialog.turn(action == Action::Down) => {}
        Action::Digit(digit) => dialog.digit(digit),
        Action::Left | Action::Right | Action::Up | Action::Down | Action::NextField | Action::PreviousField => {
            dialog.selected = 1 - dialog.selected.min(1);
        }
        Action::Edit(edit) => {
            if let Some(field) = dialog.field.as_mut() {
                field.edit(edit);
            }
        }
        Action::Confirm if dialog.selected > 0 => {
            if matches!(dialog.question, Question::Resume(_)) {
                app.draft = Draft::Forgotten;
            }
            close(app, effects);
        }
        Action::Confirm => confirm(app, effects),
        _ => {}
    }
}

/// Nothing is done; what ssh asks is refused.
fn close(app: &mut App, effects: &mut Vec<Effect>) {
    if let Some(Dialog { question: Question::Ssh(question), .. }) = app.dialog.take() {
        effects.push(Effect::Answer(question.id, None));
    }
}

/// ssh asks something, or no longer. One question is shown at a time.
pub(super) fn asked(app: &mut App, event: Event) {
    match event {
        Event::Asked(question) => app.asked.push_back(question),
        Event::Withdrawn(id) => {
            app.asked.retain(|question| question.id != id);
            if app.dialog.as_ref().is_some_and(|dialog| dialog.asks_for(id)) {
                app.dialog = None;
            }
        }
    }
}

/// What ssh asks has been answered.
fn answer(app: &mut App, mut dialog: Dialog, effects: &mut Vec<Effect>) {
    let Question::Ssh(question) = &dialog.question else { return };
    let (id, kind) = (question.id, question.kind);
    if dialog.field.as_mut().is_some_and(|field| !field.validate()) {
        app.dialog = Some(dialog);
        return;
    }
    match (kind, &dialog.field) {
        // ssh goes on as soon as it is done, and takes the notice back.
        (Kind::Notice, _) => {}
        (Kind::HostKey, Some(field)) => effects.push(Effect::Answer(id, Some(Secret::new(field.text().trim())))),
        (_, Some(field)) => effects.push(Effect::Answer(id, Some(Secret::new(field.text())))),
        (_, None) => effects.push(Effect::Answer(id, Some(Secret::new("yes")))),
    }
}

fn confirm(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(mut dialog) = app.dialog.take() else { return };
    match &dialog.question {
        Question::Split(resolved) => connection::split(app, resolved, effects),
        Question::Apply => script::apply(app, effects),
        Question::Skip => app.show(Step::Destination),
        Question::Path => {
            if dialog.field.as_mut().is_some_and(Field::validate) {
                script::write(app, dialog.field.as_ref().map_or("", Field::text), effects);
            } else {
                app.dialog = Some(dialog);
            }
        }
        Question::SaveProfile => {
            if dialog.field.as_mut().is_some_and(Field::validate) {
                profile::save(app, dialog.field.as_ref().map_or("", Field::text), false, effects);
            } else {
                app.dialog = Some(dialog);
            }
        }
        Question::ReplaceProfile(name) => profile::save(app, name, true, effects),
        Question::Resume(_) => profile::resume(app),
        Question::KeyPassphrase { source, .. } => {
            let passphrase = dialog.field.as_ref().map_or("", Field::text);
            if *source {
                app.encryption.form.set(FieldId::KeyPassphrase, passphrase);
                connection::test(app, effects);
            } else {
                app.destination.form.set(FieldId::KeyPassphrase, passphrase);
                destination::test(app, effects);
            }
        }
        Question::Ssh(_) => answer(app, dialog, effects),
        Question::Act(proposal) if !proposal.allowed => dashboard::copy(app, proposal.sql().to_owned(), effects),
        Question::Act(proposal) => {
            let typed = dialog.field.as_ref().map_or("", Field::text).trim();
            if typed == proposal.object {
                dashboard::run(app, proposal, effects);
            } else {
                if let Some(field) = dialog.field.as_mut() {
                    field.error = Some("This is not the name; nothing was run.".to_owned());
                }
                app.dialog = Some(dialog);
            }
        }
        Question::Acknowledge(_) => {
            let note = dialog.field.as_ref().map_or("", Field::text).trim();
            if let Some(dashboard) = app.dashboard.as_mut() {
                dashboard.acknowledge(note);
            }
        }
        Question::Menu(menu) => {
            if let Some((_, choice)) = menu.lines.get(menu.at) {
                dashboard::chosen(app, choice.clone(), effects);
            }
        }
        Question::Command => match palette::run(app, dialog.field.as_ref().map_or("", Field::text), effects) {
            Ok(()) => {}
            Err(reason) => {
                if let Some(field) = dialog.field.as_mut() {
                    field.error = Some(reason);
                }
                app.dialog = Some(dialog);
            }
        },
        Question::Record => {
            if dialog.field.as_mut().is_some_and(Field::validate) {
                record::begin(app, dialog.field.as_ref().map_or("", Field::text).trim(), effects);
            } else {
                app.dialog = Some(dialog);
            }
        }
        Question::StopRun => leave::stop_run(app, effects),
        Question::Leave | Question::LeaveRecording => leave::leave(app, effects),
    }
}
