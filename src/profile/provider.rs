//! Whose platform a server looks like, so that a fix can be worded for it.
//!
//! The signals are settings, roles, databases, schemas and functions that a low-privileged role can see, and the host's
//! name. They may mislead on a restored dump, so texts say "looks like", and the user may say otherwise.

use serde::{Deserialize, Serialize};

/// A provider of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Provider {
    #[default]
    SelfHosted,
    AmazonRds,
    AmazonAurora,
    CloudSql,
    #[serde(rename = "alloydb")]
    AlloyDb,
    AzureFlexible,
    /// Azure Database for PostgreSQL - Single Server, which has been retired.
    AzureSingle,
    Supabase,
    Neon,
    Heroku,
    Aiven,
    #[serde(rename = "digitalocean")]
    DigitalOcean,
    Timescale,
    CrunchyBridge,
    #[serde(rename = "planetscale")]
    PlanetScale,
    Xata,
    Selectel,
}

/// Ends of host names that only one provider gives out. Proxies and poolers of the same provider have them, too.
const HOSTS: [(&str, Provider); 11] = [
    (".rds.amazonaws.com", Provider::AmazonRds),
    (".postgres.database.azure.com", Provider::AzureFlexible),
    (".supabase.co", Provider::Supabase),
    (".supabase.com", Provider::Supabase),
    (".neon.tech", Provider::Neon),
    (".aivencloud.com", Provider::Aiven),
    (".ondigitalocean.com", Provider::DigitalOcean),
    (".tsdb.cloud.timescale.com", Provider::Timescale),
    (".postgresbridge.com", Provider::CrunchyBridge),
    (".psdb.cloud", Provider::PlanetScale),
    (".xata.sh", Provider::Xata),
];

impl Provider {
    /// All of them, by the names that stand in profiles and on command lines, and the names for people.
    pub const ALL: [(Self, &'static str, &'static str); 17] = [
        (Self::SelfHosted, "self-hosted", "self-hosted PostgreSQL"),
        (Self::AmazonRds, "amazon-rds", "Amazon RDS"),
        (Self::AmazonAurora, "amazon-aurora", "Amazon Aurora"),
        (Self::CloudSql, "cloud-sql", "Google Cloud SQL"),
        (Self::AlloyDb, "alloydb", "Google AlloyDB"),
        (Self::AzureFlexible, "azure-flexible", "Azure Database for PostgreSQL"),
        (Self::AzureSingle, "azure-single", "Azure Database for PostgreSQL - Single Server"),
        (Self::Supabase, "supabase", "Supabase"),
        (Self::Neon, "neon", "Neon"),
        (Self::Heroku, "heroku", "Heroku Postgres"),
        (Self::Aiven, "aiven", "Aiven"),
        (Self::DigitalOcean, "digitalocean", "DigitalOcean"),
        (Self::Timescale, "timescale", "Timescale"),
        (Self::CrunchyBridge, "crunchy-bridge", "Crunchy Bridge"),
        (Self::PlanetScale, "planetscale", "PlanetScale"),
        (Self::Xata, "xata", "Xata"),
        (Self::Selectel, "selectel", "Selectel"),
    ];

