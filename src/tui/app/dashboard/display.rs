//! How times, sizes and names are shown.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::catalog::Lsn;
use crate::monitor::{Moment, units};

/// How sizes are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Sizes {
    /// As PostgreSQL's `pg_size_pretty`, in powers of 1024: `3.4 GB`.
    #[default]
    Short,
    /// In bytes, all of them: `3650722201`.
    Bytes,
    /// As the difference of two positions in the log: `0/D9999999`.
    Positions,
}

/// How times are shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Times {
    /// The time of the day in UTC.
    #[default]
    Utc,
    /// The time of the day in this zone.
    Local(TimeZone),
    /// What has passed since.
    Since,
}

/// How times, sizes and names are shown.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Display {
    /// Sizes.
    pub sizes: Sizes,
    /// Times.
    pub times: Times,
    /// Whether names of hosts, roles and objects are hidden.
    pub private: bool,
}

impl Sizes {
    /// The next way.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Short => Self::Bytes,
            Self::Bytes => Self::Positions,
            Self::Positions => Self::Short,
        }
    }

    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Short => "in powers of 1024",
            Self::Bytes => "in bytes",
            Self::Positions => "as differences of positions",
        }
    }
}

impl Times {
    /// The next way; `zone` is this machine's.
    #[must_use]
    pub fn next(&self, zone: &TimeZone) -> Self {
        match self {
            Self::Utc => Self::Local(zone.clone()),
            Self::Local(_) => Self::Since,
            Self::Since => Self::Utc,
        }
    }

    /// In words: what stands over a list of times.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Local(zone) => zone.iana_name().unwrap_or("local time").to_owned(),
            Self::Since => "ago".to_owned(),
        }
    }

    /// A moment in eight columns; `now` is the moment that is shown.
    #[must_use]
    pub fn show(&self, at: Moment, now: Moment) -> String {
        match self {
            Self::Utc => at.clock(),
            Self::Local(zone) => local(at, zone),
            Self::Since => units::span(Duration::from_secs(now.since(at).as_secs())),
        }
    }

    /// A moment in a sentence, where nothing else says how times are shown: `12:03:41Z`, `13:03:41`, `38s ago`.
    #[must_use]
    pub fn say(&self, at: Moment, now: Moment) -> String {
        let shown = self.show(at, now);
        match self {
            Self::Utc => format!("{shown}Z"),
            Self::Local(_) => shown,
            Self::Since => format!("{shown} ago"),
        }
    }

    /// The day and the hour: `11-22 12h`.
    #[must_use]
    pub fn day(&self, at: Moment) -> String {
        let zone = if let Self::Local(zone) = self { zone.clone() } else { TimeZone::UTC };
        let zoned = Timestamp::from_microsecond(at.0).map(|time| time.to_zoned(zone));
        zoned.map_or_else(|_| at.clock(), |time| time.strftime("%m-%d %Hh").to_string())
    }

    /// A time of this machine's clock, never relative.
    #[must_use]
    pub fn clock(&self, at: SystemTime) -> String {
        match self {
            Self::Local(zone) => local(at.into(), zone),
            Self::Utc | Self::Since => format!("{}Z", Moment::from(at).clock()),
        }
    }
}

fn local(at: Moment, zone: &TimeZone) -> String {
    // Beyond the years that have a calendar UTC is as good.
    let zoned = Timestamp::from_microsecond(at.0).map(|time| time.to_zoned(zone.clone()));
    zoned.map_or_else(|_| at.clock(), |time| time.strftime("%H:%M:%S").to_string())
}

impl Display {
    /// A size.
    #[must_use]
    pub fn bytes(&self, count: u64) -> String {
        match self.sizes {
            Sizes::Short => units::bytes(count),
            Sizes::Bytes => count.to_string(),
            Sizes::Positions => Lsn(count).to_string(),
        }
    }

    /// A size for each second.
    #[must_use]
    pub fn rate(&self, bytes_per_second: f64) -> String {
        match self.sizes {
            Sizes::Short => units::rate(bytes_per_second),
            Sizes::Bytes | Sizes::Positions => format!("{}/s", self.bytes(units::round(bytes_per_second))),
        }
    }

    /// Columns that a size needs at the most, where a column has `short` for the short ones.
    #[must_use]
    pub fn width(&self, short: usize) -> usize {
        if self.sizes == Sizes::Short { short } else { short.max(13) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_have_three_ways_each() {
        let zone = TimeZone::fixed(jiff::tz::offset(-5));
        let (at, now) = (Moment(1_795_349_021_000_000), Moment(1_795_349_061_000_000));
        let mut times = Times::default();
        let mut shown = Vec::new();
        for _ in 0..4 {
            shown.push(times.say(at, now));
            times = times.next(&zone);
        }
        assert_eq!(shown, ["12:03:41Z", "07:03:41", "40s ago", "12:03:41Z"]);
        let mut display = Display::default();
        let mut sizes = Vec::new();
        for _ in 0..3 {
            sizes.push((display.bytes(3_650_722_201), display.rate(4096.4)));
            display.sizes = display.sizes.next();
        }
        let as_text: Vec<(&str, &str)> = sizes.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(as_text, [("3.4 GB", "4.0 kB/s"), ("3650722201", "4096/s"), ("0/D9999999", "0/1000/s")]);
        assert_eq!(display.sizes, Sizes::Short);
    }
}
