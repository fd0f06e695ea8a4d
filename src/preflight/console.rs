//! How a setting is changed where the server's files can't be reached: by a provider's console, with its commands.
//!
//! Whose platform it is can only be guessed, so texts say "looks like". Names in capitals are to be filled in. The
//! commands follow the providers' documentation; none of them could be tried here.

use super::finding::{Fix, FixKind};
use crate::profile::Provider;

/// What to do in the console of a platform so that `name` becomes `value`, in the setting's own unit. For `wal_level` it is
/// the platform's own switch.
pub(crate) fn set(provider: Provider, name: &str, value: &str, restart: bool) -> Vec<Fix> {
    match provider {
        _ if name == "wal_level" => enable_decoding(provider),
        // Azure documents it as read-only there.
        Provider::AzureFlexible if name == "max_slot_wal_keep_size" => told(
            provider,
            "It keeps max_slot_wal_keep_size at -1 for everybody: set an alert on the storage that is used instead",
            Vec::new(),
            false,
        ),
        _ => {
            let commands = commands(provider, name, value, restart);
            told(provider, &format!("Set {name} = {value} in its parameter settings"), commands, restart)
        }
    }
}

fn enable_decoding(provider: Provider) -> Vec<Fix> {
    let commands = match provider {
        Provider::AmazonRds | Provider::AmazonAurora => commands(provider, "rds.logical_replication", "1", true),
        Provider::CloudSql => commands(provider, "cloudsql.logical_decoding", "on", true),
        // Flags that are given replace all that were set, so both come in one command.
        Provider::AlloyDb => commands(provider, "alloydb.logical_decoding", "on,alloydb.enable_pglogical=on", true),
        Provider::Neon => vec![
            "curl -X PATCH https://console.neon.tech/api/v2/projects/PROJECT -H \"Authorization: Bearer $NEON_API_KEY\" \
             -H 'Content-Type: application/json' -d '{\"project\":{\"settings\":{\"enable_logical_replication\":true}}}'"
                .to_owned(),
        ],
        Provider::AzureFlexible => commands(provider, "wal_level", "logical", true),
        // Logical from the start, decided by the provider, or not offered.
        _ => Vec::new(),
    };
    told(provider, switch(provider), commands, true)
}

/// The platform's own switch for `wal_level = logical`.
fn switch(provider: Provider) -> &'static str {
    match provider {
        Provider::AmazonRds => {
            "Set rds.logical_replication = 1 in the instance's own parameter group (default groups can't be changed), \
             then reboot it"
        }
        Provider::AmazonAurora => {
            "Set rds.logical_replication = 1 in the cluster's own parameter group (default groups can't be changed), \
             then reboot the writer"
        }
        Provider::CloudSql => "Set the database flag cloudsql.logical_decoding = on; the instance restarts",
        Provider::AlloyDb => {
            "Set the database flags alloydb.logical_decoding and alloydb.enable_pglogical to on; the primary instance restarts"
        }
        Provider::AzureFlexible => "Set the server parameter wal_level = logical, then restart the server",
        Provider::AzureSingle => {
            "Single Server has been retired and has no publications: move to Flexible Server, or use the method xmin"
        }
        Provider::Supabase => "Ask Supabase's support: wal_level is logical there unless it was changed",
        Provider::Heroku => "Heroku does not offer logical replication; use the method xmin",
        Provider::Neon => {
            "Enable logical replication in the project's settings; all computes restart, and it can't be undone"
        }
        Provider::Aiven
        | Provider::DigitalOcean
        | Provider::Timescale
        | Provider::CrunchyBridge
        | Provider::PlanetScale
        | Provider::Xata
        | Provider::Selectel
        | Provider::SelfHosted => "Set wal_level = logical in the service's settings, or ask the provider's support",
    }
}

/// The sentence, then each command.
fn told(provider: Provider, words: &str, commands: Vec<String>, restart: bool) -> Vec<Fix> {
    let console = |text| Fix { kind: FixKind::Console, text, who: "provider console".to_owned(), lock: None, restart };
    let sentence = format!("This looks like {}. {words}.", provider.name());
    [sentence].into_iter().chain(commands).map(console).collect()
}

