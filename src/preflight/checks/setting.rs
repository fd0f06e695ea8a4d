//! How a server's setting is mended: by ALTER SYSTEM, or in the console of the platform that takes that away.

use crate::catalog::Facts;
use crate::preflight::console;
use crate::preflight::finding::{Fix, FixKind};
use crate::profile::Provider;

/// A value for a setting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Value<'a> {
    /// The setting.
    pub(crate) name: &'a str,
    /// As a person writes it, for example `50GB`.
    pub(crate) text: &'a str,
    /// In the setting's own unit, as consoles want it.
    pub(crate) raw: &'a str,
    /// Whether it takes effect only with a restart.
    pub(crate) restart: bool,
}

impl<'a> Value<'a> {
    /// A value that has no unit, in effect after a restart.
    pub(crate) fn at_restart(name: &'a str, value: &'a str) -> Self {
        Self { name, text: value, raw: value, restart: true }
    }

    /// A value in effect after a reload.
    pub(crate) fn at_reload(name: &'a str, text: &'a str, raw: &'a str) -> Self {
        Self { name, text, raw, restart: false }
    }

    /// The statements for this server, one by one (ALTER SYSTEM can't be in a transaction with others), or what to do in
    /// the console.
    pub(crate) fn fixes(self, facts: &Facts) -> Vec<Fix> {
        if facts.provider != Provider::SelfHosted {
            return console::set(facts.provider, self.name, self.raw, self.restart);
        }
        let statement =
            |text| Fix { kind: FixKind::Setting, text, who: "superuser".to_owned(), lock: None, restart: self.restart };
        let mut fixes = vec![statement(format!("ALTER SYSTEM SET {} = '{}';", self.name, self.text))];
        if !self.restart {
            fixes.push(statement("SELECT pg_catalog.pg_reload_conf();".to_owned()));
        }
        fixes
    }
}
