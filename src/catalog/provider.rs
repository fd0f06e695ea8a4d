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
    /// Decides from the names of settings and roles that exist.
    #[must_use]
    pub fn detect(settings: &[&str], roles: &[String]) -> Self {
        let setting = |prefix: &str| settings.iter().any(|name| name.starts_with(prefix));
        let role = |wanted: &str| roles.iter().any(|name| name == wanted);
        // Resellers before the platform that they run on.
        if setting("supautils.") || role("supabase_admin") {
            Self::Supabase
        } else if setting("neon.") || role("neon_superuser") {
            Self::Neon
        } else if setting("timescaledb.") || role("tsdbadmin") {
            Self::Timescale
        } else if role("heroku_ext") {
            Self::Heroku
        } else if role("doadmin") {
            Self::DigitalOcean
        } else if setting("aiven.") || role("avnadmin") {
            Self::Aiven
        } else if role("crunchy_superuser") {
            Self::CrunchyBridge
        } else if setting("apg_") {
            Self::AmazonAurora
        } else if setting("rds.") || role("rds_replication") {
            Self::AmazonRds
        } else if setting("alloydb.") || role("alloydbsuperuser") {
            Self::AlloyDb
        } else if setting("cloudsql.") || role("cloudsqlsuperuser") {
            Self::CloudSql
        } else if setting("azure.") || role("azure_pg_admin") {
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

    /// How logical decoding is switched on in its console; `None` where `ALTER SYSTEM` does it.
    #[must_use]
    pub fn logical_switch(self) -> Option<&'static str> {
        match self {
            Self::SelfHosted => None,
            Self::AmazonRds => {
                Some("Set rds.logical_replication = 1 in the instance's parameter group, then reboot it")
            }
            Self::AmazonAurora => {
                Some("Set rds.logical_replication = 1 in the cluster's parameter group, then reboot the writer")
            }
            Self::CloudSql => Some("Set the database flag cloudsql.logical_decoding = on; the instance restarts"),
            Self::AlloyDb => Some("Set the database flag alloydb.logical_decoding = on; the primary instance restarts"),
            Self::AzureFlexible => Some("Set the server parameter wal_level = logical, then restart the server"),
            Self::Supabase => Some("Ask Supabase's support: wal_level is logical there unless it was changed"),
            Self::Heroku => Some("Heroku does not offer logical replication; use the method xmin"),
            Self::Aiven | Self::DigitalOcean | Self::Timescale | Self::CrunchyBridge => {
                Some("Set wal_level = logical in the service's settings, or ask the provider's support")
            }
            Self::Neon => Some("Enable logical replication in the project's settings; all computes restart"),
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
        assert_eq!(Provider::detect(&["wal_level"], &none), Provider::SelfHosted);
        assert_eq!(Provider::detect(&["rds.extensions"], &none), Provider::AmazonRds);
        assert_eq!(Provider::detect(&["rds.extensions", "apg_x"], &none), Provider::AmazonAurora);
        assert_eq!(Provider::detect(&["azure.x"], &["neon_superuser".to_owned()]), Provider::Neon);
    }
}
