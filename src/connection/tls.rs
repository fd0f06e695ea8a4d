//! TLS connectors: what to trust, whom to be, and which versions to speak, from the settings.
//!
//! Building one reads files and the system's certificate store (0.2 s), so it happens on a thread that may block, once
//! for each combination of settings and contents of files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use serde::Serialize;
use tokio::sync::OnceCell;

use super::cause::Trouble;
use super::class::{Class, Explained};
use super::identity::{self, IdentityFiles, shown};
use super::secret::Secret;
use super::settings::{RootCert, Settings, SslMode, TlsVersion};

/// What was checked about the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// Nothing: whoever answers is believed.
    #[default]
    Nothing,
    /// A trusted authority signed it, for whatever name.
    Authority,
    /// A trusted authority signed it for the host that was asked for.
    AuthorityAndHost,
}

/// A connector and what it will have proved when its handshake succeeds.
#[derive(Clone)]
pub(super) struct Prepared {
    pub(super) connector: tokio_native_tls::TlsConnector,
    pub(super) verified: Verified,
    /// Whether the host name is still to be compared with the certificate's by us.
    pub(super) check_names: bool,
    /// The client certificate that is shown when the server asks for one.
    pub(super) identity: Option<IdentityFiles>,
    /// libpq's default list of revoked certificates, which is there and can't be heeded.
    pub(super) unheeded: Option<PathBuf>,
}

/// The connector for `settings`, from the cache if nothing has changed.
///
/// # Errors
/// When a file is missing or can't be used, before anything is sent.
pub(super) async fn prepare(settings: &Settings) -> Result<Prepared, Trouble> {
    let key = {
        let settings = settings.clone();
        blocking(move || Key::of(&settings)).await??
    };
    let cell = cell_of(&key);
    let build = || async { blocking(move || key.build()).await? };
    cell.get_or_try_init(build).await.cloned()
}

/// A connector that takes any certificate and shows none, to look at what a server offers.
///
/// # Errors
/// When the TLS library fails.
pub(super) async fn curious() -> Result<tokio_native_tls::TlsConnector, Trouble> {
    let nothing = Key { trust: Trust::Anybody, ..Key::default() };
    let cell = cell_of(&nothing);
    let prepared = cell.get_or_try_init(|| async { blocking(move || nothing.build()).await? }).await?;
    Ok(prepared.connector.clone())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Trouble::Other(error.to_string()))
}

type Cell = Arc<OnceCell<Prepared>>;

/// As many as a session with its forms, profiles and retries could need.
const MOST_CACHED: usize = 64;

/// One cell for each key, so that two connections that need the same connector wait for one build.
fn cell_of(key: &Key) -> Cell {
    static CACHE: Mutex<Vec<(Key, Cell)>> = Mutex::new(Vec::new());
    let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, cell)) = cache.iter().find(|(known, _)| known == key) {
        return Arc::clone(cell);
    }
    if cache.len() == MOST_CACHED {
        cache.remove(0);
    }
    let cell = Cell::default();
    cache.push((key.clone(), Arc::clone(&cell)));
    cell
}

/// A file as it is now; another time or size makes another key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    changed: Option<SystemTime>,
    bytes: u64,
}

impl Stamp {
    fn of(path: &Path) -> Self {
        let facts = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            changed: facts.as_ref().and_then(|facts| facts.modified().ok()),
            bytes: facts.map_or(0, |facts| facts.len()),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Default)]
enum Trust {
    #[default]
    Anybody,
    System,
    File(Stamp),
}

/// Everything that a connector depends on.
#[derive(Clone, PartialEq, Eq, Default)]
struct Key {
    trust: Trust,
    check_names: bool,
    identity: Option<(IdentityFiles, Stamp, Stamp, Option<Secret>)>,
    versions: (Option<TlsVersion>, Option<TlsVersion>),
    no_sni: bool,
    alpn: bool,
    unheeded: Option<PathBuf>,
}

