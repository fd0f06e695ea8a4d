//! What the tests of the setup share: a source on which everything is wrong, and how it is looked at.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use walpilot::catalog::Facts;
use walpilot::catalog::gather::gather_and_probe;
use walpilot::connection::{Secret, SessionOptions, Settings, connect};
use walpilot::demo::Cluster;
use walpilot::preflight::{Report, evaluate};
use walpilot::profile::{Profile, Selection};
use walpilot::setup::{Password, Plan, Wishes, plan};

/// The replicating role's password.
pub const PASSWORD: &str = "S3NT1NEL'pass\\word";
/// The password of the roles that own things.
pub const OWNERS: &str = "of-owners";

/// Everything is wrong: no role, no CONNECT, no USAGE, no SELECT, two creators, row-level security, and tables without
/// a usable identity of every kind, under names that break careless quoting.
pub const MESS: &str = r#"
CREATE ROLE app LOGIN PASSWORD 'of-owners'; CREATE ROLE "Ad'min ""2""; --" LOGIN PASSWORD 'of-owners';
DO $$ BEGIN
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO app, "Ad''min ""2""; --"', current_database());
  EXECUTE format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', current_database());
END $$;
CREATE SCHEMA "Sch ""ema; 🧾" AUTHORIZATION app; GRANT ALL ON SCHEMA "Sch ""ema; 🧾" TO "Ad'min ""2""; --";
SET search_path = "Sch ""ema; 🧾";
SET ROLE app;
CREATE TABLE good(id int PRIMARY KEY, v text);
CREATE TABLE log(line text);
CREATE TABLE "by index"(a int NOT NULL, b int); CREATE UNIQUE INDEX "In""dex;" ON "by index"(a);
CREATE TABLE "select"(a int PRIMARY KEY DEFERRABLE);
CREATE TABLE nothing(a int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;
CREATE TABLE U&"new\000Aline\001B[31m\202E"(a int);
CREATE TABLE ääääääääääääääääääääääääääääääx(a int);
CREATE TABLE hidden(id int PRIMARY KEY); ALTER TABLE hidden ENABLE ROW LEVEL SECURITY; INSERT INTO hidden VALUES (1);
CREATE TABLE "Parts"(id int, at int) PARTITION BY RANGE (at);
CREATE TABLE "Parts 1" PARTITION OF "Parts" FOR VALUES FROM (0) TO (10);
CREATE TABLE "Parts 2" PARTITION OF "Parts" FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (at);
CREATE TABLE "Parts 2a" PARTITION OF "Parts 2" FOR VALUES FROM (10) TO (15);
RESET ROLE; SET ROLE "Ad'min ""2""; --";
CREATE TABLE "Other's"(id int PRIMARY KEY); CREATE TABLE "Other's log"(line text)"#;

pub fn profile(cluster: &Cluster, user: &str) -> Profile {
    Profile {
        selection: Selection::Schemas(vec!["Sch \"ema; 🧾".to_owned()]),
        publication: "Pub \"lication\"; 🧾".to_owned(),
        ..Profile::new(cluster.settings().as_user(user, Some(Secret::new(PASSWORD))))
    }
}

pub async fn look(as_whom: &Settings, profile: &Profile) -> (Facts, Report) {
    let session = connect(as_whom, &SessionOptions::inspect()).await.unwrap_or_else(|failure| panic!("{failure}"));
    let facts = gather_and_probe(&session, profile).await.expect("facts");
    let report = evaluate(&facts, profile);
    (facts, report)
}

pub fn wishes(profile: &Profile) -> Wishes {
    Wishes { password: Password::of(profile.source.password.as_ref()), ..Wishes::default() }
}

pub fn planned(facts: &Facts, profile: &Profile) -> Plan {
    plan(facts, profile, &wishes(profile))
}
