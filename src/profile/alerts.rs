//! From when on something is worth a word: the thresholds of the diagnosis, and `[alerts]`, which changes them.
//!
//! ```toml
//! [alerts]
//! lag = { warning = "5min", critical = "30min" }
//! archiver = { critical = "off" }
//!
//! [alerts.slots.reports]
//! lag = { warning = "1h", critical = "12h" }
//! ```
//!
//! What is not said stays as it is; a slot's own threshold wins over one for all slots. Nothing is taken that can't be
//! meant: unknown names, a size where a time belongs, a warning that comes after the critical threshold.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::alert_values::{Level, Unit};
use crate::connection::printable;

/// Something that is measured, with its own thresholds.
#[derive(Debug)]
pub struct Alert {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What its values are, and whether more or less of it is worse.
    pub unit: Unit,
    /// From when on it is a warning, in milliseconds, bytes, percent or pieces; `None`: never.
    pub warning: Option<u64>,
    /// From when on it is critical.
    pub critical: Option<u64>,
    /// Whether it is of a slot; else of the server.
    pub of_slot: bool,
    /// What it is, and the rules that use it.
    pub what: &'static str,
}

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const GB: u64 = 1 << 30;

macro_rules! alerts {
    ($($id:ident $name:literal $unit:ident $warning:expr, $critical:expr, $of_slot:literal, $what:literal;)*) => {
        $(
            #[doc = $what]
            pub static $id: Alert = Alert {
                name: $name,
                unit: Unit::$unit,
                warning: $warning,
                critical: $critical,
                of_slot: $of_slot,
                what: $what,
            };
        )*
        /// Every one of them, as the documentation lists them.
        pub static ALL: &[&Alert] = &[$(&$id),*];
    };
}

alerts! {
    LAG "lag" Time Some(2 * MINUTE), Some(15 * MINUTE), true, "age of the oldest byte that a consumer has not confirmed (R5b)";
    INACTIVE "inactive" Time Some(5 * MINUTE), Some(30 * MINUTE), true, "time without a reader (R1)";
    TIME_TO_LOSS "time_to_loss" TimeLeft Some(6 * HOUR), Some(HOUR), true, "time until the slot is lost (R4; its critical one also R1)";
    BUDGET_LEFT "budget_left" ShareLeft Some(50), Some(20), true, "what is left of max_slot_wal_keep_size (R4d)";
    IDLE_TIMEOUT_LEFT "idle_timeout_left" TimeLeft Some(HOUR), Some(15 * MINUTE), true, "time until the slot is lost for being idle (R3b)";
    RETAINED "retained" Size Some(10 * GB), Some(50 * GB), true, "log that a slot without a limit holds (R4b)";
    RETAINED_OF_VOLUME "retained_of_volume" Share Some(25), Some(50), true, "the same as a share of --wal-volume (R4b)";
    STALLED "stalled" Time Some(10 * MINUTE), None, true, "time in which everything was sent and nothing confirmed (R6)";
    STALLED_BYTES "stalled_bytes" Size Some(GB), None, true, "so much not confirmed is told of after a minute (R6)";
    SILENCE "silence" Share Some(50), Some(85), true, "silence of a consumer, of wal_sender_timeout (R7)";
    RECONNECTS "reconnects" Count Some(3), Some(10), true, "reconnections in five minutes (R8)";
    SLOT_CREATION "slot_creation" Time Some(30 * SECOND), Some(10 * MINUTE), true, "time that the slot's creation waits (R15)";
    HORIZON "horizon" Count Some(10_000_000), None, true, "transactions held back from vacuum (R16)";
    HORIZON_TIME "horizon_time" Time Some(2 * HOUR), None, true, "for how long, with at least 100000 transactions (R16)";
    HORIZON_OF_FREEZE "horizon_of_freeze" Share None, Some(50), true, "the same as a share of autovacuum_freeze_max_age (R16)";
    SPILLED "spilled" Size Some(GB), Some(10 * GB), true, "changes of open transactions on disk (R12)";
    SPILLED_OF_VOLUME "spilled_of_volume" Share None, Some(10), true, "the same as a share of --wal-volume (R12)";
    SPILLED_SHARE "spilled_share" Share Some(20), None, true, "share of the decoded changes that went to disk, in ten minutes (R12)";
    OPEN_TRANSACTION "open_transaction" Time Some(10 * MINUTE), Some(HOUR), false, "age of a transaction that pins slots (R9) or passes (X1)";
    PREPARED_TRANSACTION "prepared_transaction" Time Some(10 * MINUTE), Some(HOUR), false, "age of a prepared transaction (R9b)";
    ARCHIVER "archiver" Count Some(100), Some(1000), false, "segments that wait for the archiver (R17)";
    VOLUME_FULL "volume_full" TimeLeft Some(24 * HOUR), Some(2 * HOUR), false, "time until --wal-volume is full (R17c)";
    ORPHAN "orphan" Time Some(10 * MINUTE), None, false, "age of a slot of a table's first copy that nobody reads (R20)";
    SLOTS_USED "slots_used" Share Some(80), Some(100), false, "slots and walsenders in use (R21)";
    WRAPAROUND "wraparound" Share Some(50), Some(80), false, "age of a bound of the method xmin, of 2^31 transactions (X3)";
}

