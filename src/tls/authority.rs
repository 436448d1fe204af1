//! The CA of all replicas, in one Secret.
//!
//! | key | content |
//! | --- | --- |
//! | `tls.crt`, `tls.key` | the CA that signs |
//! | `next.crt`, `next.key` | during a [rotation](super::rotation): the CA that will sign |
//! | `ca.crt` | the trusted CAs: all of these, and for a while the one before. If absent, `tls.crt` alone |
//!
//! The chart renders the Secret empty, and an absent one is created. The first replica fills it, by an update with
//! the resourceVersion that it read. A replica whose update is refused reads again and adopts that CA. Each step of a
//! rotation is taken in the same way: by one replica, and seen by all. A CA that another person or tool put there is
//! not rotated here.
//!
//! If a Secret that was filled is empty or gone, there is a new CA. The CAs that were trusted until then stay trusted
//! for as long as after a rotation, because every replica still serves a leaf of them.

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

use super::rotation::{self, Dates, Lifetimes, Step};
use super::{Error, Settings};

const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";
const NEXT_CERTIFICATE: &str = "next.crt";
const NEXT_KEY: &str = "next.key";
const BUNDLE: &str = "ca.crt";
/// The common name of a CA that we made begins with this. Only such a CA is rotated.
const NAME: &str = "weighbridge ";

/// Clocks differ, so a certificate is valid from a little earlier on.
pub(super) const BACKDATE: Duration = Duration::hours(1);
/// How often an update is tried again after a conflict.
const ATTEMPTS: usize = 5;
/// How many CAs stay trusted when one is replaced. Leaves of other replicas may be signed by them.
const KEPT: usize = 2;

/// A CA that can sign.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    /// The start of its validity.
    pub(super) not_before: OffsetDateTime,
    /// The end of its validity.
    pub(super) not_after: OffsetDateTime,
    bundle: Vec<u8>,
    /// The next step of its rotation, and when it is due. None for a CA that is not ours.
    pub(super) next: Option<(Step, OffsetDateTime)>,
}

type Data = BTreeMap<String, ByteString>;

