//! A plan cut into the parts that different people have to run, in order.

use super::step::{Person, Plan, Step};

/// What one person runs in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Counted from 1.
    pub number: usize,
    /// How many parts there are.
    pub of: usize,
    /// Who runs it.
    pub person: Person,
    /// Its steps. What is done by hand stands in the first part of the administrator, or in the first of all.
    pub plan: Plan,
}

/// Cuts `plan` wherever the person changes. No step is moved: the order is part of what makes a setup safe.
#[must_use]
pub fn parts(plan: &Plan) -> Vec<Part> {
    let mut pieces: Vec<(Person, Vec<Step>)> = Vec::new();
    for step in &plan.steps {
        match pieces.last_mut() {
            Some((person, steps)) if *person == step.person => steps.push(step.clone()),
            _ => pieces.push((step.person.clone(), vec![step.clone()])),
        }
    }
    let of = pieces.len();
    let administrator = pieces.iter().position(|(person, _)| *person == Person::Administrator).unwrap_or(0);
    let part = |(at, (person, steps))| {
        let by_hand = if at == administrator { plan.by_hand.clone() } else { Vec::new() };
        Part { number: at + 1, of, person, plan: Plan { steps, by_hand } }
    };
    pieces.into_iter().enumerate().map(part).collect()
}

impl Part {
    /// A name for its file: the number that it is run by, and whose it is. Names of owners are made harmless.
    #[must_use]
    pub fn file_name(&self) -> String {
        let owner = match &self.person {
            Person::Owner(name) => {
                let safe = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
                format!("-{}", name.chars().take(40).map(safe).collect::<String>())
            }
            _ => String::new(),
        };
        format!("{}-{}{owner}.sql", self.number, self.person.name())
    }
}

#[cfg(test)]
mod tests {
    use super::parts;
    use crate::setup::step::{Person, Plan, Step};

    #[test]
    fn parts_keep_the_order_and_name_their_person() {
        let step = |person: Person| Step::new(person, "", "", "SELECT 1".to_owned(), "");
        let owner = || Person::Owner("../a b\n🧾".to_owned());
        let persons = [Person::Administrator, owner(), owner(), Person::Administrator, Person::Replication];
        let plan = Plan { steps: persons.map(step).to_vec(), by_hand: vec!["restart".to_owned()] };
        let parts = parts(&plan);
        let names: Vec<String> = parts.iter().map(super::Part::file_name).collect();
        assert_eq!(names, ["1-administrator.sql", "2-owner----a-b--.sql", "3-administrator.sql", "4-replication.sql"]);
        assert_eq!(parts.iter().map(|part| part.plan.steps.len()).collect::<Vec<_>>(), [1, 2, 1, 1]);
        assert_eq!(parts.iter().map(|part| part.plan.by_hand.len()).collect::<Vec<_>>(), [1, 0, 0, 0]);
    }
}
