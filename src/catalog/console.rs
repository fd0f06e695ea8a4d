//! How a server's setting is changed: by ALTER SYSTEM, or, on a platform that takes that away, in its console.
//!
//! The commands are those of the providers' own documentation. Names in angle brackets are the user's to fill in.

use super::Provider;

/// The provider's own switch for `wal_level = logical`: name and value.
fn logical_switch(provider: Provider) -> (&'static str, &'static str) {
    match provider {
        Provider::AmazonRds | Provider::AmazonAurora => ("rds.logical_replication", "1"),
        Provider::CloudSql => ("cloudsql.logical_decoding", "on"),
        Provider::AlloyDb => ("alloydb.logical_decoding", "on"),
        _ => ("wal_level", "logical"),
    }
}

/// What to do in the console so that `name` becomes `value` (in the setting's own unit); `None` where ALTER SYSTEM works.
#[must_use]
pub fn set(provider: Provider, name: &str, value: &str, restart: bool) -> Option<String> {
    let (name, value) = if name == "wal_level" { logical_switch(provider) } else { (name, value) };
    let apply = if restart { "pending-reboot" } else { "immediate" };
    let then = |restarted: &str| if restart { format!("; then {restarted}") } else { String::new() };
    let text = match provider {
        Provider::SelfHosted => return None,
        Provider::AmazonRds => format!(
            "Set {name} = {value} in the instance's own parameter group (default groups can't be changed): \
             aws rds modify-db-parameter-group --db-parameter-group-name <group> \
             --parameters ParameterName={name},ParameterValue={value},ApplyMethod={apply}{}",
            then("aws rds reboot-db-instance --db-instance-identifier <instance>")
        ),
        Provider::AmazonAurora => format!(
            "Set {name} = {value} in the cluster's own parameter group (default groups can't be changed): \
             aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name <group> \
             --parameters ParameterName={name},ParameterValue={value},ApplyMethod={apply}{}",
            then("reboot the writer: aws rds reboot-db-instance --db-instance-identifier <writer>")
        ),
        Provider::CloudSql => format!(
            "Set the flag {name}={value}{}: gcloud sql instances patch <instance> --database-flags={name}={value},\
             <every flag that is set now, or it is lost>",
            if restart { "; the instance restarts" } else { "" }
        ),
        Provider::AlloyDb => format!(
            "Set the flag {name}={value}{}: gcloud alloydb instances update <instance> --cluster=<cluster> \
             --region=<region> --database-flags={name}={value},<every flag that is set now, or it is lost>",
            if restart { "; the primary instance restarts" } else { "" }
        ),
        Provider::AzureFlexible if name == "max_slot_wal_keep_size" => {
            "Azure keeps max_slot_wal_keep_size at -1: watch the storage, and drop slots that nobody reads".to_owned()
        }
        Provider::AzureFlexible => format!(
            "Set the server parameter {name}: az postgres flexible-server parameter set -g <group> -s <server> \
             --name {name} --value {value}{}",
            then("az postgres flexible-server restart -g <group> -n <server>")
        ),
        Provider::Supabase => format!(
            "supabase --experimental postgres-config update --project-ref <project> --config {name}={value}{}",
            if restart { " (the database restarts)" } else { "" }
        ),
        Provider::Neon if name == "wal_level" => {
            "Enable logical replication in the project's settings; all computes restart, and it can't be undone"
                .to_owned()
        }
        Provider::Neon => format!("Ask Neon's support: {name} can't be set there by oneself"),
        Provider::Heroku if name == "wal_level" => {
            "Heroku does not offer logical replication; use the method xmin".to_owned()
        }
        Provider::Aiven => format!("avn service update <service> -c {name}={value}"),
        Provider::Heroku | Provider::DigitalOcean | Provider::Timescale | Provider::CrunchyBridge => {
            format!("Set {name} = {value} in the service's settings, or ask the provider's support")
        }
    };
    Some(format!("This looks like {}. {text}.", provider.name()))
}

#[cfg(test)]
mod tests {
    use super::{Provider, set};

    #[test]
    fn each_platform_has_its_own_switch() {
        let logical = |provider| set(provider, "wal_level", "logical", true);
        assert_eq!(logical(Provider::SelfHosted), None);
        for (provider, words) in [
            (Provider::AmazonRds, "ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot"),
            (Provider::AmazonAurora, "modify-db-cluster-parameter-group"),
            (Provider::CloudSql, "--database-flags=cloudsql.logical_decoding=on"),
            (Provider::AlloyDb, "--database-flags=alloydb.logical_decoding=on"),
            (Provider::AzureFlexible, "--name wal_level --value logical; then az postgres flexible-server restart"),
            (Provider::Supabase, "--config wal_level=logical"),
            (Provider::Neon, "can't be undone"),
            (Provider::Heroku, "method xmin"),
            (Provider::Aiven, "-c wal_level=logical"),
            (Provider::DigitalOcean, "the service's settings"),
        ] {
            let text = logical(provider).unwrap_or_default();
            assert!(text.contains(words) && text.starts_with("This looks like "), "{text}");
            assert!(!text.contains('\n') && !text.contains("  "), "{text}");
        }
    }

    #[test]
    fn what_needs_no_restart_asks_for_none() {
        let text = set(Provider::AmazonRds, "max_slot_wal_keep_size", "51200", false).unwrap_or_default();
        assert!(text.contains("ApplyMethod=immediate") && !text.contains("reboot"), "{text}");
        let azure = set(Provider::AzureFlexible, "max_slot_wal_keep_size", "51200", false).unwrap_or_default();
        assert!(azure.contains("at -1"), "{azure}");
    }
}