impl Authority {
    /// The cluster's CA. If there is none, one is created, beside the CAs that were trusted last.
    pub(super) async fn adopt(
        client: &Client,
        settings: &Settings,
        known: Option<&Self>,
    ) -> Result<Self, Error> {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &settings.namespace);
        let name = settings.secret.as_str();
        let trusted = known.map(Self::bundle).unwrap_or_default();
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let found = secrets.get_opt(name).await.map_err(|source| failed("reading", settings, source))?;
            let now = OffsetDateTime::now_utc();
            let new = match found.as_ref().and_then(filled) {
                Some(data) => {
                    let unreadable = |reason| Error::NoAuthority(qualified(settings), reason);
                    let authority = Self::read(data, &settings.lifetimes).map_err(unreadable)?;
                    let Some(step) = authority.due(now) else { return Ok(authority) };
                    tracing::info!(secret = qualified(settings), ?step, "CA rotation step");
                    Some(taken(step, data, now, &settings.lifetimes)?)
                }
                None => Some(generate(now, &settings.lifetimes, trusted)?),
            };
            let post = PostParams::default();
            let written = match found {
                Some(empty) => secrets.replace(name, &post, &Secret { data: new, ..empty }).await,
                None => secrets.create(&post, &secret(settings, new)).await,
            };
            match written {
                Ok(_) => tracing::info!(secret = qualified(settings), "CA Secret written"),
                // Another replica was faster. Its CA is adopted.
                Err(kube::Error::Api(status)) if status.code == 409 => {
                    last = Some(kube::Error::Api(status));
                }
                Err(source) => return Err(failed("filling", settings, source)),
            }
        }
        // Five conflicts, or a Secret that is emptied again and again.
        match last {
            Some(source) => Err(failed("filling", settings, source)),
            None => {
                Err(Error::NoAuthority(qualified(settings), "its data is emptied again and again".into()))
            }
        }
    }

    /// Reads the Secret's data.
    fn read(data: &Data, lifetimes: &Lifetimes) -> Result<Self, String> {
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
        // The point follows one byte ("no unused bits"), which x509-parser leaves out.
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(format!("{KEY} is not the key of {CERTIFICATE}"));
        }
        let current = dates(&certificate).map_err(|error| format!("{CERTIFICATE}: {error}"))?;
        let bundle = match text(BUNDLE)? {
            "" => text(CERTIFICATE)?,
            bundle => bundle,
        };
        let trusted = bundle.matches("-----BEGIN CERTIFICATE-----").count();
        let bundle = bundle.as_bytes().to_vec();
        let following = match text(NEXT_CERTIFICATE)? {
            "" => None,
            pem => {
                let next = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|error| error.to_string());
                let next = next.and_then(|next| dates(&next));
                Some(next.map_err(|error| format!("{NEXT_CERTIFICATE}: {error}"))?)
            }
        };
        let ours = parsed
            .subject()
            .iter_common_name()
            .any(|name| name.as_str().is_ok_and(|name| name.starts_with(NAME)));
        let next = ours.then(|| rotation::next(current, following, trusted > 1, lifetimes));
        let (not_before, not_after) = (current.born - BACKDATE, current.not_after);
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(|error| error.to_string())?;
        Ok(Self { issuer, certificate: certificate.into_owned(), not_before, not_after, bundle, next })
    }

    /// The step of the rotation that is due now.
    fn due(&self, now: OffsetDateTime) -> Option<Step> {
        let (step, due) = self.next?;
        if now < self.not_before { Some(Step::Replace) } else { (due <= now).then_some(step) }
    }

    /// The CAs to trust, PEM.
    pub(super) fn bundle(&self) -> &[u8] {
        &self.bundle
    }

    /// Its own certificate.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// Its signer.
    pub(super) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    /// A CA for tests.
    #[cfg(test)]
    pub(super) fn for_test(now: OffsetDateTime) -> Self {
        let lifetimes = Lifetimes::default();
        Self::read(&generate(now, &lifetimes, b"").unwrap(), &lifetimes).unwrap()
    }
}

/// The data, if the Secret is filled.
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

/// When a CA was made, and when it ends.
fn dates(certificate: &CertificateDer<'_>) -> Result<Dates, String> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    let validity = parsed.validity();
    let born = validity.not_before.to_datetime() + BACKDATE;
    Ok(Dates { born, not_after: validity.not_after.to_datetime() })
}

/// The Secret's data after a step of the rotation.
fn taken(step: Step, data: &Data, now: OffsetDateTime, lifetimes: &Lifetimes) -> Result<Data, rcgen::Error> {
    let mut data = data.clone();
    let current = data.get(CERTIFICATE).cloned().unwrap_or_default();
    match step {
        Step::Publish => {
            let (certificate, key) = new_ca(now, lifetimes)?;
            let both = joined(&current, &certificate);
            data.extend([
                (BUNDLE.to_owned(), both),
                (NEXT_CERTIFICATE.to_owned(), certificate),
                (NEXT_KEY.to_owned(), key),
            ]);
        }
        Step::Use => {
            if let (Some(certificate), Some(key)) = (data.remove(NEXT_CERTIFICATE), data.remove(NEXT_KEY)) {
                let both = joined(&certificate, &current);
                data.extend([
                    (BUNDLE.to_owned(), both),
                    (CERTIFICATE.to_owned(), certificate),
                    (KEY.to_owned(), key),
                ]);
            }
        }
        Step::Forget => {
            data.insert(BUNDLE.to_owned(), current);
        }
        Step::Replace => {
            let (certificate, key) = new_ca(now, lifetimes)?;
            let trusted = data.get(BUNDLE).filter(|bundle| !bundle.0.is_empty()).unwrap_or(&current);
            let all = joined(&certificate, &first(trusted, KEPT));
            data.remove(NEXT_CERTIFICATE);
            data.remove(NEXT_KEY);
            data.extend([
                (BUNDLE.to_owned(), all),
                (CERTIFICATE.to_owned(), certificate),
                (KEY.to_owned(), key),
            ]);
        }
    }
    Ok(data)
}

