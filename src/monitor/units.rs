//! How numbers are shown, on the command line and on the dashboard alike. All short: the widest is eight characters.

use std::time::Duration;

/// Bytes as PostgreSQL's `pg_size_pretty` names them (powers of 1024), with one decimal below ten: `41 kB`, `3.4 GB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if count < 1024 {
        return format!("{count} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = count as f64 / 1024.0;
    let mut unit = 0;
    // 1023.5 would be printed as "1024 kB".
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    // 9.95 would be printed as "10.0".
    if value < 9.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// Bytes per second: `4.1 MB/s`.
#[must_use]
pub fn rate(bytes_per_second: f64) -> String {
    format!("{}/s", bytes(round(bytes_per_second)))
}

/// A span: `340ms`, `41s`, `14m07s`, `3h05m`, `4d02h`.
#[must_use]
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 if time.as_millis() > 0 => format!("{}ms", time.as_millis()),
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// A span that was estimated: `41s`, `42m`, `3h57m`, `4d02h`. Seconds behind minutes would promise too much.
#[must_use]
pub fn about(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        120..3600 => format!("{}m", seconds / 60),
        _ => span(Duration::from_secs(seconds)),
    }
}

/// A count of rows or changes: exact up to a million, then `1.2M`, `48.1M`, `3.4G`.
#[must_use]
pub fn count(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let scaled = |by: f64, unit: &str| {
        let value = number as f64 / by;
        if value < 99.95 { format!("{value:.1}{unit}") } else { format!("{value:.0}{unit}") }
    };
    match number {
        0..1_000_000 => grouped(number),
        1_000_000..1_000_000_000 => scaled(1e6, "M"),
        1_000_000_000..1_000_000_000_000 => scaled(1e9, "G"),
        _ => scaled(1e12, "T"),
    }
}

/// A number with what it counts, which takes an `s` from two on: `1 row`, `1,204 rows`.
#[must_use]
pub fn counted(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// The same to the last one: `2,301,044 rows`.
#[must_use]
pub fn exactly(number: u64, what: &str) -> String {
    format!("{} {what}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// With a comma between groups of three digits: `2,301,044`.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// The nearest whole number; 0 below zero.
#[must_use]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the conversion saturates")]
pub fn round(value: f64) -> u64 {
    value.round() as u64
}

/// A span out of seconds that may be anything: nothing that is not a number or below zero gets through.
#[must_use]
pub fn seconds(value: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_short_and_never_round_up_into_the_wrong_unit() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 kB"),
            (10_188, "9.9 kB"),
            (10_200, "10 kB"),
            (41 * 1024, "41 kB"),
            (1_048_575, "1.0 MB"),
            (3_650_722_201, "3.4 GB"),
            (u64::MAX, "16 EB"),
        ] {
            assert_eq!(bytes(count), shown, "{count}");
        }
        assert_eq!(rate(4.1 * 1024.0 * 1024.0), "4.1 MB/s");
        assert_eq!(rate(-3.0), "0 B/s");
    }

    #[test]
    fn spans_keep_two_units() {
        for (millis, shown) in [
            (0, "0s"),
            (340, "340ms"),
            (41_999, "41s"),
            (847_000, "14m07s"),
            (11_100_000, "3h05m"),
            (352_800_000, "4d02h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), shown);
        }
    }

    #[test]
    fn counts_stay_exact_as_long_as_they_fit() {
        for (number, shown) in [
            (0, "0"),
            (999, "999"),
            (48_102, "48,102"),
            (999_999, "999,999"),
            (48_102_554, "48.1M"),
            (196_400_000, "196M"),
        ] {
            assert_eq!(count(number), shown);
        }
        assert_eq!(grouped(2_301_044), "2,301,044");
    }
}
