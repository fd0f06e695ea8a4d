//! What is in the demo's clusters.

use super::error::DemoError;
use super::{failed, verifier};
use crate::connection::{Secret, Session, SessionOptions, Settings, connect, describe};

/// The role of the application: owns the schemas, tables and types.
pub(super) const APPLICATION: &str = "shop_app";
/// The role that is to replicate. At first it can only log in.
pub(super) const REPLICATOR: &str = "zenskar";
/// The schemas of the application.
pub(super) const SCHEMAS: [&str; 2] = ["billing", "shop"];

const SOURCE: &str = "shop";
const DESTINATION: &str = "warehouse";
const TABLES: &str = include_str!("../../assets/demo.sql");

/// The passwords of the two roles at the source.
pub(super) struct Passwords {
    pub(super) application: Secret,
    pub(super) replicator: Secret,
}

/// Makes roles, database, tables and rows in the source. `server` is its superuser in any database; returned is the
/// superuser in the new one.
pub(super) async fn create(server: &Settings, passwords: &Passwords) -> Result<Settings, DemoError> {
    let roles = format!(
        "CREATE ROLE {APPLICATION} LOGIN PASSWORD '{}'; CREATE ROLE {REPLICATOR} LOGIN PASSWORD '{}'",
        verifier(&passwords.application),
        verifier(&passwords.replicator)
    );
    let admin = create_database(server, SOURCE, &roles).await?;
    run(&open(&admin).await?, TABLES).await?;
    Ok(admin)
}

/// Makes the empty database of the destination; returned is its superuser in it.
pub(super) async fn create_empty(server: &Settings) -> Result<Settings, DemoError> {
    create_database(server, DESTINATION, "").await
}

async fn create_database(server: &Settings, name: &str, first: &str) -> Result<Settings, DemoError> {
    let session = open(server).await?;
    run(&session, first).await?;
    run(&session, &format!("CREATE DATABASE {name}")).await?;
    Ok(Settings { database: name.to_owned(), ..server.clone() })
}

async fn open(settings: &Settings) -> Result<Session, DemoError> {
    connect(settings, &SessionOptions::administer()).await.map_err(failed)
}

async fn run(session: &Session, sql: &str) -> Result<(), DemoError> {
    let done = session.client.batch_execute(sql).await;
    done.map_err(|error| DemoError(format!("The demo's database could not be filled: {}.", describe(&error))))
}
