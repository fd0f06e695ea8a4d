//! Which keys have a meaning now: the zones of the screen, the innermost first.

use super::action::Zone;
use super::dialog::Question;
use super::field::{Field, Kind};
use super::state::App;
use super::step::Step;
use super::tables::TablesFocus;

/// The zones of what is on the screen. A zone of text stands before those with plain letters, and
/// [`Zone::NoText`] is only there while no text field has the focus.
#[must_use]
pub fn zones(app: &App) -> Vec<Zone> {
    if app.help.is_some() { vec![Zone::Help, Zone::Everywhere] } else { zones_below_help(app) }
}

/// The zones of the screen that the help explains.
#[must_use]
pub fn zones_below_help(app: &App) -> Vec<Zone> {
    let mut zones = Vec::new();
    let field = field(app);
    match field.map(|field| field.kind) {
        Some(Kind::Secret) => zones.extend([Zone::SecretText, Zone::Text]),
        Some(Kind::Text) => zones.push(Zone::Text),
        Some(Kind::Choice(_)) => zones.push(Zone::Choice),
        None => {}
    }
    if app.dialog.is_some() {
        zones.insert(0, Zone::Dialog);
        if field.is_none() {
            zones.push(Zone::Buttons);
        }
        if app.dialog.as_ref().is_some_and(|dialog| matches!(dialog.question, Question::Menu(_))) {
            zones.push(Zone::Menu);
        }
    } else {
        match app.step {
            Step::Destination => {
                zones.push(Zone::Form);
                if app.offers_upgrade() {
                    zones.push(Zone::Upgrade);
                }
                if app.destination.replicates() {
                    zones.push(Zone::More);
                }
            }
            Step::Connection | Step::Encryption => {
                if app.offers_upgrade() {
                    zones.push(Zone::Upgrade);
                }
                if app.offers_stand_in() {
                    zones.push(Zone::StandIn);
                }
                if app.step == Step::Connection {
                    zones.push(Zone::Bastion);
                }
                let in_form = app.step == Step::Connection || app.encryption.in_fields;
                zones.push(if in_form { Zone::Form } else { Zone::Encryption });
                zones.push(Zone::More);
            }
            Step::Tables => match app.tables.focus {
                TablesFocus::Method => zones.push(Zone::Method),
                TablesFocus::List => zones.push(Zone::Tables),
                TablesFocus::Filter => zones.insert(0, Zone::Filter),
                TablesFocus::Publication | TablesFocus::Slot | TablesFocus::InitialCopy => zones.push(Zone::Form),
            },
            Step::Preflight => zones.push(Zone::Preflight),
            Step::Script if app.script.field().is_some() => zones.push(Zone::Form),
            Step::Script => zones.push(Zone::Script),
            Step::Dashboard if app.dashboard.is_none() => zones.push(Zone::Fleet),
            Step::Dashboard if field.is_some() => zones.insert(0, Zone::DashboardFilter),
            Step::Dashboard => {
                if app.run.is_running() {
                    zones.push(Zone::Run);
                }
                zones.push(Zone::Dashboard);
            }
        }
        if !app.only_dashboard {
            if app.step >= Step::Destination {
                zones.push(Zone::Profile);
            }
            zones.push(Zone::Wizard);
        }
    }
    if field.is_none_or(|field| !field.takes_text()) {
        zones.push(Zone::NoText);
    }
    zones.push(Zone::Everywhere);
    zones
}

/// The focused field, of whatever kind.
fn field(app: &App) -> Option<&Field> {
    if let Some(dialog) = &app.dialog {
        return dialog.field.as_ref();
    }
    match app.step {
        Step::Connection if app.connection.stand_in.in_fields => app.script.form.focused(),
        Step::Connection => app.connection.form.focused(),
        Step::Encryption if app.encryption.in_fields => app.encryption.form.focused(),
        Step::Destination => app.destination.form.focused(),
        Step::Script => app.script.field(),
        Step::Tables => match app.tables.focus {
            TablesFocus::Filter => Some(&app.tables.filter),
            TablesFocus::Publication => Some(&app.tables.publication),
            TablesFocus::Slot => Some(&app.tables.slot),
            TablesFocus::InitialCopy => Some(&app.tables.initial_copy),
            TablesFocus::Method | TablesFocus::List => None,
        },
        Step::Dashboard => app.dashboard.as_ref()?.filter_field(),
        _ => None,
    }
}
