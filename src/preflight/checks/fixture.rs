//! Facts of a healthy source, which each test spoils in one place.

use std::collections::BTreeMap;

use crate::catalog::Lsn;
use crate::catalog::facts::{
    Activity, Cluster, Database, Facts, Identity, Link, Member, Publication, Reader, Relation, Role, Schema, Seen,
    Server, Setting, Slot,
};
use crate::catalog::probe::{Deep, Destination, OtherSide, Probe, Rate, SnapshotProbe};
use crate::connection::{Settings, SslMode};
use crate::preflight::{Finding, Severity, Status, check};
use crate::profile::{Profile, Selection};

/// CDC of the schema `public` by the role `repl`.
pub(crate) fn profile() -> Profile {
    Profile {
        selection: Selection::Schemas(vec!["public".to_owned()]),
        ..Profile::new(Settings {
            user: "repl".to_owned(),
            database: "shop".to_owned(),
            ssl_mode: SslMode::VerifyFull,
            ..Settings::default()
        })
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

/// Its place in the publication.
pub(crate) fn member(name: &str) -> Member {
    Member { relation: table(name).oid, age: 20, ..Member::default() }
}

/// A table that nothing identifies.
pub(crate) fn keyless(name: &str) -> Relation {
    Relation { identity: Identity { setting: "d".to_owned(), ..Identity::default() }, ..table(name) }
}

/// A source on which every check passes.
pub(crate) fn healthy() -> Facts {
    let setting =
        |value: &str| Setting { value: value.to_owned(), initial: Some(value.to_owned()), ..Setting::default() };
    let settings: BTreeMap<String, Setting> = [
        ("wal_level", "logical"),
        ("max_replication_slots", "10"),
        ("max_wal_senders", "10"),
        ("max_slot_wal_keep_size", "51200"),
        ("idle_replication_slot_timeout", "0"),
        ("wal_sender_timeout", "60000"),
        ("max_connections", "100"),
        ("superuser_reserved_connections", "3"),
        ("logical_decoding_work_mem", "65536"),
        ("tcp_keepalives_idle", "60"),
        ("autovacuum_freeze_max_age", "200000000"),
        ("max_worker_processes", "8"),
        ("max_prepared_transactions", "0"),
        ("hot_standby_feedback", "on"),
        ("max_standby_streaming_delay", "30000"),
        ("default_transaction_read_only", "off"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), setting(value)))
    .collect();
    Facts {
        server: Server { version_num: 180_004, version: "18.4".to_owned(), ..Server::default() },
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
            mixed: false,
            covered: vec!["app".to_owned()],
        }]),
        cluster: Seen::Yes(Cluster {
            full_version: "PostgreSQL 18.4 on x86_64-pc-linux-gnu".to_owned(),
            system_id: "7".to_owned(),
            encoding: "UTF8".to_owned(),
            sessions: 10,
            role_monitors: true,
            reader_monitors: true,
            may_emit: true,
            xid_xmin: 1000,
            xid_xmax: 1001,
            ..Cluster::default()
        }),
        clock_skew: Some(0.01),
        columns: Seen::Yes(Vec::new()),
        members: Seen::Yes(vec![member("orders"), member("customers")]),
        relations: Seen::Yes(vec![table("orders"), table("customers")]),
        ..Facts::default()
    }
}

/// What the check `id` says of `facts`.
pub(crate) fn judge(id: &str, facts: &Facts, profile: &Profile) -> Option<Finding> {
    check(id).expect(id).run(facts, profile)
}

pub(crate) type Spoil = fn(&mut Facts, &mut Profile);

/// What a check says when the source is spoilt so: status, severity, and a word of its summary or fixes.
pub(crate) type Case = (&'static str, Spoil, Status, Severity, &'static str);

pub(crate) fn set(facts: &mut Facts, name: &str, value: &str) {
    if let Seen::Yes(settings) = &mut facts.settings {
        settings.insert(name.to_owned(), Setting { value: value.to_owned(), ..Setting::default() });
    }
}

pub(crate) fn slot(facts: &mut Facts) -> &mut Slot {
    let Seen::Yes(slots) = &mut facts.slots else { panic!("slots") };
    &mut slots[0]
}

pub(crate) fn slots(facts: &mut Facts) -> &mut Vec<Slot> {
    let Seen::Yes(slots) = &mut facts.slots else { panic!("slots") };
    slots
}

/// The publication is younger than the slot.
pub(crate) fn young(facts: &mut Facts) {
    publication(facts).age = 5;
    if let Seen::Yes(members) = &mut facts.members {
        members.iter_mut().for_each(|member| member.age = 5);
    }
}

/// The slot was made while no transaction ran, and nobody has read it.
pub(crate) fn quiet(facts: &mut Facts) {
    let slot = slot(facts);
    (slot.restart_lsn, slot.confirmed_flush_lsn) = (Some(Lsn(1000)), Some(Lsn(1056)));
    (slot.active, slot.decoded_bytes) = (false, Some(0));
}

pub(crate) fn relations(facts: &mut Facts) -> &mut Vec<Relation> {
    let Seen::Yes(relations) = &mut facts.relations else { panic!("relations") };
    relations
}

pub(crate) fn publication(facts: &mut Facts) -> &mut Publication {
    let Seen::Yes(Some(publication)) = &mut facts.publication else { panic!("publication") };
    publication
}

pub(crate) fn role(facts: &mut Facts) -> &mut Role {
    facts.role.as_mut().expect("role")
}

/// A partitioned table with one keyless partition.
pub(crate) fn partitioned(facts: &mut Facts) {
    let root = Relation { oid: 1, kind: "p".into(), identity: Identity::default(), ..table("events") };
    let leaf = Relation { oid: 2, parent: Some(1), chosen: false, member: false, ..keyless("events_1") };
    *relations(facts) = vec![root, leaf];
}

pub(crate) fn no() -> String {
    "permission denied for view pg_settings (SQLSTATE 42501)".to_owned()
}

/// The results of deep probes on a source that is in order.
pub(crate) fn deep(facts: &mut Facts) -> &mut Deep {
    facts.deep.insert(Deep {
        publication: Probe::Worked,
        slot: Probe::Worked,
        snapshot: SnapshotProbe::Shared(4),
        rate: Some(Rate { seconds: 10.0, wal_bytes: 1000, xids: 10, directory_bytes: None }),
    })
}

/// An empty destination.
pub(crate) fn destination(facts: &mut Facts, change: impl Fn(&mut Destination)) {
    let mut destination = Destination {
        place: "w@there:5432/shop".into(),
        system_id: "8".into(),
        database: "shop".into(),
        version_num: 180_000,
        may_create: true,
        workers: (4, 8, 10),
        ..Destination::default()
    };
    change(&mut destination);
    facts.destination = Some(OtherSide::Seen(destination));
}
