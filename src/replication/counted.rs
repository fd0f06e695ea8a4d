//! Numbers with what they count, as sentences need them.

/// `one` as it stands behind `number`: `row` behind 1, `rows` behind any other number, `passes` for `pass`.
fn plural(number: u64, one: &str) -> String {
    match number {
        1 => one.to_owned(),
        _ if one.ends_with('s') => format!("{one}es"),
        _ => format!("{one}s"),
    }
}

/// `1 row`, `2 rows`.
#[must_use]
pub fn counted(number: u64, one: &str) -> String {
    format!("{number} {}", plural(number, one))
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn only_one_is_singular() {
        assert_eq!(counted(0, "row"), "0 rows");
        assert_eq!(counted(1, "row"), "1 row");
        assert_eq!(counted(21, "pass"), "21 passes");
    }
}
