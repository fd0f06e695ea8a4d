//! Facts of a healthy source, which each test spoils in one place.

use std::collections::BTreeMap;

use crate::catalog::facts::{
    Activity, Database, Facts, Identity, Link, Publication, Reader, Relation, Role, Schema, Seen, Server, Setting, Slot,
};
use crate::connection::Settings;
use crate::preflight::{Finding, check};
use crate::profile::{Profile, Selection};

/// CDC of the schema `public` by the role `repl`.
pub(crate) fn profile() -> Profile {
    Profile {
        selection: Selection::Schemas(vec!["public".to_owned()]),
        ..Profile::new(Settings { user: "repl".to_owned(), database: "shop".to_owned(), ..Settings::default() })
    }
}

/// A table with a primary key, chosen and published.
pub(crate) fn table(name: &str) -> Relation {
    Relation {
        oid: 16_000 + u32::try_from(name.len()).unwrap_or(0),
        schema: "public".to_owned(),
        name: name.to_owned(),
        kind: "r".to_owned(),
        persistence: "p".to_owned(),
        owner: "app".to_owned(),
        chosen: true,
        wanted: true,
        publishable: true,
        select: true,
        published: true,
        member: true,
        identity: Identity {
            setting: "d".to_owned(),
            index: Some(format!("{name}_pkey")),
            primary_key: Some(format!("{name}_pkey")),
            primary_key_usable: true,
            candidates: Vec::new(),
        },
        rows: Some(10.0),
        bytes: 8192,
        ..Relation::default()
    }
}

/// A table that nothing identifies.
pub(crate) fn keyless(name: &str) -> Relation {
    Relation { identity: Identity { setting: "d".to_owned(), ..Identity::default() }, ..table(name) }
}

/// A source on which every check passes.
pub(crate) fn healthy() -> Facts {
    let setting = |value: &str| Setting { value: value.to_owned(), ..Setting::default() };
    let settings: BTreeMap<String, Setting> = [
        ("wal_level", "logical"),
        ("max_replication_slots", "10"),
        ("max_wal_senders", "10"),
        ("max_slot_wal_keep_size", "51200"),
        ("idle_replication_slot_timeout", "0"),
        ("wal_sender_timeout", "60000"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), setting(value)))
    .collect();
    Facts {
        server: Server { version_num: 180_004, version: "18.4".to_owned(), in_recovery: false, pid_changed: false },
        reader: Reader { name: "repl".to_owned(), superuser: false },
        link: Link { encrypted: true, local: false },
        role: Some(Role { oid: 16_500, replication: true, login: true, ..Role::default() }),
        database: Seen::Yes(Database { name: "shop".to_owned(), owner: "app".to_owned(), connect: true }),
        settings: Seen::Yes(settings),
        slots: Seen::Yes(vec![Slot {
            slot_name: Profile::DEFAULT_SLOT.to_owned(),
            plugin: Some("pgoutput".to_owned()),
            slot_type: "logical".to_owned(),
            database: Some("shop".to_owned()),
            wal_status: Some("reserved".to_owned()),
            catalog_age: Some(10),
            ..Slot::default()
        }]),
        activity: Seen::Yes(Activity::default()),
        publication: Seen::Yes(Some(Publication {
            pubname: Profile::DEFAULT_PUBLICATION.to_owned(),
            owner: "app".to_owned(),
            pubinsert: true,
            pubupdate: true,
            pubdelete: true,
            pubtruncate: true,
            pubviaroot: true,
            age: 20,
            ..Publication::default()
        })),
        schemas: Seen::Yes(vec![Schema {
            name: "public".to_owned(),
            owner: "app".to_owned(),
            usage: true,
            creators: vec!["app".to_owned()],
            covered: vec!["app".to_owned()],
        }]),
        relations: Seen::Yes(vec![table("orders"), table("customers")]),
        ..Facts::default()
    }
}

/// What the check `id` says of `facts`.
pub(crate) fn judge(id: &str, facts: &Facts, profile: &Profile) -> Option<Finding> {
    check(id).expect(id).run(facts, profile)
}
