//! Certificates of every kind that a server or a client can show, made with OpenSSL when they are needed.

#![expect(clippy::unwrap_used, reason = "a test that can't be prepared has failed")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::symm::Cipher;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// A certificate with its private key.
#[derive(Clone)]
pub struct Pair {
    pub certificate: X509,
    pub key: PKey<Private>,
}

/// What a certificate is to say.
#[derive(Clone, Default)]
pub struct Wanted<'a> {
    pub common_name: &'a str,
    pub names: &'a [&'a str],
    /// Valid from and until, in days from now; nothing means from yesterday for a month.
    pub days: Option<(i64, i64)>,
    pub authority: bool,
    /// Made for clients only, which a server must not show.
    pub client_only: bool,
}

impl Pair {
    /// An authority that signed itself.
    pub fn authority(name: &str) -> Self {
        Self::issue(&Wanted { common_name: name, authority: true, ..Wanted::default() }, None)
    }

    /// A certificate for an address that signed itself with Ed25519, whose signature names no hash.
    pub fn ed25519(address: &str) -> Self {
        let key = PKey::generate_ed25519().unwrap();
        Self::made(
            &Wanted { common_name: address, names: &[address], ..Wanted::default() },
            None,
            key,
            MessageDigest::null(),
        )
    }

    /// Signs what is `wanted`.
    pub fn sign(&self, wanted: &Wanted<'_>) -> Self {
        Self::issue(wanted, Some(self))
    }

    /// A certificate signed by `issuer`, or by itself.
    pub fn issue(wanted: &Wanted<'_>, issuer: Option<&Self>) -> Self {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        Self::made(wanted, issuer, key, MessageDigest::sha256())
    }

    fn made(wanted: &Wanted<'_>, issuer: Option<&Self>, key: PKey<Private>, hash: MessageDigest) -> Self {
        let mut subject = X509NameBuilder::new().unwrap();
        subject.append_entry_by_text("CN", wanted.common_name).unwrap();
        let subject = subject.build();
        let mut serial = BigNum::new().unwrap();
        serial.rand(120, MsbOption::MAYBE_ZERO, false).unwrap();
        let (from, until) = wanted.days.unwrap_or((-1, 30));

        let mut builder = X509Builder::new().unwrap();
        builder.set_version(2).unwrap();
        builder.set_serial_number(&serial.to_asn1_integer().unwrap()).unwrap();
        builder.set_subject_name(&subject).unwrap();
        builder.set_issuer_name(issuer.map_or(&*subject, |issuer| issuer.certificate.subject_name())).unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&day(from)).unwrap();
        builder.set_not_after(&day(until)).unwrap();
        let mut constraints = BasicConstraints::new();
        constraints.critical();
        if wanted.authority {
            constraints.ca();
        }
        builder.append_extension(constraints.build().unwrap()).unwrap();
        if wanted.client_only {
            builder.append_extension(ExtendedKeyUsage::new().client_auth().build().unwrap()).unwrap();
        }
        if !wanted.names.is_empty() {
            let mut names = SubjectAlternativeName::new();
            for name in wanted.names {
                match name.parse::<IpAddr>() {
                    Ok(_) => names.ip(name),
                    Err(_) => names.dns(name),
                };
            }
            let names = names.build(&builder.x509v3_context(None, None)).unwrap();
            builder.append_extension(names).unwrap();
        }
        let signer = issuer.map_or(&key, |issuer| &issuer.key);
        builder.sign(signer, hash).unwrap();
        Self { certificate: builder.build(), key }
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        String::from_utf8(self.certificate.to_pem().unwrap()).unwrap()
    }

    /// The key in PEM, PKCS#8, not encrypted.
    pub fn key_pem(&self) -> String {
        String::from_utf8(self.key.private_key_to_pem_pkcs8().unwrap()).unwrap()
    }

    /// The key in every format that libpq reads: name, content, and whether it needs the passphrase.
    pub fn key_formats(&self, passphrase: &str) -> Vec<(&'static str, Vec<u8>, bool)> {
        let word = passphrase.as_bytes();
        let ec = self.key.ec_key().unwrap();
        let parameters = ec.group().to_pem_parameters();
        let mut with_parameters = parameters;
        with_parameters.extend(ec.private_key_to_pem().unwrap());
        let plain = self.key.private_key_to_pem_pkcs8().unwrap();
        let mut bag = b"Bag Attributes\n    friendlyName: client\nKey Attributes: <No Attributes>\n".to_vec();
        bag.extend(&plain);
        let mut marked = b"\xef\xbb\xbf".to_vec();
        marked.extend(&plain);
        vec![
            ("PKCS#8", plain.clone(), false),
            ("SEC1", ec.private_key_to_pem().unwrap(), false),
            ("SEC1 after its parameters", with_parameters, false),
            (
                "PKCS#8 encrypted",
                self.key.private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), word).unwrap(),
                true,
            ),
            ("SEC1 encrypted", ec.private_key_to_pem_passphrase(Cipher::aes_128_cbc(), word).unwrap(), true),
            ("behind bag attributes", bag, false),
            ("behind a byte order mark", marked, false),
            ("with line ends of Windows", String::from_utf8(plain).unwrap().replace('\n', "\r\n").into_bytes(), false),
            ("DER", self.key.private_key_to_der().unwrap(), false),
        ]
    }
}

fn day(from_now: i64) -> Asn1Time {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    Asn1Time::from_unix(i64::try_from(now).unwrap() + from_now * 86_400).unwrap()
}

/// The PEM header of an EC key's parameters.
trait Parameters {
    fn to_pem_parameters(&self) -> Vec<u8>;
}

impl Parameters for openssl::ec::EcGroupRef {
    fn to_pem_parameters(&self) -> Vec<u8> {
        // The object identifier of P-256, as `openssl ecparam -name prime256v1` prints it.
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n".to_vec()
    }
}

/// Writes a file that the server's account may read too.
pub fn public_file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    file(folder, name, content, 0o644)
}

/// Writes a file that only its owner may read.
pub fn private_file(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    file(folder, name, content, 0o600)
}

fn file(folder: &Path, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path
}