impl Key {
    /// Looks for the files. The order of the complaints is libpq's (`initialize_SSL` in `fe-secure-openssl.c`).
    fn of(settings: &Settings) -> Result<Self, Trouble> {
        let folder = directories::BaseDirs::new().map(|dirs| dirs.home_dir().join(".postgresql"));
        let mode = settings.ssl_mode;
        let trust = match &settings.tls.root_cert {
            // Below `verify-full` the connector has refused it before.
            RootCert::System => Trust::System,
            RootCert::File(path) if path.exists() => Trust::File(Stamp::of(path)),
            RootCert::File(path) => return Err(Trouble::Explained(root_missing(path, settings, true))),
            RootCert::Default => {
                let path = folder.as_deref().unwrap_or(Path::new("~/.postgresql")).join("root.crt");
                match path.exists() {
                    true => Trust::File(Stamp::of(&path)),
                    false if mode.verifies() => return Err(Trouble::Explained(root_missing(&path, settings, false))),
                    false => Trust::Anybody,
                }
            }
        };
        // libpq looks for it only where it has a root certificate.
        let revoked = folder.as_deref().map(|folder| folder.join("root.crl"));
        let unheeded = revoked.filter(|path| matches!(trust, Trust::File(_)) && path.exists());
        let found = identity::find(&settings.tls, folder.as_deref()).filter(|_| !settings.tls.no_client_cert);
        let identity = found.map(|files| {
            let (cert, key) = (Stamp::of(&files.cert), Stamp::of(&files.key));
            (files, cert, key, settings.tls.key_passphrase.clone())
        });
        Ok(Self {
            check_names: mode == SslMode::VerifyFull,
            trust,
            identity,
            versions: (settings.tls.min_version, settings.tls.max_version),
            no_sni: settings.tls.no_sni,
            alpn: settings.tls.direct,
            unheeded,
        })
    }

    fn build(&self) -> Result<Prepared, Trouble> {
        let mut builder = native_tls::TlsConnector::builder();
        let (min, max) = self.versions;
        builder.min_protocol_version(Some(protocol(min.unwrap_or(TlsVersion::V1_2))));
        builder.max_protocol_version(max.map(protocol));
        builder.use_sni(!self.no_sni);
        if self.alpn {
            postgres_native_tls::set_postgresql_alpn(&mut builder);
        }
        // Names are compared by libpq's rules after the handshake, where the certificate can be read.
        let can_read_names = cfg!(not(any(target_os = "windows", target_vendor = "apple")));
        builder.danger_accept_invalid_hostnames(can_read_names || !self.check_names);
        match &self.trust {
            Trust::Anybody => {
                builder.danger_accept_invalid_certs(true);
            }
            Trust::System => {}
            Trust::File(stamp) => {
                // Without this every public authority would be trusted beside the one that was named.
                builder.disable_built_in_roots(true);
                for root in roots(&stamp.path).map_err(Trouble::Explained)? {
                    builder.add_root_certificate(root);
                }
            }
        }
        if let Some((files, .., passphrase)) = &self.identity {
            builder.identity(identity::load(files, passphrase.as_ref()).map_err(Trouble::Explained)?);
        }
        let connector = builder.build().map_err(|error| Trouble::Tls(error.to_string()))?;
        Ok(Prepared {
            connector: connector.into(),
            verified: match (&self.trust, self.check_names) {
                (Trust::Anybody, _) => Verified::Nothing,
                (_, false) => Verified::Authority,
                (_, true) => Verified::AuthorityAndHost,
            },
            check_names: self.check_names && can_read_names,
            identity: self.identity.as_ref().map(|(files, ..)| files.clone()),
            unheeded: self.unheeded.clone(),
        })
    }
}

fn protocol(version: TlsVersion) -> native_tls::Protocol {
    match version {
        TlsVersion::V1_0 => native_tls::Protocol::Tlsv10,
        TlsVersion::V1_1 => native_tls::Protocol::Tlsv11,
        TlsVersion::V1_2 => native_tls::Protocol::Tlsv12,
        TlsVersion::V1_3 => native_tls::Protocol::Tlsv13,
    }
}

