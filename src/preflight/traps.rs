//! What surprises people on the well-known platforms, and who has the administrator's rights there.
//!
//! From the providers' documentation and their users' complaints; none of it could be tried here, so it is told as advice and decides
//! nothing.

use crate::profile::Provider;

/// Advice for a source on this platform, each a sentence or two.
pub(crate) fn traps(provider: Provider) -> &'static [&'static str] {
    match provider {
        Provider::AmazonRds => &[
            "RDS Proxy does not carry replication: connect to the instance's own endpoint.",
            "A changed parameter counts only after the reboot (pending-reboot until then).",
            "Major upgrades and blue/green deployments want logical slots dropped before, and a new copy after.",
        ],
        Provider::AmazonAurora => &[
            "Slots are made and read at the writer only: connect to the cluster's writer endpoint, not to a reader's or to RDS Proxy.",
            "A slot that nobody reads makes the storage, and its bill, grow instead of filling a disk: watch it all the more.",
            "Aurora Serverless v1 has no logical replication.",
        ],
        Provider::CloudSql => &["There is no superuser: what asks for one is run by a member of cloudsqlsuperuser."],
        Provider::AlloyDb => &[
            "Read pools can't serve slots: connect to the primary instance.",
            "There is no superuser: what asks for one is run by a member of alloydbsuperuser.",
        ],
        Provider::AzureFlexible => &[
            "max_slot_wal_keep_size is -1 there and can't be changed: a slot that nobody reads fills the storage, and the service may drop slots or turn read-only when little is left.",
            "High availability needs 4 slots and 2 senders beyond your own.",
            "After a failover a slot may be gone, unless it is a failover slot (PostgreSQL 17 and later).",
            "The built-in PgBouncer (port 6432) does not carry replication: use port 5432.",
        ],
        Provider::AzureSingle => &[
            "Single Server has been retired and never had publications: move to Flexible Server first, or use the method xmin.",
        ],
        Provider::Supabase => &[
            "Only the direct host (db.PROJECT.supabase.co) carries replication, never the pooler; it has an IPv6 address only, unless the IPv4 add-on was bought.",
            "Before PostgreSQL 17 no role with REPLICATION can be made there: replicate as postgres.",
            "Row-level security is on for most tables: a role without BYPASSRLS copies what its policies let through.",
            "How many slots and senders there are depends on the compute size.",
        ],
        Provider::Neon => &[
            "Use the host without -pooler: the pooler does not carry replication.",
            "A slot that nobody reads is removed after about 40 hours, and restoring a branch removes its slots: then everything is copied again.",
            "While a replication is connected the compute never scales to zero.",
        ],
        Provider::Heroku => &["It does not offer logical replication: use the method xmin."],
        Provider::Aiven => &[
            "avnadmin is no superuser: a publication FOR ALL TABLES is made with the functions of the extension aiven_extras; a list of tables needs none of it.",
        ],
        Provider::DigitalOcean => &[
            "Connection pools (port 25061) do not carry replication: use the database's own port.",
            "Sources disagree on whether it offers logical replication: walpilot check --deep tries.",
        ],
        Provider::Timescale => &[
            "Rows of hypertables are in chunks: publish the schema _timescaledb_internal too, or all tables, or the rows of new chunks do not arrive.",
        ],
        Provider::CrunchyBridge => {
            &["The role application can't make a publication FOR ALL TABLES: name the tables, or let postgres make it."]
        }
        Provider::PlanetScale | Provider::Xata | Provider::Selectel => {
            &["Logical replication is a setting of the service there: walpilot check --deep tries what it allows."]
        }
        Provider::SelfHosted => &[],
    }
}

/// Who stands for the superuser on a platform that keeps that for itself.
pub(crate) fn administrator(provider: Provider) -> Option<&'static str> {
    match provider {
        Provider::AmazonRds | Provider::AmazonAurora => Some("a member of rds_superuser"),
        Provider::CloudSql => Some("a member of cloudsqlsuperuser"),
        Provider::AlloyDb => Some("a member of alloydbsuperuser"),
        Provider::AzureFlexible | Provider::AzureSingle => Some("a member of azure_pg_admin"),
        Provider::Neon => Some("a member of neon_superuser"),
        Provider::Aiven => Some("avnadmin"),
        Provider::DigitalOcean => Some("doadmin"),
        Provider::Timescale => Some("tsdbadmin"),
        Provider::Supabase | Provider::CrunchyBridge => Some("postgres"),
        _ => None,
    }
}

/// `who` may run something, in the words of this platform.
pub(crate) fn in_words_of(provider: Provider, who: &str) -> Option<String> {
    let administrator = administrator(provider)?;
    let rest = who.strip_prefix("superuser");
    match rest.filter(|rest| rest.is_empty() || rest.starts_with(',')) {
        Some(rest) => Some(format!("{administrator}{rest}")),
        None => {
            let others = who.strip_suffix(" or superuser")?;
            let same = others.trim_end_matches(',') == administrator;
            Some(if same { administrator.to_owned() } else { format!("{others} or {administrator}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{in_words_of, traps};
    use crate::profile::Provider;

    #[test]
    fn every_platform_has_its_advice_in_sentences() {
        for (provider, key, _) in Provider::ALL {
            assert_eq!(traps(provider).is_empty(), provider == Provider::SelfHosted, "{key}");
            assert!(traps(provider).iter().all(|text| text.ends_with('.')), "{key}");
        }
    }

    #[test]
    fn the_superuser_has_another_name_where_the_provider_is_the_superuser() {
        let words = |who| in_words_of(Provider::AmazonRds, who);
        assert_eq!(words("superuser").as_deref(), Some("a member of rds_superuser"));
        assert_eq!(words("postgres, or superuser").as_deref(), Some("postgres, or a member of rds_superuser"));
        assert_eq!(
            words("superuser, or a role with CREATEROLE").as_deref(),
            Some("a member of rds_superuser, or a role with CREATEROLE")
        );
        assert_eq!(in_words_of(Provider::Supabase, "postgres, or superuser").as_deref(), Some("postgres"));
        assert_eq!(words("table owner (app)"), None);
        assert_eq!(in_words_of(Provider::SelfHosted, "superuser"), None);
    }
}
