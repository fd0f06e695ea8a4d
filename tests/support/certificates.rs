//! TLS certificates for test servers, made with OpenSSL when they are needed.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::x509::extension::SubjectAlternativeName;
use openssl::x509::{X509Builder, X509NameBuilder};

/// A certificate and its private key, both PEM.
pub struct Certificate {
    pub certificate: String,
    pub key: String,
}

/// A certificate that signed itself, valid for `name` from now on for a week.
pub fn self_signed(name: &str) -> Certificate {
    make(name).expect("OpenSSL makes a certificate")
}

fn make(name: &str) -> Result<Certificate, ErrorStack> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
    let mut subject = X509NameBuilder::new()?;
    subject.append_entry_by_text("CN", name)?;
    let subject = subject.build();
    let mut serial = BigNum::new()?;
    serial.rand(120, MsbOption::MAYBE_ZERO, false)?;

    let mut builder = X509Builder::new()?;
    builder.set_version(2)?;
    builder.set_serial_number(&*serial.to_asn1_integer()?)?;
    builder.set_subject_name(&subject)?;
    builder.set_issuer_name(&subject)?;
    builder.set_pubkey(&key)?;
    builder.set_not_before(&*Asn1Time::days_from_now(0)?)?;
    builder.set_not_after(&*Asn1Time::days_from_now(7)?)?;
    let names = SubjectAlternativeName::new().dns(name).build(&builder.x509v3_context(None, None))?;
    builder.append_extension(names)?;
    builder.sign(&key, MessageDigest::sha256())?;
    let text = |pem: Vec<u8>| String::from_utf8(pem).expect("PEM is ASCII");
    Ok(Certificate { certificate: text(builder.build().to_pem()?), key: text(key.private_key_to_pem_pkcs8()?) })
}
