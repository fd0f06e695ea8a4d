//! What a command after `:` does.

use super::{dashboard, record};
use crate::connection::printable;
use crate::tui::app::action::{Action, Panel};
use crate::tui::app::dashboard::{Dashboard, SlotOrder, TableOrder, Times};
use crate::tui::app::menu::Choice;
use crate::tui::app::message::Effect;
use crate::tui::app::palette::{Clock, Command, read};
use crate::tui::app::state::App;

/// Runs a command.
///
/// # Errors
/// One sentence when it is none, or what it names is not there; nothing was done then.
pub(super) fn run(app: &mut App, text: &str, effects: &mut Vec<Effect>) -> Result<(), String> {
    let command = read(text, app.paint)?;
    let zone = app.zone.clone();
    let Some(dashboard) = app.dashboard.as_mut() else { return Ok(()) };
    match command {
        Command::Key(action) => dashboard::act(app, action, effects),
        Command::Slot(name) => {
            dashboard.set_filter("");
            if !dashboard.select_slot(&name) {
                return Err(format!("There is no slot {}.", printable(&name)));
            }
            dashboard.act(Action::Show(Panel::Slots));
            dashboard.act(Action::Open);
        }
        Command::Table(name) => {
            dashboard.act(Action::Show(Panel::Tables));
            dashboard.set_filter("");
            if !dashboard.select_table(&name) {
                return Err(format!("There is no table {}.", printable(&name)));
            }
        }
        Command::Filter(text) => dashboard.set_filter(&text),
        Command::Sort(word) => sort(dashboard, &word)?,
        Command::Export(format) => dashboard::chosen(app, Choice::Export(format), effects),
        Command::Record(file) => record::begin(app, &file, effects),
        Command::Pace(every) => {
            dashboard.set_pace(every);
            effects.push(Effect::Pace(dashboard.pace()));
        }
        Command::Window(window) => dashboard.set_window(window),
        Command::Mute(time) => dashboard::chosen(app, Choice::Mute(time), effects),
        Command::Times(clock) => {
            dashboard.display_mut().times = match clock {
                Clock::Utc => Times::Utc,
                Clock::Local => Times::Local(zone),
                Clock::Relative => Times::Since,
            };
        }
        Command::Sizes(sizes) => dashboard.display_mut().sizes = sizes,
        Command::Theme(paint) => app.paint = paint,
    }
    Ok(())
}

/// Sorts the list that has the focus.
fn sort(dashboard: &mut Dashboard, word: &str) -> Result<(), String> {
    let words: Vec<&str> = if dashboard.panel().is_of_tables() {
        if let Some(order) = TableOrder::ALL.into_iter().find(|order| order.words().0 == word) {
            dashboard.sort_tables_by(order);
            return Ok(());
        }
        TableOrder::ALL.map(|order| order.words().0).to_vec()
    } else {
        if let Some(order) = SlotOrder::ALL.into_iter().find(|order| order.words().0 == word) {
            dashboard.sort_by(order);
            return Ok(());
        }
        SlotOrder::ALL.map(|order| order.words().0).to_vec()
    };
    Err(format!("sort takes {}.", words.join(", ")))
}
