//! Keys of the screen for method, tables and names.

use crate::profile::Method;
use crate::tui::app::action::Action;
use crate::tui::app::field::Edit;
use crate::tui::app::job::Job;
use crate::tui::app::message::{Effect, Work};
use crate::tui::app::state::App;
use crate::tui::app::step::Step;
use crate::tui::app::tables::TablesFocus;

const ORDER: [TablesFocus; 5] =
    [TablesFocus::Method, TablesFocus::List, TablesFocus::Publication, TablesFocus::Slot, TablesFocus::InitialCopy];

/// The screen was opened: the list is read if it is of another source.
pub(super) fn enter(app: &mut App, effects: &mut Vec<Effect>) {
    let source = app.source();
    if app.tables.loaded_for.as_ref() != Some(&source) {
        list(app, effects);
    }
}

/// Reads the list, as the role or as who stands in for it.
fn list(app: &mut App, effects: &mut Vec<Effect>) {
    app.tables.error = None;
    let reader = app.reader().map_or_else(|| app.source(), |(reader, _)| reader);
    app.start(Job::ListTables, Work::ListTables(reader), effects);
}

pub(super) fn act(app: &mut App, action: Action, effects: &mut Vec<Effect>) {
    let tables = &mut app.tables;
    let page = isize::try_from(app.size.1 / 2).unwrap_or(10);
    match (action, tables.focus) {
        (Action::NextField, _) => step(app, true),
        (Action::PreviousField, _) => step(app, false),
        (Action::Filter, _) => tables.focus = TablesFocus::Filter,
        (Action::Back, TablesFocus::Filter) => {
            tables.filter.edit(Edit::Clear);
            (tables.focus, tables.cursor) = (TablesFocus::List, 0);
        }
        (Action::Confirm | Action::Down | Action::Up, TablesFocus::Filter) => {
            (tables.focus, tables.cursor) = (TablesFocus::List, 0);
        }
        (Action::Back, _) => {
            if !app.cancel(Job::ListTables, effects) {
                app.show(Step::Encryption);
            } else {
                app.tables.error = Some("Reading the tables was cancelled; r reads them again.".to_owned());
            }
        }
        (Action::Rerun, _) => list(app, effects),
        (Action::Confirm, _) => confirm(app),
        (Action::Up | Action::Down | Action::Toggle | Action::Left | Action::Right, TablesFocus::Method) => {
            tables.method = if tables.method == Method::Cdc { Method::Xmin } else { Method::Cdc };
            app.edited(effects);
        }
        (Action::Toggle | Action::Left | Action::Right, TablesFocus::InitialCopy) => {
            tables.initial_copy.cycle(action != Action::Left);
            app.edited(effects);
        }
        (Action::Toggle, TablesFocus::List) => {
            tables.toggle();
            app.edited(effects);
        }
        (Action::ToggleAll, TablesFocus::List) => {
            tables.toggle_all();
            app.edited(effects);
        }
        (Action::Up, TablesFocus::List) => tables.move_by(-1),
        (Action::Down, TablesFocus::List) => tables.move_by(1),
        (Action::PageUp, TablesFocus::List) => tables.move_by(-page),
        (Action::PageDown, TablesFocus::List) => tables.move_by(page),
        (Action::First, TablesFocus::List) => tables.cursor = 0,
        (Action::Last, TablesFocus::List) => tables.move_by(isize::MAX),
        (Action::Down, _) => step(app, true),
        (Action::Up, _) => step(app, false),
        _ => {}
    }
}

fn step(app: &mut App, forward: bool) {
    if let Some(field) = app.tables.text_field() {
        field.blur();
    }
    let at = ORDER.iter().position(|focus| *focus == app.tables.focus).unwrap_or(1);
    app.tables.focus = ORDER[(at + if forward { 1 } else { ORDER.len() - 1 }) % ORDER.len()];
}

fn confirm(app: &mut App) {
    let tables = &mut app.tables;
    if !tables.publication.validate() {
        tables.focus = TablesFocus::Publication;
    } else if !tables.slot.validate() {
        tables.focus = TablesFocus::Slot;
    } else if app.jobs.runs(Job::ListTables) {
        app.note("The tables are still being read; Esc cancels.", false);
    } else if tables.loaded_for.is_none() {
        app.note("The tables are not known; r reads them.", true);
    } else if tables.ticked() == 0 {
        tables.focus = TablesFocus::List;
        app.note("No table is ticked; Space ticks one, a ticks all.", true);
    } else {
        app.show(Step::Preflight);
    }
}
