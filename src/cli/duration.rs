//! Durations as people type them.

use std::time::Duration;

/// Milliseconds.
const YEAR: u64 = 31_536_000_000;

/// Reads `20s`, `5m`, `1h`, `500ms`, or a bare number of seconds.
///
/// # Errors
/// One sentence that shows how a duration is written.
pub fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let wrong = || "write a duration like 20s, 5m or 1h".to_owned();
    let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
    let millis = match &text[digits..] {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    // A year is beyond any use and far below what a deadline can hold.
    match number.checked_mul(millis) {
        Some(millis) if (1..=YEAR).contains(&millis) => Ok(Duration::from_millis(millis)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::parse;

    #[test]
    fn durations_are_read_with_their_unit() {
        for (text, millis) in [("20s", 20_000), ("5m", 300_000), ("1h", 3_600_000), ("500ms", 500), ("7", 7_000)] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in [
            "",
            "s",
            "-1s",
            "1.5s",
            "20 s",
            "99999999999999999999",
            "18446744073709551615h",
            "5 minutes",
            "0s",
            "366d",
            "9999h9",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