fn joined(one: &ByteString, other: &ByteString) -> ByteString {
    let between: &[u8] = if one.0.ends_with(b"\n") { b"" } else { b"\n" };
    ByteString([one.0.as_slice(), between, other.0.as_slice()].concat())
}

/// The first certificates of a bundle.
fn first(bundle: &ByteString, count: usize) -> ByteString {
    let text = String::from_utf8_lossy(&bundle.0);
    ByteString(text.split_inclusive("-----END CERTIFICATE-----").take(count).collect::<String>().into_bytes())
}

/// A new CA, as the Secret's data. It is trusted beside these.
fn generate(now: OffsetDateTime, lifetimes: &Lifetimes, trusted: &[u8]) -> Result<Data, rcgen::Error> {
    let (certificate, key) = new_ca(now, lifetimes)?;
    let bundle = match trusted {
        [] => certificate.clone(),
        trusted => joined(&certificate, &first(&ByteString(trusted.to_vec()), KEPT)),
    };
    Ok(BTreeMap::from([
        (CERTIFICATE.to_owned(), certificate),
        (KEY.to_owned(), key),
        (BUNDLE.to_owned(), bundle),
    ]))
}

/// A new CA: certificate and key, PEM.
fn new_ca(now: OffsetDateTime, lifetimes: &Lifetimes) -> Result<(ByteString, ByteString), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Two CAs with one name would be hard to tell apart during a rotation.
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, format!("{NAME}{}", now.unix_timestamp()));
    params.not_before = now - BACKDATE;
    params.not_after = now + lifetimes.authority;
    params.serial_number = Some(serial(&key));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?.pem();
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    Ok((bytes(&certificate), bytes(&key.serialize_pem())))
}

