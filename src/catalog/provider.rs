//! Whose platform a server looks like, so that a fix can be worded for it.
//!
//! The signals are settings and roles that a low-privileged role can see. They may mislead on a restored dump, so
//! texts say "looks like".

/// A provider of PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Provider {
    #[default]
    SelfHosted,
    AmazonRds,
    AmazonAurora,
    CloudSql,
    AlloyDb,
    AzureFlexible,
    Supabase,
    Neon,
    Heroku,
    Aiven,
    DigitalOcean,
    Timescale,
    CrunchyBridge,
}

impl Provider {
    /// Decides from the names of settings, and from other signs: roles, and what is marked as `database …`,
    /// `schema …` or `function …`.
    #[must_use]
    pub fn detect(settings: &[&str], signs: &[String]) -> Self {
        let setting = |prefix: &str| settings.iter().any(|name| name.starts_with(prefix));
        let any = |wanted: &[&str]| signs.iter().any(|name| wanted.contains(&name.as_str()));
        // Resellers before the platform that they run on. The extension TimescaleDB alone means nothing: anybody may
        // have it.
        if setting("supautils.") || any(&["supabase_admin"]) {
            Self::Supabase
        } else if setting("neon.") || any(&["neon_superuser", "cloud_admin"]) {
            Self::Neon
        } else if any(&["tsdbadmin", "database tsdb"]) {
            Self::Timescale
        } else if any(&["schema heroku_ext"]) {
            Self::Heroku
        } else if any(&["doadmin", "_dodb", "database _dodb"]) {
            Self::DigitalOcean
        } else if setting("aiven.") || any(&["avnadmin", "database _aiven"]) {
            Self::Aiven
        } else if any(&["crunchy_superuser"]) {
            Self::CrunchyBridge
        } else if setting("apg_") || any(&["function aurora_version"]) {
            Self::AmazonAurora
        } else if setting("rds.") || any(&["rds_replication", "rdsadmin", "rds_superuser", "database rdsadmin"]) {
            Self::AmazonRds
        } else if setting("alloydb.") || any(&["alloydbsuperuser", "alloydbadmin", "database alloydbadmin"]) {
            Self::AlloyDb
        } else if setting("cloudsql.") || any(&["cloudsqlsuperuser", "cloudsqladmin", "database cloudsqladmin"]) {
            Self::CloudSql
        } else if setting("azure.")
            || any(&["azure_pg_admin", "azuresu", "database azure_maintenance", "database azure_sys"])
        {
            Self::AzureFlexible
        } else {
            Self::SelfHosted
        }
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SelfHosted => "self-hosted PostgreSQL",
            Self::AmazonRds => "Amazon RDS",
            Self::AmazonAurora => "Amazon Aurora",
            Self::CloudSql => "Google Cloud SQL",
            Self::AlloyDb => "Google AlloyDB",
            Self::AzureFlexible => "Azure Database for PostgreSQL",
            Self::Supabase => "Supabase",
            Self::Neon => "Neon",
            Self::Heroku => "Heroku Postgres",
            Self::Aiven => "Aiven",
            Self::DigitalOcean => "DigitalOcean",
            Self::Timescale => "Timescale",
            Self::CrunchyBridge => "Crunchy Bridge",
        }
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
        assert_eq!(Provider::detect(&["timescaledb.max_background_workers"], &none), Provider::SelfHosted);
        assert_eq!(Provider::detect(&["rds.extensions"], &sign("schema heroku_ext")), Provider::Heroku);
        assert_eq!(Provider::detect(&[], &sign("function aurora_version")), Provider::AmazonAurora);
        assert_eq!(Provider::detect(&["wal_level"], &none), Provider::SelfHosted);
        assert_eq!(Provider::detect(&["rds.extensions"], &none), Provider::AmazonRds);
        assert_eq!(Provider::detect(&["rds.extensions", "apg_x"], &none), Provider::AmazonAurora);
        assert_eq!(Provider::detect(&["azure.x"], &sign("neon_superuser")), Provider::Neon);
    }
}
