//! The CA that all replicas share, in one Secret.
//!
//! | key | what |
//! | --- | --- |
//! | `tls.crt`, `tls.key` | the CA that signs |
//! | `ca.crt` | the CAs to trust: that one, and during a rotation its neighbour too; absent, `tls.crt` alone |
//!
//! The Secret that the chart renders is empty, and one that isn't there is created. Whoever comes first fills it, by an
//! update with the resourceVersion that it read; whoever is refused reads again and adopts what is there.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use kube::{Api, Client};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};

use super::{Error, Settings};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const BUNDLE: &str = "ca.crt";

/// For how long a new CA is good: nothing rotates it by itself yet.
const LIFETIME: Duration = Duration::days(3650);
/// Clocks differ; what is signed was good a little before.
pub(super) const BACKDATE: Duration = Duration::hours(1);
/// How often a conflict is answered by reading again.
const ATTEMPTS: usize = 5;

/// A CA that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The last moment at which it is good.
    pub(super) not_after: OffsetDateTime,
    bundle: Vec<u8>,
}

impl Authority {
    /// The cluster's CA; made and put there where there is none.
    pub(super) async fn adopt(client: &Client, settings: &Settings) -> Result<Self, Error> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
        let name = settings.secret.as_str();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let found = secrets.get_opt(name).await.map_err(|source| failed("reading", settings, source))?;
            if let Some(data) = found.as_ref().and_then(filled) {
                return Self::read(data).map_err(|reason| Error::NoAuthority(qualified(settings), reason));
            }
            let new = Some(generate(OffsetDateTime::now_utc())?);
            let post = PostParams::default();
            let written = match found {
                Some(empty) => secrets.replace(name, &post, &Secret { data: new, ..empty }).await,
                None => secrets.create(&post, &secret(settings, new)).await,
            };
            match written {
                Ok(_) => {
                    tracing::info!(secret = qualified(settings), "a new CA is in the Secret");
                }
                // Another replica was faster: its CA is adopted.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    last = Some(kube::Error::Api(status));
                }
                Err(source) => return Err(failed("filling", settings, source)),
            }
        }
        // Five conflicts, or a Secret that is emptied as soon as it is filled.
        match last {
            Some(source) => Err(failed("filling", settings, source)),
            None => Err(Error::NoAuthority(qualified(settings), "it does not keep its data".into())),
        }
    }

    /// From the Secret's data.
    fn read(data: &BTreeMap<String, ByteString>) -> Result<Self, String> {
        let text = |key: &str| {
            let bytes = data.get(key).map(|bytes| bytes.0.as_slice()).unwrap_or_default();
            std::str::from_utf8(bytes).map_err(|_| format!("{key} is not PEM"))
        };
        let certificate = CertificateDer::from_pem_slice(text(CERTIFICATE)?.as_bytes())
            .map_err(|error| format!("{CERTIFICATE}: {error}"))?;
        let key = KeyPair::from_pem(text(KEY)?).map_err(|error| format!("{KEY}: {error}"))?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|error| format!("{CERTIFICATE}: {error}"))?;
        if !parsed.is_ca() {
            return Err(format!("{CERTIFICATE} is not a CA"));
        }
        // The point itself follows one byte of "no unused bits", which x509-parser leaves out.
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(format!("{KEY} is not the key of {CERTIFICATE}"));
        }
        let not_after = parsed.validity().not_after.to_datetime();
        let bundle = match text(BUNDLE)? {
            "" => text(CERTIFICATE)?,
            bundle => bundle,
        };
        let bundle = bundle.as_bytes().to_vec();
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { issuer, certificate: certificate.into_owned(), not_after, bundle })
    }

    /// What clients are to trust, PEM.
    pub(super) fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What signs.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A CA of a test's own.
    #[cfg(test)]
    pub(super) fn for_test(now: OffsetDateTime) -> Self {
        Self::read(&generate(now).unwrap()).unwrap()
    }
}