/// A serial number derived from the key. No key has two certificates.
pub(super) fn serial(key: &KeyPair) -> SerialNumber {
    use sha2::Digest as _;
    let digest = sha2::Sha256::digest(key.public_key_raw());
    // Sixteen bytes, as a positive number.
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

    const LIFETIMES: Lifetimes =
        Lifetimes { authority: Duration::days(300), leaf: Duration::days(7), overlap: Duration::hours(1) };

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[test]
    fn a_generated_ca_is_read_back() {
        let data = generate(now(), &LIFETIMES, b"").unwrap();
        let authority = Authority::read(&data, &LIFETIMES).unwrap();
        assert_eq!(authority.bundle(), data[CERTIFICATE].0);
        assert!(authority.not_after > now() + Duration::days(299));
    }

    #[test]
    fn a_new_ca_in_place_of_a_lost_one_is_trusted_beside_it_until_it_is_forgotten() {
        let read = |data: &Data| Authority::read(data, &LIFETIMES).unwrap();
        let lost = read(&generate(now(), &LIFETIMES, b"").unwrap());
        let new = read(&generate(now(), &LIFETIMES, lost.bundle()).unwrap());
        assert_ne!(new.certificate(), lost.certificate());
        let trusted = String::from_utf8(new.bundle().to_vec()).unwrap();
        let before = String::from_utf8(lost.bundle().to_vec()).unwrap();
        assert!(trusted.trim_end().ends_with(before.trim_end()), "{trusted}");
        assert_eq!(new.next.unwrap().0, Step::Forget);
    }

    #[test]
    fn an_empty_secret_is_to_be_filled() {
        let empty = |data| filled(&Secret { data, ..Secret::default() }).is_none();
        assert!(empty(None));
        assert!(empty(Some(BTreeMap::from([(CERTIFICATE.to_owned(), ByteString(Vec::new()))]))));
        assert!(!empty(Some(generate(now(), &LIFETIMES, b"").unwrap())));
    }

    #[test]
    fn a_secret_that_cannot_sign_is_refused_with_its_wrong_key() {
        let good = generate(now(), &LIFETIMES, b"").unwrap();
        let other = generate(now(), &LIFETIMES, b"").unwrap();
        let with = |key: &str, value: &[u8]| {
            let mut data = good.clone();
            data.insert(key.to_owned(), ByteString(value.to_vec()));
            Authority::read(&data, &LIFETIMES).err().unwrap()
        };
        assert!(with(CERTIFICATE, b"no certificate").contains("tls.crt"));
        assert!(with(KEY, b"\xff").contains("tls.key is not PEM"));
        assert!(with(KEY, &other[KEY].0).contains("is not the key of tls.crt"));
    }

    #[test]
    fn both_cas_are_trusted_during_a_rotation() {
        let mut data = generate(now(), &LIFETIMES, b"").unwrap();
        let both =
            [data[BUNDLE].0.clone(), generate(now(), &LIFETIMES, b"").unwrap()[BUNDLE].0.clone()].concat();
        data.insert(BUNDLE.to_owned(), ByteString(both.clone()));
        assert_eq!(Authority::read(&data, &LIFETIMES).unwrap().bundle(), both);
        data.remove(BUNDLE);
        assert_eq!(Authority::read(&data, &LIFETIMES).unwrap().bundle(), data[CERTIFICATE].0);
    }

    /// The CA that signs and the CAs that are trusted after each step, by their serial numbers.
    #[test]
    fn a_rotation_publishes_before_it_signs_and_forgets_last() {
        let read = |data: &Data| Authority::read(data, &LIFETIMES).unwrap();
        let trusted = |data: &Data| {
            let pem = CertificateDer::pem_slice_iter(&data[BUNDLE].0);
            pem.map(|certificate| certificate.unwrap().to_vec()).collect::<Vec<_>>()
        };
        let born = now();
        let first = generate(born, &LIFETIMES, b"").unwrap();
        let old = read(&first).certificate().to_vec();

        let (step, due) = read(&first).next.unwrap();
        assert_eq!(step, Step::Publish);
        let published = taken(step, &first, due, &LIFETIMES).unwrap();
        assert_eq!(read(&published).certificate().to_vec(), old, "the next one does not sign yet");
        assert_eq!(trusted(&published).len(), 2);

        let (step, due) = read(&published).next.unwrap();
        assert_eq!(step, Step::Use);
        let used = taken(step, &published, due, &LIFETIMES).unwrap();
        let new = read(&used).certificate().to_vec();
        assert!(new != old && trusted(&published).contains(&new) && trusted(&used).contains(&old));
        assert!(!used.contains_key(NEXT_KEY));

        let (step, due) = read(&used).next.unwrap();
        assert_eq!(step, Step::Forget);
        let forgotten = taken(step, &used, due, &LIFETIMES).unwrap();
        assert_eq!(trusted(&forgotten), [new]);
        assert_eq!(read(&forgotten).next.unwrap().0, Step::Publish);
    }

    #[test]
    fn a_ca_made_with_a_clock_ahead_is_replaced_and_stays_trusted() {
        let read = |data: &Data| Authority::read(data, &LIFETIMES).unwrap();
        let ahead = generate(now() + Duration::days(250), &LIFETIMES, b"").unwrap();
        assert_eq!(read(&ahead).due(now()), Some(Step::Replace));
        let mut replaced = ahead.clone();
        // The trusted set stays small if it happens often.
        for _ in 0..5 {
            replaced = taken(Step::Replace, &replaced, now(), &LIFETIMES).unwrap();
        }
        assert_eq!(read(&replaced).due(now()), None);
        let trusted = CertificateDer::pem_slice_iter(&replaced[BUNDLE].0).map(Result::unwrap);
        assert_eq!(trusted.count(), 1 + KEPT);

        let once = taken(Step::Replace, &ahead, now(), &LIFETIMES).unwrap();
        let trusted = CertificateDer::pem_slice_iter(&once[BUNDLE].0).map(|ca| ca.unwrap().to_vec());
        let both = [read(&once).certificate().to_vec(), read(&ahead).certificate().to_vec()];
        assert_eq!(trusted.collect::<Vec<_>>(), both);
    }

    #[test]
    fn a_ca_that_is_not_ours_is_not_replaced() {
        let mut theirs = Authority::for_test(now() + Duration::days(8));
        theirs.next = None;
        assert_eq!(theirs.due(now()), None);
    }
}
