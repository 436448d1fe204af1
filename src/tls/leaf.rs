//! A replica's own certificate: signed by the shared CA, kept in memory, good for a week.
//!
//! It is renewed when a third of its life is left, when another CA signs, and never outlives its CA.

use std::sync::Arc;

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use rustls::sign::CertifiedKey;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use time::{Duration, OffsetDateTime};

use super::Error;
use super::authority::{Authority, BACKDATE, serial};

const LIFETIME: Duration = Duration::days(7);
const RENEW_BEFORE: Duration = Duration::hours(56);

/// A certificate with its key.
#[derive(Debug)]
pub(super) struct Leaf {
    /// As rustls serves it.
    pub(super) certified: Arc<CertifiedKey>,
    certificate: CertificateDer<'static>,
    issuer: CertificateDer<'static>,
    renew_at: OffsetDateTime,
    /// The last moment at which it is good.
    pub(super) not_after: OffsetDateTime,
}

impl Leaf {
    /// A new one, for these names and addresses.
    pub(super) fn sign(authority: &Authority, names: &[String], now: OffsetDateTime) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let not_after = (now + LIFETIME).min(authority.not_after);
        let mut params = CertificateParams::new(names.to_vec())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "weighbridge webhook");
        params.serial_number = Some(serial(&key));
        params.not_before = now - BACKDATE;
        params.not_after = not_after;
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, authority.issuer())?.der().clone();

        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        // rcgen has made the key, so rustls can read it.
        let signing = rustls::crypto::ring::sign::any_supported_type(&der)
            .map_err(|_| rcgen::Error::CouldNotParseKeyPair)?;
        Ok(Self {
            certified: Arc::new(CertifiedKey::new(vec![certificate.clone()], signing)),
            certificate,
            issuer: authority.certificate().clone(),
            renew_at: not_after - RENEW_BEFORE,
            not_after,
        })
    }

    /// Whether it may be served on: by the same CA, and for a while yet.
    pub(super) fn serves(&self, authority: &Authority, now: OffsetDateTime) -> bool {
        // A CA near its end has nothing longer to give.
        let longest = (now + LIFETIME).min(authority.not_after);
        self.issuer == *authority.certificate() && (now < self.renew_at || longest <= self.not_after)
    }

    /// As clients see it.
    pub(super) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::trust;

    fn names() -> Vec<String> {
        vec!["weighbridge.gpu.svc".to_owned(), "127.0.0.1".to_owned()]
    }

    fn now() -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }

    #[test]
    fn it_verifies_against_its_ca_for_each_of_its_names() {
        let authority = Authority::for_test(now());
        let leaf = Leaf::sign(&authority, &names(), now()).unwrap();
        for name in names() {
            trust::verify(leaf.certificate(), authority.bundle(), &name).unwrap();
        }
        let refused = trust::verify(leaf.certificate(), authority.bundle(), "other.gpu.svc").unwrap_err();
        assert!(refused.contains("not valid for name"), "{refused}");
    }

    #[test]
    fn a_foreign_ca_does_not_trust_it() {
        let leaf = Leaf::sign(&Authority::for_test(now()), &names(), now()).unwrap();
        let foreign = Authority::for_test(now());
        let refused = trust::verify(leaf.certificate(), foreign.bundle(), "127.0.0.1").unwrap_err();
        assert!(refused.contains("invalid peer certificate"), "{refused}");
    }

    #[test]
    fn it_is_trusted_while_the_ca_rotates() {
        let (old, new) = (Authority::for_test(now()), Authority::for_test(now()));
        let both = [old.bundle(), new.bundle()].concat();
        for authority in [&old, &new] {
            let leaf = Leaf::sign(authority, &names(), now()).unwrap();
            trust::verify(leaf.certificate(), &both, "127.0.0.1").unwrap();
        }
    }

    #[test]
    fn it_is_renewed_in_time_and_when_another_ca_signs() {
        let authority = Authority::for_test(now());
        let leaf = Leaf::sign(&authority, &names(), now()).unwrap();
        assert!(leaf.serves(&authority, now()));
        assert!(leaf.serves(&authority, now() + Duration::days(4)));
        assert!(!leaf.serves(&authority, now() + Duration::days(5)));
        assert!(!leaf.serves(&Authority::for_test(now()), now()));
    }

    #[test]
    fn it_never_outlives_its_ca_and_is_not_renewed_in_vain() {
        let authority = Authority::for_test(now() - Duration::days(3649));
        let leaf = Leaf::sign(&authority, &names(), now()).unwrap();
        assert!(leaf.not_after <= authority.not_after);
        assert!(leaf.serves(&authority, now()));
    }
}
