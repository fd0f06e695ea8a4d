//! A point in time on a server's clock. Every lag is a difference of two readings of the same clock, so that a
//! client whose clock is wrong still shows the right lag.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Microseconds since 1970-01-01 00:00:00 UTC, the resolution of PostgreSQL's `timestamptz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Moment(pub i64);

impl Moment {
    /// From `extract(epoch from …)`.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "a float beyond the range of i64 saturates, which is as good")]
    pub fn from_epoch(seconds: f64) -> Self {
        Self((seconds * 1e6).round() as i64)
    }

    /// How long after `earlier` this is; zero when it is not after it (clocks are set back at times).
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `by` earlier.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// `by` later.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time of the day in UTC: `12:03:41`.
    #[must_use]
    pub fn clock(self) -> String {
        let second = self.0.div_euclid(1_000_000).rem_euclid(86_400);
        format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60)
    }
}

impl From<SystemTime> for Moment {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::default().plus(after),
            Err(before) => Self::default().minus(before.duration()),
        }
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-11-22T12:03:41.250Z`.
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.0.div_euclid(86_400_000_000));
        let millis = self.0.rem_euclid(1_000_000) / 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{}.{millis:03}Z", self.clock())
    }
}

/// A text that is no time in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time in UTC; it looks like 2026-11-22T12:03:41.25+00:00")]
pub struct NotAMoment;

impl FromStr for Moment {
    type Err = NotAMoment;

    /// Reads what PostgreSQL writes into JSON for a `timestamptz` while `TimeZone` is UTC, and what [`fmt::Display`]
    /// writes.
    fn from_str(text: &str) -> Result<Self, NotAMoment> {
        let body = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00")).ok_or(NotAMoment)?;
        let (date, time) = body.split_once(['T', ' ']).ok_or(NotAMoment)?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
            let mut parts = text.split(by).map(|part| part.parse::<u32>().ok().map(i64::from));
            let three = [parts.next()??, parts.next()??, parts.next()??];
            parts.next().is_none().then_some(three)
        };
        let [year, month, day] = numbers(date, '-').ok_or(NotAMoment)?;
        let [hour, minute, second] = numbers(time, ':').ok_or(NotAMoment)?;
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return Err(NotAMoment);
        }
        if fraction.len() > 9 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(NotAMoment);
        }
        let micros: i64 = format!("{fraction:0<6}")[..6].parse().map_err(|_| NotAMoment)?;
        let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Ok(Self(seconds * 1_000_000 + micros))
    }
}

/// RFC 3339 with microseconds: what is written is read back as it was.
impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (year, month, day) = civil(self.0.div_euclid(86_400_000_000));
        let micros = self.0.rem_euclid(1_000_000);
        serializer.collect_str(&format_args!("{year:04}-{month:02}-{day:02}T{}.{micros:06}Z", self.clock()))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Days since 1970-01-01 of a date in the Gregorian calendar. Years begin in March, so that the leap day is the last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The other way round: year, month, day.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::{Moment, civil, days};

    #[test]
    fn what_the_server_writes_is_read_back_to_the_microsecond() {
        for (text, micros) in [
            ("1970-01-01T00:00:00+00:00", 0),
            ("2026-11-22T08:52:12.524259+00:00", 1_795_337_532_524_259),
            ("2000-02-29T23:59:59.5+00:00", 951_868_799_500_000),
            ("1969-12-31T23:59:59.999Z", -1000),
        ] {
            assert_eq!(text.parse(), Ok(Moment(micros)), "{text}");
        }
        assert_eq!(Moment(1_795_337_532_524_259).to_string(), "2026-11-22T08:52:12.524Z");
        for bad in ["", "infinity", "2026-11-22T08:52:12+01:00", "2026-13-01T00:00:00Z", "2026-1-1-1T00:00:00Z"] {
            assert!(bad.parse::<Moment>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_day_survives_the_calendar() {
        for day in (-200_000..200_000).step_by(7) {
            let (year, month, of_month) = civil(day);
            assert_eq!(days(year, month, of_month), day);
        }
    }
}
