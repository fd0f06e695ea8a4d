//! The options of the setup script's screen: what the setup makes beyond what is missing.

use super::field::{Field, Kind};
use super::form::Form;
use super::validate::FieldId;
use crate::profile::{Coverage, Method, SetupChoices};

const YES: &str = "yes";
const NO_YES: &[&str] = &["no", YES];
const COVERAGES: [(Coverage, &str); 3] =
    [(Coverage::Tables, "the chosen tables"), (Coverage::Schemas, "their schemas"), (Coverage::All, "all tables")];
const COVERAGE_WORDS: &[&str] = &[COVERAGES[0].1, COVERAGES[1].1, COVERAGES[2].1];
const LEAVES: &str = "by their own names";
const PARTITIONS: &[&str] = &["as one table", LEAVES];

/// The fields, filled from `choices`.
#[must_use]
pub fn form(choices: SetupChoices) -> Form {
    let mut form = Form::new(vec![
        Field::new(FieldId::Cover, Kind::Choice(COVERAGE_WORDS)),
        Field::new(FieldId::Partitions, Kind::Choice(PARTITIONS)),
        Field::new(FieldId::Failover, Kind::Choice(NO_YES)),
        Field::new(FieldId::Heartbeat, Kind::Choice(NO_YES)),
        Field::new(FieldId::Monitor, Kind::Choice(NO_YES)),
    ]);
    let cover = COVERAGES.iter().find(|(cover, _)| *cover == choices.cover);
    form.set(FieldId::Cover, cover.map_or("", |(_, word)| word));
    for (id, on, word) in [
        (FieldId::Partitions, choices.leaf_names, LEAVES),
        (FieldId::Failover, choices.failover, YES),
        (FieldId::Heartbeat, choices.heartbeat, YES),
        (FieldId::Monitor, choices.monitor, YES),
    ] {
        if on {
            form.set(id, word);
        }
    }
    form
}

/// What the fields say.
#[must_use]
pub fn choices(form: &Form) -> SetupChoices {
    let word = form.text(FieldId::Cover);
    SetupChoices {
        cover: COVERAGES.iter().find(|(_, known)| *known == word).map(|(cover, _)| *cover).unwrap_or_default(),
        leaf_names: form.text(FieldId::Partitions) == LEAVES,
        failover: form.text(FieldId::Failover) == YES,
        heartbeat: form.text(FieldId::Heartbeat) == YES,
        monitor: form.text(FieldId::Monitor) == YES,
    }
}

/// Hides what has no meaning for `method`: the xmin method has neither publication nor slot.
pub fn show_for(form: &mut Form, method: Method) {
    for field in &mut form.fields {
        field.hidden = method == Method::Xmin && field.id != FieldId::Monitor;
    }
}

/// The choices that differ from walpilot's own, in a few words; empty when none does.
#[must_use]
pub fn in_words(form: &Form) -> String {
    let said = |field: &&Field| field.chosen() > 0;
    let words = form.shown().filter(said).map(|field| match field.text() {
        YES => field.id.label().to_lowercase(),
        word => format!("{} {word}", field.id.label().to_lowercase()),
    });
    words.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{choices, form, in_words, show_for};
    use crate::profile::{Coverage, Method, SetupChoices};

    #[test]
    fn what_is_chosen_is_shown_and_comes_back() {
        for cover in [Coverage::Tables, Coverage::Schemas, Coverage::All] {
            for on in [false, true] {
                let chosen = SetupChoices { cover, leaf_names: on, failover: !on, monitor: on, heartbeat: !on };
                assert_eq!(choices(&form(chosen)), chosen);
            }
        }
        assert_eq!(in_words(&form(SetupChoices::default())), "");
        let all = SetupChoices { cover: Coverage::All, monitor: true, ..SetupChoices::default() };
        let mut fields = form(all);
        assert_eq!(in_words(&fields), "publishes all tables, monitoring");
        show_for(&mut fields, Method::Xmin);
        assert_eq!(in_words(&fields), "monitoring");
    }
}