/// The thresholds that hold for something; `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// See [`Alert::warning`].
    pub warning: Option<u64>,
    /// See [`Alert::critical`].
    pub critical: Option<u64>,
}

/// What the configuration says of one alert.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    warning: Option<Level>,
    critical: Option<Level>,
}

type Table = BTreeMap<&'static str, Said>;

/// What the configuration changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "toml::Table", into = "toml::Table")]
pub struct Alerts {
    all: Table,
    slots: BTreeMap<String, Table>,
}

/// Why `[alerts]` can't be used; one sentence without a full stop, safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadAlerts(String);

impl Alerts {
    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && self.slots.is_empty()
    }

    /// What holds for `alert`: what is said of `slot`, of all slots, or walpilot's own proposal.
    #[must_use]
    pub fn limits(&self, alert: &Alert, slot: Option<&str>) -> Limits {
        let of_slot = slot.and_then(|slot| self.slots.get(slot)?.get(alert.name).copied()).unwrap_or_default();
        let of_all = self.all.get(alert.name).copied().unwrap_or_default();
        let level =
            |own: Option<Level>, all: Option<Level>, default: Option<u64>| own.or(all).map_or(default, Level::value);
        Limits {
            warning: level(of_slot.warning, of_all.warning, alert.warning),
            critical: level(of_slot.critical, of_all.critical, alert.critical),
        }
    }

    /// These, and where they say nothing, those `below`.
    ///
    /// # Errors
    /// When a warning of one would come after the critical threshold of the other.
    pub fn over(mut self, below: &Self) -> Result<Self, BadAlerts> {
        merge(&mut self.all, &below.all);
        for (slot, table) in &below.slots {
            merge(self.slots.entry(slot.clone()).or_default(), table);
        }
        self.in_order()
    }

    fn in_order(self) -> Result<Self, BadAlerts> {
        let slots = self.slots.keys().map(|slot| Some(slot.as_str()));
        for slot in std::iter::once(None).chain(slots) {
            for alert in ALL.iter().filter(|alert| slot.is_none() || alert.of_slot) {
                let limits = self.limits(alert, slot);
                let (Some(warning), Some(critical)) = (limits.warning, limits.critical) else { continue };
                if if alert.unit.less_is_worse() { warning < critical } else { warning > critical } {
                    let (warning, critical) = (alert.unit.text(warning), alert.unit.text(critical));
                    return Err(BadAlerts(format!(
                        "{}: it would be critical ({critical}) before it is a warning ({warning}); set both",
                        path(slot, alert.name)
                    )));
                }
            }
        }
        Ok(self)
    }
}

fn merge(above: &mut Table, below: &Table) {
    for (name, said) in below {
        let own = above.entry(name).or_default();
        own.warning = own.warning.or(said.warning);
        own.critical = own.critical.or(said.critical);
    }
}