/// The data, where somebody has filled it.
fn filled(secret: &Secret) -> Option<&BTreeMap<String, ByteString>> {
    let has =
        |data: &BTreeMap<String, ByteString>, key| data.get(key).is_some_and(|bytes| !bytes.0.is_empty());
    secret.data.as_ref().filter(|data| has(data, CERTIFICATE) || has(data, KEY))
}

fn secret(settings: &Settings, data: Option<BTreeMap<String, ByteString>>) -> Secret {
    let metadata = kube::api::ObjectMeta {
        name: Some(settings.secret.clone()),
        namespace: Some(settings.namespace.clone()),
        ..kube::api::ObjectMeta::default()
    };
    Secret { metadata, data, type_: Some("Opaque".into()), ..Secret::default() }
}

/// A new CA, as the Secret's data.
fn generate(now: OffsetDateTime) -> Result<BTreeMap<String, ByteString>, rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Two CAs of one name would be hard to tell apart during a rotation.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("weighbridge {}", now.date()));
    params.not_before = now - BACKDATE;
    params.not_after = now + LIFETIME;
    params.serial_number = Some(serial(&key));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    Ok(BTreeMap::from([
        (CERTIFICATE.to_owned(), bytes(&certificate)),
        (KEY.to_owned(), bytes(&key.serialize_pem())),
        (BUNDLE.to_owned(), bytes(&certificate)),
    ]))
}

/// Unique to the key, and so to the certificate: no key is certified twice.
pub(super) fn serial(key: &KeyPair) -> SerialNumber {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(key.public_key_raw());
    // Sixteen bytes of a positive number.
    let mut bytes: Vec<u8> = digest.iter().copied().take(16).collect();
    if let Some(first) = bytes.first_mut() {
        *first &= 0x7f;
    }
    SerialNumber::from(bytes)
}

fn qualified(settings: &Settings) -> String {
    format!("{}/{}", settings.namespace, settings.secret)
}

fn failed(doing: &str, settings: &Settings, source: kube::Error) -> Error {
    Error::Kube { what: format!("{doing} the Secret {}", qualified(settings)), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[test]
    fn what_is_generated_is_read_back() {
        let data = generate(now()).unwrap();
        let authority = Authority::read(&data).unwrap();
        assert_eq!(authority.bundle(), data[CERTIFICATE].0);
        assert!(authority.not_after > now() + Duration::days(3000));
    }

    #[test]
    fn an_empty_secret_is_to_be_filled() {
        let empty = |data| filled(&Secret { data, ..Secret::default() }).is_none();
        assert!(empty(None));
        assert!(empty(Some(BTreeMap::from([(CERTIFICATE.to_owned(), ByteString(Vec::new()))]))));
        assert!(!empty(Some(generate(now()).unwrap())));
    }

    #[test]
    fn what_cannot_sign_is_refused_with_the_key_that_is_wrong() {
        let good = generate(now()).unwrap();
        let other = generate(now()).unwrap();
        let with = |key: &str, value: &[u8]| {
            let mut data = good.clone();
            data.insert(key.to_owned(), ByteString(value.to_vec()));
            Authority::read(&data).err().unwrap()
        };
        assert!(with(CERTIFICATE, b"no certificate").contains("tls.crt"));
        assert!(with(KEY, b"\xff").contains("tls.key is not PEM"));
        assert!(with(KEY, &other[KEY].0).contains("is not the key of tls.crt"));
    }

    #[test]
    fn during_a_rotation_both_are_trusted() {
        let mut data = generate(now()).unwrap();
        let both = [data[BUNDLE].0.clone(), generate(now()).unwrap()[BUNDLE].0.clone()].concat();
        data.insert(BUNDLE.to_owned(), ByteString(both.clone()));
        assert_eq!(Authority::read(&data).unwrap().bundle(), both);
        data.remove(BUNDLE);
        assert_eq!(Authority::read(&data).unwrap().bundle(), data[CERTIFICATE].0);
    }
}
