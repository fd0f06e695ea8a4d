//! `initdb` takes seconds, copying its result a fraction of one: it runs once in a process and for each version.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use super::account::Account;
use super::binaries::Binaries;
use super::error::ClusterError;
use super::files;
use super::keeper::Keeper;
use crate::connection::Secret;

/// A data directory that has never been started.
pub(super) struct Template {
    /// To copy from.
    pub(super) data: PathBuf,
    /// The password that `initdb` gave to the superuser.
    pub(super) password: Secret,
    /// Removes it when the process ends: what is in a static is never dropped, but its pipe is closed.
    _keeper: Keeper,
}

static MADE: Mutex<Option<HashMap<PathBuf, Arc<Template>>>> = Mutex::const_new(None);

/// Removes the templates that no cluster uses any more. Without this their keepers do it when the process has ended,
/// a moment too late for whoever looks at what it left.
pub(super) async fn forget() {
    let made = MADE.lock().await.take();
    // Dropping a keeper waits for it. A panic in there has nobody left to tell.
    let _ = tokio::task::spawn_blocking(move || drop(made)).await;
}

/// The template for this version, made when it is first asked for.
pub(super) async fn of(binaries: &Binaries) -> Result<Arc<Template>, ClusterError> {
    let mut made = MADE.lock().await;
    let made = made.get_or_insert_default();
    if let Some(template) = made.get(&binaries.dir) {
        return Ok(Arc::clone(template));
    }
    let template = Arc::new(make(binaries).await?);
    made.insert(binaries.dir.clone(), Arc::clone(&template));
    Ok(template)
}

async fn make(binaries: &Binaries) -> Result<Template, ClusterError> {
    let account = Account::choose()?;
    let (dir, mut keeper) = files::kept_directory(binaries, None, account).await?;
    let password = files::random_password()?;
    // In a file that only the account of the server can read: arguments can be seen by every account.
    files::write(&dir.join("password"), password.reveal(), account)?;
    files::make(&mut keeper, "initdb", &dir).await?;
    std::fs::remove_file(dir.join("password"))?;
    Ok(Template { data: dir.join("data"), password, _keeper: keeper })
}
