//! The configuration that holds for every source: `config.toml` beside the profiles.

use serde::Deserialize;

use super::alerts::Alerts;
use crate::connection::printable;

/// What stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// Thresholds; a profile's own go before them.
    pub alerts: Alerts,
}

impl Configuration {
    /// Reads the text of the file.
    ///
    /// # Errors
    /// One sentence without a full stop that gives the line.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| text[..span.start].lines().count().max(1));
            let at = line.map_or_else(String::new, |line| format!("line {line}: "));
            format!("{at}{}", printable(error.message().trim_end_matches('.')))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Configuration;
    use crate::profile::alerts::{ALL, Alerts};

    #[test]
    fn the_sample_holds_every_default() {
        let text = include_str!("../../assets/config.toml");
        let sample = Configuration::from_toml(text).unwrap();
        for alert in ALL {
            assert!(text.contains(&format!("\n{} = {{", alert.name)), "{}", alert.name);
            assert_eq!(sample.alerts.limits(alert, None), Alerts::default().limits(alert, None), "{}", alert.name);
        }
    }
}
