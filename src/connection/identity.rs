//! The client's certificate and private key, in every format that libpq takes.
//!
//! The TLS library reads only unencrypted PKCS#8, so the key is read here and handed over in that form, in memory that
//! is wiped. A passphrase is never asked for on the terminal, which OpenSSL would do by itself in the middle of the
//! screen.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use native_tls::Identity;
use zeroize::Zeroizing;

use super::class::{Class, Explained};
use super::printable;
use super::secret::Secret;
use super::settings::TlsSettings;

/// Certificates, keys and lists of authorities are far smaller; whoever names a disk should not fill the memory.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// The files of a client identity that were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityFiles {
    /// The certificate, leaf first.
    pub cert: PathBuf,
    /// The private key, which may turn out not to exist.
    pub key: PathBuf,
    /// Whether the certificate is libpq's default file, which nobody named.
    pub by_default: bool,
}

/// Finds the client's certificate as libpq does: the named file or the default one in `folder` (`~/.postgresql`). A
/// certificate that does not exist is no error: the server may not want one.
#[must_use]
pub fn find(tls: &TlsSettings, folder: Option<&Path>) -> Option<IdentityFiles> {
    let by_default = tls.cert.is_none();
    let cert = tls.cert.clone().or_else(|| folder.map(|folder| folder.join("postgresql.crt")))?;
    let is_missing = std::fs::metadata(&cert)
        .is_err_and(|error| matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory));
    if is_missing {
        return None;
    }
    let key = tls.key.clone().or_else(|| folder.map(|folder| folder.join("postgresql.key"))).unwrap_or_default();
    Some(IdentityFiles { cert, key, by_default })
}

/// Reads both files and checks that they belong together.
///
/// # Errors
/// One sentence that names the file and what is wrong with it; it never holds the passphrase.
pub fn load(files: &IdentityFiles, passphrase: Option<&Secret>) -> Result<Identity, Explained> {
    let cert = read(&files.cert).map_err(|error| cert_bad(files, &error.to_string()))?;
    check_key_file(files)?;
    let key = read(&files.key).map_err(|error| {
        let message = format!("The private key file {} can't be read: {error}.", shown(&files.key));
        Explained::new(Class::ClientKeyFormat, message, "Let this account read it.")
    })?;
    combine(files, &cert, &key, passphrase)
}

/// libpq's rule for keys: nobody but the owner may read it; root's may be readable by its group (PostgreSQL
/// documentation, "Client Certificates").
fn check_key_file(files: &IdentityFiles) -> Result<(), Explained> {
    let key = shown(&files.key);
    let facts = std::fs::metadata(&files.key).map_err(|error| {
        let message = format!(
            "The client certificate {} has no private key: the file {key} can't be opened ({error}).",
            shown(&files.cert)
        );
        Explained::new(Class::ClientKeyMissing, message, "Name the key file in sslkey, or remove the certificate.")
    })?;
    if !facts.is_file() {
        let message = format!("The private key {key} is not a regular file.");
        return Err(Explained::new(Class::ClientKeyFormat, message, "Name the key file in sslkey."));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let forbidden = if facts.uid() == 0 { 0o037 } else { 0o077 };
        if facts.mode() & forbidden != 0 {
            let message = format!(
                "The private key file {key} can be read or changed by others (mode {:04o}).",
                facts.mode() & 0o7777
            );
            return Err(Explained::new(
                Class::ClientKeyPermissions,
                message,
                format!("Run chmod 600 {key}; 0640 will do if root owns it."),
            ));
        }
    }
    Ok(())
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn combine(files: &IdentityFiles, cert: &[u8], key: &[u8], passphrase: Option<&Secret>) -> Result<Identity, Explained> {
    let chain = openssl::x509::X509::stack_from_pem(cert).map_err(|error| cert_bad(files, &error.to_string()))?;
    let Some(leaf) = chain.first() else { return Err(cert_bad(files, "it holds no certificate in PEM form")) };
    let pkey = private_key(files, key, passphrase)?;
    let matches = leaf.public_key().is_ok_and(|public| public.public_eq(&pkey));
    if !matches {
        let message =
            format!("The private key {} does not belong to the certificate {}.", shown(&files.key), shown(&files.cert));
        return Err(Explained::new(Class::ClientKeyMismatch, message, "Name the pair that was made together."));
    }
    let mut pem = Vec::new();
    for certificate in &chain {
        pem.extend(certificate.to_pem().map_err(|error| cert_bad(files, &error.to_string()))?);
    }
    let plain = Zeroizing::new(pkey.private_key_to_pem_pkcs8().map_err(|error| key_format(files, &error.to_string()))?);
    Identity::from_pkcs8(&pem, &plain).map_err(|error| key_format(files, &error.to_string()))
}

#[cfg(not(any(target_os = "windows", target_vendor = "apple")))]
fn private_key(
    files: &IdentityFiles,
    bytes: &[u8],
    passphrase: Option<&Secret>,
) -> Result<openssl::pkey::PKey<openssl::pkey::Private>, Explained> {
    use openssl::pkey::PKey;

    let mut asked = false;
    let read = PKey::private_key_from_pem_callback(bytes, |buffer| {
        asked = true;
        let word = passphrase.map_or(&[][..], |secret| secret.reveal().as_bytes());
        match buffer.get_mut(..word.len()) {
            Some(place) => {
                place.copy_from_slice(word);
                Ok(word.len())
            }
            None => Ok(0),
        }
    });
    let error = match read {
        Ok(key) => return Ok(key),
        Err(error) => error,
    };
    if asked {
        let key = shown(&files.key);
        let given = passphrase.is_some_and(|secret| !secret.is_empty());
        let message = if given {
            format!("The passphrase for the private key {key} is wrong.")
        } else {
            format!("The private key {key} is encrypted, and no passphrase was given.")
        };
        return Err(Explained::new(Class::ClientKeyPassphrase, message, "Give its passphrase (sslpassword)."));
    }
    PKey::private_key_from_der(bytes).map_err(|_| key_format(files, &error.to_string()))
}

#[cfg(any(target_os = "windows", target_vendor = "apple"))]
fn combine(files: &IdentityFiles, cert: &[u8], key: &[u8], _: Option<&Secret>) -> Result<Identity, Explained> {
    Identity::from_pkcs8(cert, key).map_err(|error| key_format(files, &error.to_string()))
}

fn cert_bad(files: &IdentityFiles, why: &str) -> Explained {
    let cert = shown(&files.cert);
    Explained::new(
        Class::ClientCertBad,
        format!("The client certificate {cert} can't be used: {}.", printable(why)),
        format!("It has to be PEM; a DER file is converted by: openssl x509 -inform DER -in {cert} -out client.crt"),
    )
}

fn key_format(files: &IdentityFiles, why: &str) -> Explained {
    let key = shown(&files.key);
    Explained::new(
        Class::ClientKeyFormat,
        format!("The private key {key} can't be used: {}.", printable(why)),
        format!("Convert it to PKCS#8: openssl pkcs8 -topk8 -nocrypt -in {key} -out client.key"),
    )
}

/// Reads a small file. A directory, a device or a pipe is refused: reading it might never end.
pub(super) fn read(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = open(path)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(MOST_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    File::open(path)
}

/// A path for people.
pub(super) fn shown(path: &Path) -> String {
    printable(&path.to_string_lossy()).into_owned()
}