fn commands(provider: Provider, name: &str, value: &str, restart: bool) -> Vec<String> {
    let aws = |group: &str, instance: &str, what: &str| {
        let when = if restart { "pending-reboot" } else { "immediate" };
        let mut commands = vec![format!(
            "aws rds modify-db-{what}parameter-group --db-{what}parameter-group-name {group} \
             --parameters \"ParameterName={name},ParameterValue={value},ApplyMethod={when}\""
        )];
        if restart {
            commands.push(format!("aws rds reboot-db-instance --db-instance-identifier {instance}"));
        }
        commands
    };
    let own = |text: String| vec![text];
    match provider {
        Provider::AmazonRds => aws("GROUP", "INSTANCE", ""),
        Provider::AmazonAurora => aws("CLUSTER_GROUP", "WRITER", "cluster-"),
        // The flags that are given replace all that were set: the others have to be repeated.
        Provider::CloudSql => vec![
            "gcloud sql instances describe INSTANCE --format=\"value(settings.databaseFlags)\"".to_owned(),
            format!("gcloud sql instances patch INSTANCE --database-flags={name}={value},OTHER_FLAGS_THAT_ARE_SET"),
        ],
        Provider::AlloyDb => own(format!(
            "gcloud alloydb instances update INSTANCE --cluster=CLUSTER --region=REGION \
             --database-flags={name}={value},OTHER_FLAGS_THAT_ARE_SET"
        )),
        Provider::AzureFlexible => {
            let mut commands = own(format!(
                "az postgres flexible-server parameter set -g GROUP -s SERVER --name {name} --value {value}"
            ));
            if restart {
                commands.push("az postgres flexible-server restart -g GROUP -n SERVER".to_owned());
            }
            commands
        }
        Provider::Supabase => {
            own(format!("supabase --experimental postgres-config update --project-ref PROJECT --config {name}={value}"))
        }
        Provider::Heroku => own("heroku pg:info --app APP".to_owned()),
        Provider::Aiven => own(format!("avn service update SERVICE -c pg.{name}={value}")),
        Provider::DigitalOcean => own(format!(
            "doctl databases configuration update DATABASE_ID --engine pg --config-json '{{\"{name}\": \"{value}\"}}'"
        )),
        Provider::CrunchyBridge => own(format!("cb config-param set --cluster CLUSTER {name}={value}")),
        Provider::AzureSingle => {
            own(format!("az postgres server configuration set -g GROUP -s SERVER --name {name} --value {value}"))
        }
        Provider::Neon
        | Provider::Timescale
        | Provider::PlanetScale
        | Provider::Xata
        | Provider::Selectel
        | Provider::SelfHosted => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{enable_decoding, set};
    use crate::preflight::finding::FixKind;
    use crate::profile::Provider;

    const MANAGED: [Provider; 16] = [
        Provider::AzureSingle,
        Provider::PlanetScale,
        Provider::Xata,
        Provider::Selectel,
        Provider::AmazonRds,
        Provider::AmazonAurora,
        Provider::CloudSql,
        Provider::AlloyDb,
        Provider::AzureFlexible,
        Provider::Supabase,
        Provider::Neon,
        Provider::Heroku,
        Provider::Aiven,
        Provider::DigitalOcean,
        Provider::Timescale,
        Provider::CrunchyBridge,
    ];

    #[test]
    fn a_provider_is_only_presumed_and_never_told_to_alter_the_system() {
        for provider in MANAGED {
            for fixes in [enable_decoding(provider), set(provider, "max_wal_senders", "20", true)] {
                assert!(fixes[0].text.starts_with(&format!("This looks like {}. ", provider.name())), "{fixes:?}");
                for fix in &fixes {
                    assert!(fix.kind == FixKind::Console && !fix.text.contains("ALTER SYSTEM"), "{fix:?}");
                }
            }
        }
    }

    #[test]
    fn each_platform_has_its_own_switch() {
        let all = |provider| {
            let texts: Vec<String> = enable_decoding(provider).into_iter().map(|fix| fix.text).collect();
            texts.join("\n")
        };
        for (provider, command) in [
            (
                Provider::AmazonRds,
                "aws rds modify-db-parameter-group --db-parameter-group-name GROUP --parameters \"ParameterName=rds.logical_replication,ParameterValue=1,ApplyMethod=pending-reboot\"",
            ),
            (Provider::AmazonRds, "aws rds reboot-db-instance"),
            (Provider::AmazonAurora, "aws rds modify-db-cluster-parameter-group --db-cluster-parameter-group-name"),
            (Provider::CloudSql, "gcloud sql instances patch INSTANCE --database-flags=cloudsql.logical_decoding=on"),
            (Provider::AlloyDb, "--database-flags=alloydb.logical_decoding=on,alloydb.enable_pglogical=on"),
            (
                Provider::AzureFlexible,
                "az postgres flexible-server parameter set -g GROUP -s SERVER --name wal_level --value logical",
            ),
            (Provider::AzureFlexible, "az postgres flexible-server restart"),
            (Provider::Supabase, "logical there unless it was changed"),
            (Provider::Neon, "enable_logical_replication"),
            (Provider::Heroku, "does not offer"),
        ] {
            assert!(all(provider).contains(command), "{}", all(provider));
        }
        let supabase = set(Provider::Supabase, "max_slot_wal_keep_size", "50GB", false);
        assert!(supabase[1].text.starts_with("supabase --experimental postgres-config update"), "{supabase:?}");
        assert!(set(Provider::AzureFlexible, "max_slot_wal_keep_size", "50GB", false)[0].text.contains("-1"));
    }
}