fn path(slot: Option<&str>, name: &str) -> String {
    let slot = slot.map_or_else(String::new, |slot| format!("slots.{slot}."));
    printable(&format!("alerts.{slot}{name}")).into_owned()
}

impl TryFrom<toml::Table> for Alerts {
    type Error = BadAlerts;

    fn try_from(written: toml::Table) -> Result<Self, BadAlerts> {
        let mut alerts = Self::default();
        for (name, value) in written {
            if name != "slots" {
                let (name, said) = read(None, &name, &value)?;
                alerts.all.insert(name, said);
                continue;
            }
            for (slot, value) in tables(value, "alerts.slots")? {
                let mut own = Table::new();
                for (name, value) in tables(value, &path(Some(&slot), "").replace("..", "."))? {
                    let (name, said) = read(Some(&slot), &name, &value)?;
                    own.insert(name, said);
                }
                alerts.slots.insert(slot, own);
            }
        }
        alerts.in_order()
    }
}

fn tables(value: toml::Value, path: &str) -> Result<toml::Table, BadAlerts> {
    match value {
        toml::Value::Table(table) => Ok(table),
        _ => Err(BadAlerts(format!("{path} is no table; write [alerts.slots.NAME]"))),
    }
}

fn read(slot: Option<&str>, name: &str, value: &toml::Value) -> Result<(&'static str, Said), BadAlerts> {
    let at = path(slot, name);
    let Some(alert) = ALL.iter().find(|alert| alert.name == name) else {
        let known: Vec<&str> = ALL.iter().filter(|one| slot.is_none() || one.of_slot).map(|one| one.name).collect();
        return Err(BadAlerts(format!("{at} is not known; there are {}", known.join(", "))));
    };
    if slot.is_some() && !alert.of_slot {
        return Err(BadAlerts(format!("{at}: {name} is of the server, not of a slot; write it under [alerts]")));
    }
    let Some(written) = value.as_table() else {
        let example = alert.unit.example();
        return Err(BadAlerts(format!(
            "{at} has two thresholds: {name} = {{ warning = {example}, critical = {example} }}"
        )));
    };
    let mut said = Said::default();
    for (key, value) in written {
        let level = || Level::read(alert.unit, value).map_err(|why| BadAlerts(format!("{at}.{key}: {why}")));
        match key.as_str() {
            "warning" => said.warning = Some(level()?),
            "critical" => said.critical = Some(level()?),
            _ => {
                return Err(BadAlerts(format!("{at}.{} is not known; there are warning and critical", printable(key))));
            }
        }
    }
    Ok((alert.name, said))
}