/// All certificates of a root file: providers' bundles hold more than a hundred.
fn roots(path: &Path) -> Result<Vec<native_tls::Certificate>, Explained> {
    let bad = |why: &str| {
        Explained::new(
            Class::RootCertBad,
            format!("The root certificate file {} can't be used: {}.", shown(path), super::printable(why)),
            "It has to hold certificates in PEM form (-----BEGIN CERTIFICATE-----).",
        )
    };
    let bytes = identity::read(path).map_err(|error| bad(&error.to_string()))?;
    let roots = native_tls::Certificate::stack_from_pem(&bytes).map_err(|error| bad(&error.to_string()))?;
    if roots.is_empty() { Err(bad("it holds no certificate")) } else { Ok(roots) }
}

fn root_missing(path: &Path, settings: &Settings, named: bool) -> Explained {
    let provider = super::provider::root_certificate(&settings.host);
    let path = shown(path);
    if named {
        let remedy = provider.unwrap_or("Correct the path in sslrootcert, or remove it.");
        return Explained::new(
            Class::RootCertMissing,
            format!("The root certificate file {path} does not exist."),
            remedy,
        );
    }
    let mode = settings.ssl_mode;
    let general = if mode == SslMode::VerifyFull {
        "Name the file with your authority's certificate in sslrootcert, or sslrootcert=system if a public authority signed the server's."
    } else {
        "Name the file with your authority's certificate in sslrootcert."
    };
    Explained::new(
        Class::RootCertMissing,
        format!("sslmode {mode} needs to know whom to trust, and there is no root certificate file {path}."),
        provider.unwrap_or(general),
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::{Key, cell_of, prepare};
    use crate::connection::settings::{RootCert, Settings, SslMode};

    fn key(root: &Path, mode: SslMode) -> Key {
        let mut settings = Settings { ssl_mode: mode, ..Settings::default() };
        settings.tls.root_cert = RootCert::File(root.to_owned());
        Key::of(&settings).unwrap_or_else(|trouble| panic!("{trouble:?}"))
    }

    /// The thread of the interface, which is the only one of this runtime, goes on while a connector waits to be built.
    #[test]
    fn connectors_are_built_on_a_thread_that_may_block_and_kept() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let settings = Settings { ssl_mode: SslMode::Require, ..Settings::default() };
            // The only thread that may block is taken.
            let (release, held) = std::sync::mpsc::channel::<()>();
            let busy = tokio::task::spawn_blocking(move || held.recv());
            let mut building = Box::pin(prepare(&settings));
            for _ in 0..100 {
                assert!(futures_util::poll!(&mut building).is_pending(), "it was built on the interface's thread");
                tokio::task::yield_now().await;
            }
            release.send(()).unwrap();
            assert!(building.await.is_ok(), "it is built as soon as there is a thread");
            busy.await.unwrap().unwrap();
            let kept = cell_of(&Key::of(&settings).unwrap_or_else(|trouble| panic!("{trouble:?}")));
            assert!(kept.initialized(), "it is built once");
        });
    }

    #[test]
    fn a_connector_is_built_anew_only_when_something_changed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root.crt");
        std::fs::write(&root, "one").unwrap();
        let first = cell_of(&key(&root, SslMode::VerifyCa));
        assert!(Arc::ptr_eq(&first, &cell_of(&key(&root, SslMode::VerifyCa))));
        assert!(Arc::ptr_eq(&first, &cell_of(&key(&root, SslMode::Require))), "both check the authority only");
        assert!(!Arc::ptr_eq(&first, &cell_of(&key(&root, SslMode::VerifyFull))));
        std::fs::write(&root, "another").unwrap();
        assert!(!Arc::ptr_eq(&first, &cell_of(&key(&root, SslMode::VerifyCa))));
    }
}
