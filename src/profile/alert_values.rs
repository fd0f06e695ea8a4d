//! How thresholds are written: times, sizes, shares and numbers.

/// What the values of an alert are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds; longer is worse.
    Time,
    /// Milliseconds that are left; less is worse.
    TimeLeft,
    /// Bytes.
    Size,
    /// Percent; more is worse.
    Share,
    /// Percent that are left; less is worse.
    ShareLeft,
    /// Pieces.
    Count,
}

/// One threshold, as somebody wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// In the alert's unit.
    At(u64),
    /// Never.
    Off,
}

/// The larger units first: a value is written in the largest that holds it without a rest.
const TIMES: [(&str, u64); 6] =
    [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
const SIZES: [(&str, u64); 5] = [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("kB", 1 << 10), ("B", 1)];

impl Unit {
    /// Whether a smaller value is a worse one.
    #[must_use]
    pub fn less_is_worse(self) -> bool {
        matches!(self, Self::TimeLeft | Self::ShareLeft)
    }

    /// A value as it is written in the configuration.
    #[must_use]
    pub fn text(self, value: u64) -> String {
        let in_units = |units: &[(&str, u64)]| {
            let fits = units.iter().find(|(_, size)| value >= *size && value.is_multiple_of(*size));
            fits.map_or_else(
                || format!("0{}", units[units.len() - 1].0),
                |(name, size)| format!("{}{name}", value / size),
            )
        };
        match self {
            Self::Time | Self::TimeLeft => in_units(&TIMES),
            Self::Size => in_units(&SIZES),
            Self::Share | Self::ShareLeft => format!("{value}%"),
            Self::Count => value.to_string(),
        }
    }

    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Time | Self::TimeLeft => "\"5min\"",
            Self::Size => "\"10GB\"",
            Self::Share | Self::ShareLeft => "\"80%\"",
            Self::Count => "100",
        }
    }

    fn read(self, text: &str) -> Option<u64> {
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u64 = text[..digits].parse().ok()?;
        let unit = text[digits..].trim_start();
        let of = |units: &[(&str, u64)]| {
            let (_, size) = units.iter().find(|(name, _)| *name == unit)?;
            number.checked_mul(*size).filter(|value| *value > 0)
        };
        match self {
            Self::Time | Self::TimeLeft => of(&TIMES),
            Self::Size => of(&SIZES),
            Self::Share | Self::ShareLeft => Some(number).filter(|share| unit == "%" && (1..=100).contains(share)),
            Self::Count => Some(number).filter(|count| unit.is_empty() && *count > 0),
        }
    }
}

impl Level {
    pub(super) fn value(self) -> Option<u64> {
        match self {
            Self::At(value) => Some(value),
            Self::Off => None,
        }
    }

    /// Reads a threshold; one sentence without a full stop when it is none.
    pub(super) fn read(unit: Unit, value: &toml::Value) -> Result<Self, String> {
        let text = match value {
            toml::Value::String(text) if text == "off" => return Ok(Self::Off),
            toml::Value::String(text) => Some(text.clone()),
            // A bare number has no unit, so it is only a count.
            toml::Value::Integer(number) if unit == Unit::Count => Some(number.to_string()),
            _ => None,
        };
        let what = match unit {
            Unit::Time | Unit::TimeLeft => "time; write it like 90s, 2min, 6h or 1d, or off",
            Unit::Size => "size; write it like 512MB, 10GB or 1TB, or off",
            Unit::Share | Unit::ShareLeft => "share; write it like 80%, or off",
            Unit::Count => "number; write it like 100, or off",
        };
        let level = text.and_then(|text| unit.read(&text)).map(Self::At);
        level.ok_or_else(|| format!("{} is no {what}", crate::connection::printable(&value.to_string())))
    }

    pub(super) fn write(self, unit: Unit) -> toml::Value {
        match self {
            Self::Off => toml::Value::String("off".to_owned()),
            Self::At(value) if unit == Unit::Count => {
                i64::try_from(value).map_or_else(|_| toml::Value::String(value.to_string()), toml::Value::Integer)
            }
            Self::At(value) => toml::Value::String(unit.text(value)),
        }
    }
}