impl From<Alerts> for toml::Table {
    fn from(alerts: Alerts) -> Self {
        let write = |table: &Table| -> Self {
            let one = |(name, said): (&&'static str, &Said)| {
                let alert = ALL.iter().find(|alert| alert.name == *name)?;
                let levels = [("warning", said.warning), ("critical", said.critical)];
                let levels = levels
                    .iter()
                    .filter_map(|(key, level)| Some(((*key).to_owned(), level.as_ref()?.write(alert.unit))));
                Some(((*name).to_owned(), toml::Value::Table(levels.collect())))
            };
            table.iter().filter_map(one).collect()
        };
        let mut written = write(&alerts.all);
        if !alerts.slots.is_empty() {
            let slots = alerts.slots.iter().map(|(slot, table)| (slot.clone(), toml::Value::Table(write(table))));
            written.insert("slots".to_owned(), toml::Value::Table(slots.collect()));
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, Alerts, LAG, Limits, RETAINED, SILENCE, TIME_TO_LOSS};

    fn read(text: &str) -> Result<Alerts, String> {
        let table: toml::Table = toml::from_str(text).expect("TOML");
        Alerts::try_from(table).map_err(|error| error.to_string())
    }

    fn limits(warning: u64, critical: u64) -> Limits {
        Limits { warning: Some(warning), critical: Some(critical) }
    }

    #[test]
    fn the_nearest_word_wins() {
        let alerts = read(
            "lag = { warning = \"5min\", critical = \"1h\" }\nretained = { critical = \"off\" }\n\
             [slots.reports]\nlag = { critical = \"1d\" }\nsilence = { warning = \"70%\" }",
        )
        .unwrap();
        assert_eq!(alerts.limits(&LAG, None), limits(300_000, 3_600_000));
        assert_eq!(alerts.limits(&LAG, Some("other")), limits(300_000, 3_600_000));
        assert_eq!(alerts.limits(&LAG, Some("reports")), limits(300_000, 86_400_000));
        assert_eq!(alerts.limits(&SILENCE, Some("reports")), limits(70, 85));
        assert_eq!(alerts.limits(&RETAINED, None), Limits { warning: Some(10 << 30), critical: None });
        assert_eq!(Alerts::default().limits(&TIME_TO_LOSS, None), limits(21_600_000, 3_600_000));
        let below =
            read("lag = { warning = \"1min\" }\n[slots.reports]\nlag = { critical = \"2d\", warning = \"1s\" }")
                .unwrap();
        let both = alerts.clone().over(&below).unwrap();
        assert_eq!(both.limits(&LAG, None), limits(300_000, 3_600_000));
        assert_eq!(both.limits(&LAG, Some("reports")), limits(1000, 86_400_000));
        assert!(
            read("lag = { warning = \"14min\" }")
                .unwrap()
                .over(&read("lag = { critical = \"10min\" }").unwrap())
                .is_err()
        );
    }

    #[test]
    fn it_comes_back_as_it_was_written() {
        let alerts = read(
            "lag = { warning = \"90s\", critical = \"off\" }\nreconnects = { warning = 5 }\nretained = { warning = \"1536MB\" }\n\
             [slots.a]\nsilence = { critical = \"90%\" }",
        )
        .unwrap();
        let text = toml::to_string(&alerts).unwrap();
        assert!(text.contains("\"90s\"") && text.contains("\"1536MB\"") && text.contains("\"90%\""), "{text}");
        assert_eq!(toml::from_str::<Alerts>(&text).unwrap(), alerts, "{text}");
        let json = serde_json::to_string(&alerts).unwrap();
        assert_eq!(serde_json::from_str::<Alerts>(&json).unwrap(), alerts, "{json}");
    }

    #[test]
    fn what_can_not_be_meant_is_named() {
        for (text, named) in [
            ("lagg = { warning = \"5min\" }", "alerts.lagg is not known; there are lag, inactive"),
            ("lag = \"5min\"", "alerts.lag has two thresholds: lag = { warning ="),
            ("lag = { warn = \"5min\" }", "alerts.lag.warn is not known; there are warning and critical"),
            ("lag = { warning = \"5MB\" }", "alerts.lag.warning: \"5MB\" is no time; write it like"),
            ("lag = { warning = 300 }", "alerts.lag.warning: 300 is no time"),
            ("lag = { warning = \"0s\" }", "alerts.lag.warning: \"0s\" is no time"),
            (
                "lag = { warning = \"20min\" }",
                "alerts.lag: it would be critical (15min) before it is a warning (20min)",
            ),
            ("time_to_loss = { critical = \"7h\" }", "alerts.time_to_loss: it would be critical (7h)"),
            ("retained = { warning = \"5min\" }", "is no size; write it like 512MB, 10GB or 1TB, or off"),
            ("silence = { warning = \"0.5\" }", "is no share; write it like 80%, or off"),
            ("silence = { warning = \"180%\" }", "\"180%\" is no share"),
            ("reconnects = { warning = -3 }", "-3 is no number; write it like 100, or off"),
            ("slots = 3", "alerts.slots is no table"),
            ("[slots]\na = 3", "alerts.slots.a"),
            ("[slots.a]\narchiver = { warning = 5 }", "alerts.slots.a.archiver: archiver is of the server"),
            ("[slots.a]\nlagg = {}", "alerts.slots.a.lagg is not known"),
            ("\"\\u001b[2J\" = 3", "alerts.\\u{1b}[2J is not known"),
        ] {
            let error = read(text).expect_err(text);
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn every_default_is_in_order_and_has_a_name_of_its_own() {
        assert!(Alerts::default().in_order().is_ok());
        let mut names: Vec<&str> = ALL.iter().map(|alert| alert.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }
}