    /// Decides from the names of settings, from other signs (roles, and what is marked as `database …`, `schema …` or
    /// `function …`), and where these say nothing from the host's name.
    #[must_use]
    pub fn detect(settings: &[&str], signs: &[String], host: &str) -> Self {
        let setting = |prefix: &str| settings.iter().any(|name| name.starts_with(prefix));
        let any = |wanted: &[&str]| signs.iter().any(|name| wanted.contains(&name.as_str()));
        // Resellers before the platform that they run on. The extension TimescaleDB alone means nothing: anybody may
        // have it.
        if setting("supautils.") || any(&["supabase_admin"]) {
            Self::Supabase
        } else if setting("neon.") || any(&["neon_superuser", "cloud_admin"]) {
            Self::Neon
        } else if any(&["tsdbadmin", "tsdbexplorer", "database tsdb"]) {
            Self::Timescale
        } else if any(&["schema heroku_ext"]) {
            Self::Heroku
        } else if any(&["doadmin", "_dodb", "database _dodb"]) {
            Self::DigitalOcean
        } else if setting("aiven.") || any(&["avnadmin", "database _aiven"]) {
            Self::Aiven
        } else if any(&["crunchy_superuser"]) {
            Self::CrunchyBridge
        } else if setting("extwlist.pscale_") {
            Self::PlanetScale
        } else if setting("xata.") || any(&["xata", "xata_superuser"]) {
            Self::Xata
        } else if any(&["dbaas_replication"]) {
            Self::Selectel
        } else if setting("apg_") || any(&["function aurora_version"]) {
            Self::AmazonAurora
        } else if setting("rds.") || any(&["rds_replication", "rdsadmin", "rds_superuser", "database rdsadmin"]) {
            Self::AmazonRds
        } else if setting("alloydb.") || any(&["alloydbsuperuser", "alloydbadmin", "database alloydbadmin"]) {
            Self::AlloyDb
        } else if setting("cloudsql.") || any(&["cloudsqlsuperuser", "cloudsqladmin", "database cloudsqladmin"]) {
            Self::CloudSql
        } else if setting("azure.replication_support") {
            Self::AzureSingle
        } else if setting("azure.")
            || any(&["azure_pg_admin", "azuresu", "database azure_maintenance", "database azure_sys"])
        {
            Self::AzureFlexible
        } else {
            Self::of_host(host)
        }
    }

    fn of_host(host: &str) -> Self {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let found = HOSTS.iter().find(|(suffix, _)| host.ends_with(suffix)).map_or(Self::SelfHosted, |(_, one)| *one);
        // The endpoints of Aurora's clusters.
        if found == Self::AmazonRds && host.contains(".cluster-") { Self::AmazonAurora } else { found }
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(one, ..)| *one == self).map_or("PostgreSQL", |(_, _, name)| name)
    }

    /// The provider with this name in profiles and on command lines.
    #[must_use]
    pub fn of_key(key: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, one, _)| *one == key).map(|(provider, ..)| *provider)
    }

    /// Whether the attribute REPLICATION is replaced by a membership of `rds_replication`.
    #[must_use]
    pub fn grants_rds_replication(self) -> bool {
        matches!(self, Self::AmazonRds | Self::AmazonAurora)
    }
}

#[cfg(test)]
mod tests {
    use super::Provider;

    #[test]
    fn resellers_come_before_the_platform_below_them() {
        let none: [String; 0] = [];
        let sign = |name: &str| [name.to_owned()];
        assert_eq!(Provider::detect(&["timescaledb.max_background_workers"], &none, ""), Provider::SelfHosted);
        assert_eq!(Provider::detect(&["rds.extensions"], &sign("schema heroku_ext"), ""), Provider::Heroku);
        assert_eq!(Provider::detect(&[], &sign("function aurora_version"), ""), Provider::AmazonAurora);
        assert_eq!(Provider::detect(&["wal_level"], &none, ""), Provider::SelfHosted);
        assert_eq!(Provider::detect(&["rds.extensions"], &none, ""), Provider::AmazonRds);
        assert_eq!(Provider::detect(&["rds.extensions", "apg_x"], &none, ""), Provider::AmazonAurora);
        assert_eq!(Provider::detect(&["azure.x"], &sign("neon_superuser"), ""), Provider::Neon);
    }

    #[test]
    fn the_name_of_the_host_counts_where_the_server_shows_nothing() {
        let none: [String; 0] = [];
        for (host, provider) in [
            ("shop.c1.eu-west-1.rds.amazonaws.com", Provider::AmazonRds),
            ("shop.cluster-c1.eu-west-1.RDS.amazonaws.com.", Provider::AmazonAurora),
            ("p.a1b2.db.postgresbridge.com", Provider::CrunchyBridge),
            ("rds.amazonaws.com.example.org", Provider::SelfHosted),
        ] {
            assert_eq!(Provider::detect(&[], &none, host), provider, "{host}");
        }
        assert_eq!(Provider::detect(&["neon.x"], &none, "db.rds.amazonaws.com"), Provider::Neon);
        assert_eq!(Provider::detect(&["azure.replication_support"], &none, ""), Provider::AzureSingle);
    }

    #[test]
    fn profiles_and_command_lines_use_the_same_names() {
        for (provider, key, _) in Provider::ALL {
            assert_eq!(Provider::of_key(key), Some(provider));
            assert_eq!(serde_json::to_value(provider).unwrap(), key);
        }
    }
}
