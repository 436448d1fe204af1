//! The certificate that a replica serves. It is signed by the shared CA, kept in memory and valid for a week; or
//! another controller keeps it in files.
//!
//! A replica renews its own when a third of its life is left, when another CA signs, or when it is not valid yet
//! because it was signed with a clock ahead. It is never valid outside of its CA's validity.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject as _};
use time::{Duration, OffsetDateTime};

use super::Error;
use super::authority::{Authority, BACKDATE, serial};
use super::files::Files;

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Leaf {
    /// In the form that rustls serves.
    pub(super) certified: Arc<CertifiedKey>,
    /// Its CA's certificate, or the hash of its files.
    origin: Vec<u8>,
    /// When it is due for renewal.
    pub(super) renew_at: OffsetDateTime,
    /// The start of its validity.
    not_before: OffsetDateTime,
    /// The end of its validity.
    pub(super) not_after: OffsetDateTime,
}

impl Leaf {
    /// A new one, with these names and addresses.
    pub(super) fn sign(
        authority: &Authority,
        names: &[String],
        lifetime: Duration,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let not_before = (now - BACKDATE).max(authority.not_before);
        let not_after = (now + lifetime).min(authority.not_after);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "weighbridge webhook");
        params.serial_number = Some(serial(&key));
        params.not_before = not_before;
        params.not_after = not_after;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, authority.issuer())?.der().clone();

        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // rcgen made the key, so rustls can read it.
        let signing = rustls::crypto::ring::sign::any_supported_type(&der)
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(vec![certificate], signing)),
            origin: authority.certificate().to_vec(),
            renew_at: not_after - lifetime / 3,
            not_before,
            not_after,
        })
    }

    /// The leaf in the files.
    ///
    /// # Errors
    /// Why the files cannot be used.
    pub(super) fn of_files(files: &Files) -> Result<Self, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&files.chain).collect();
        let chain = chain.map_err(|error| format!("tls.crt: {error}"))?;
        let first = chain.first().ok_or("tls.crt holds no certificate")?;
        let (_, parsed) =
            x509_parser::parse_x509_certificate(first).map_err(|error| format!("tls.crt: {error}"))?;
        let validity = parsed.validity();
        let (not_before, not_after) = (validity.not_before.to_datetime(), validity.not_after.to_datetime());
        let key = PrivateKeyDer::from_pem_slice(&files.key).map_err(|error| format!("tls.key: {error}"))?;
        let signing = rustls::crypto::ring::sign::any_supported_type(&key)
            .map_err(|error| format!("tls.key: {error}"))?;
        let certified = CertifiedKey::new(chain, signing);
        certified.keys_match().map_err(|_| "tls.key is not the key of tls.crt")?;
        let (certified, origin) = (Arc::new(certified), files.hash());
        Ok(Self { certified, origin, renew_at: not_after, not_before, not_after })
    }

    /// Whether it is from these files.
    pub(super) fn is_from(&self, files: &Files) -> bool {
        self.origin == files.hash()
    }

    /// Whether it is valid by the clock.
    pub(super) fn is_good(&self, now: OffsetDateTime) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether it can still be served: it is of the same CA, valid now, and not due for renewal.
    pub(super) fn serves(&self, authority: &Authority, lifetime: Duration, now: OffsetDateTime) -> bool {
        // A leaf cannot outlive its CA.
        let longest = (now + lifetime).min(authority.not_after);
        let lasts = now < self.renew_at || longest <= self.not_after;
        self.origin == authority.certificate().as_ref() && self.is_good(now) && lasts
    }

    /// As clients see it: the certificate, and the intermediate ones.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::trust;

    const WEEK: Duration = Duration::days(7);

    fn names() -> Vec<String> {
        vec!["weighbridge.gpu.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[test]
    fn a_leaf_verifies_against_its_ca_for_each_of_its_names() {
        let authority = Authority::for_test(now());
        let leaf = Leaf::sign(&authority, &names(), WEEK, now()).unwrap();
        for name in names() {
            trust::verify(leaf.chain(), authority.bundle(), &name, now()).unwrap();
        }
        let refused = trust::verify(leaf.chain(), authority.bundle(), "other.gpu.svc", now()).unwrap_err();
        assert!(refused.contains("not valid for name"), "{refused}");
    }

    #[test]
    fn a_foreign_ca_does_not_trust_it() {
        let leaf = Leaf::sign(&Authority::for_test(now()), &names(), WEEK, now()).unwrap();
        let foreign = Authority::for_test(now());
        let refused = trust::verify(leaf.chain(), foreign.bundle(), "127.0.0.1", now()).unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
    }

    #[test]
    fn a_leaf_is_trusted_while_the_ca_rotates() {
        let (old, new) = (Authority::for_test(now()), Authority::for_test(now()));
        let both = [old.bundle(), new.bundle()].concat();
        for authority in [&old, &new] {
            let leaf = Leaf::sign(authority, &names(), WEEK, now()).unwrap();
            trust::verify(leaf.chain(), &both, "127.0.0.1", now()).unwrap();
        }
    }

    #[test]
    fn a_leaf_is_renewed_in_time_and_when_another_ca_signs() {
        let authority = Authority::for_test(now());
        let leaf = Leaf::sign(&authority, &names(), WEEK, now()).unwrap();
        assert!(leaf.serves(&authority, WEEK, now()));
        assert!(leaf.serves(&authority, WEEK, now() + Duration::days(4)));
        assert!(!leaf.serves(&authority, WEEK, now() + Duration::days(5)));
        assert!(!leaf.serves(&Authority::for_test(now()), WEEK, now()));
    }

    #[test]
    fn a_leaf_signed_with_a_clock_ahead_is_renewed_later() {
        let authority = Authority::for_test(now());
        let ahead = now() + Duration::days(8);
        let leaf = Leaf::sign(&authority, &names(), WEEK, ahead).unwrap();
        assert!(leaf.is_good(ahead) && leaf.serves(&authority, WEEK, ahead));
        trust::verify(leaf.chain(), authority.bundle(), "127.0.0.1", ahead).unwrap();

        let refused = trust::verify(leaf.chain(), authority.bundle(), "127.0.0.1", now()).unwrap_err();
        assert!(refused.contains("not valid yet"), "{refused}");
        assert!(!leaf.is_good(now()) && !leaf.serves(&authority, WEEK, now()));
        let another = Leaf::sign(&authority, &names(), WEEK, now()).unwrap();
        assert!(another.serves(&authority, WEEK, now()));
        trust::verify(another.chain(), authority.bundle(), "127.0.0.1", now()).unwrap();
    }

    #[test]
    fn an_expired_leaf_is_not_good() {
        let authority = Authority::for_test(now());
        let leaf = Leaf::sign(&authority, &names(), WEEK, now()).unwrap();
        let later = now() + Duration::days(8);
        assert!(!leaf.is_good(later) && !leaf.serves(&authority, WEEK, later));
    }

    #[test]
    fn a_leaf_is_not_good_before_its_ca_is() {
        let authority = Authority::for_test(now() + Duration::days(8));
        assert!(!Leaf::sign(&authority, &names(), WEEK, now()).unwrap().is_good(now()));
    }

    #[test]
    fn a_leaf_never_outlives_its_ca_and_is_not_renewed_in_vain() {
        let authority = Authority::for_test(now() - Duration::days(364));
        let leaf = Leaf::sign(&authority, &names(), WEEK, now()).unwrap();
        assert!(leaf.not_after <= authority.not_after);
        assert!(leaf.serves(&authority, WEEK, now()));
    }

    #[test]
    fn files_that_do_not_match_are_refused() {
        let made = |names: &str| {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec![names.to_owned()]).unwrap().self_signed(&key).unwrap();
            (certificate.pem().into_bytes(), key.serialize_pem().into_bytes())
        };
        let ((chain, key), other) = (made("127.0.0.1"), made("127.0.0.1"));
        let files = |chain: &[u8], key: &[u8]| Files {
            chain: chain.to_vec(),
            key: key.to_vec(),
            authority: Vec::new(),
        };
        let good = Leaf::of_files(&files(&chain, &key)).unwrap();
        assert!(good.is_from(&files(&chain, &key)) && !good.is_from(&files(&other.0, &other.1)));
        for (files, expected) in [
            (files(&chain, &other.1), "tls.key is not the key of tls.crt"),
            (files(b"", &key), "tls.crt holds no certificate"),
            (files(&chain, b"no key"), "tls.key: "),
        ] {
            let refused = Leaf::of_files(&files).unwrap_err();
            assert!(refused.contains(expected), "{refused}");
        }
    }
}
