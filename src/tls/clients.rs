//! Client certificates: which clients must show one at the webhook's port, and which certificates are accepted.
//!
//! An apiserver that is configured for it ([`AdmissionConfiguration`]) shows a certificate of its own. Then no other
//! client on the network is answered. The CAs are in a file, which is followed. If the file cannot be read or has no
//! certificate, the last good CAs stay in force: a mistake there must neither open the port nor close it to all.
//!
//! [`AdmissionConfiguration`]: https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, UnixTime};

/// How often the file is read.
const INTERVAL: Duration = Duration::from_secs(5);

/// Which client certificates are accepted.
#[derive(Clone, Debug)]
pub struct Clients {
    /// The file with the CAs, PEM.
    pub authorities: PathBuf,
    /// The common names that a certificate may have. Any name, if the list is empty.
    pub names: Vec<String>,
}

/// Checks client certificates against the newest CAs.
#[derive(Debug)]
pub(super) struct Verifier {
    clients: Clients,
    /// Whether a client without a certificate may connect, for paths that need none.
    strangers: bool,
    current: ArcSwap<Current>,
}

#[derive(Debug)]
struct Current {
    pem: Vec<u8>,
    by: Arc<dyn ClientCertVerifier>,
}

impl Verifier {
    /// A verifier with the CAs that are in the file now.
    pub(super) fn new(clients: Clients, strangers: bool) -> Result<Self> {
        let file = clients.authorities.display().to_string();
        let pem = std::fs::read(&clients.authorities).with_context(|| format!("--client-ca {file}"))?;
        let current = Current::of(pem).with_context(|| format!("--client-ca {file}"))?;
        Ok(Self { clients, strangers, current: ArcSwap::from_pointee(current) })
    }

    /// Follows the file.
    pub(super) async fn follow(&self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            if let Err(error) = self.look(&self.clients.authorities).await {
                let error = format!("{error:#}");
                tracing::warn!(
                    error,
                    "the CAs of client certificates cannot be read; the last good ones stay in force"
                );
            }
        }
    }

    async fn look(&self, file: &Path) -> Result<()> {
        let pem = tokio::fs::read(file).await?;
        if pem != self.current.load().pem {
            self.current.store(Arc::new(Current::of(pem)?));
            tracing::info!("CAs of client certificates changed");
        }
        Ok(())
    }
}

impl Current {
    fn of(pem: Vec<u8>) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.context("a certificate that cannot be read")?)?;
        }
        ensure!(!roots.is_empty(), "the file has no certificate");
        let by = WebPkiClientVerifier::builder(Arc::new(roots)).build()?;
        Ok(Self { pem, by })
    }
}

impl ClientCertVerifier for Verifier {
    fn client_auth_mandatory(&self) -> bool {
        !self.strangers
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // The CAs change, and a client with one certificate needs no hint.
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.current.load().by.verify_client_cert(leaf, between, now)?;
        if self.clients.names.is_empty() || common_names(leaf).iter().any(|n| self.clients.names.contains(n))
        {
            Ok(verified)
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().by.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.current.load().by.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.current.load().by.supported_verify_schemes()
    }
}

fn common_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = x509_parser::parse_x509_certificate(leaf) else { return Vec::new() };
    let names = certificate.subject().iter_common_name();
    names.filter_map(|name| name.as_str().ok().map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    };

    use super::*;

    struct Ca {
        pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Ca {
        fn new() -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().unwrap();
            Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
        }

        fn signed(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> CertificateDer<'static> {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages = vec![usage];
            params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
        }
    }

    fn counts(verifier: &Verifier, certificate: &CertificateDer<'_>) -> bool {
        verifier.verify_client_cert(certificate, &[], UnixTime::now()).is_ok()
    }

    fn verifier(file: &Path, names: &[&str]) -> Verifier {
        crate::tls::install_provider();
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Verifier::new(Clients { authorities: file.to_owned(), names }, false).unwrap()
    }

    #[test]
    fn a_certificate_counts_by_its_authority_its_use_and_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        let (ours, foreign) = (Ca::new(), Ca::new());
        std::fs::write(&file, &ours.pem).unwrap();
        let (any, named) = (verifier(&file, &[]), verifier(&file, &["kube-apiserver"]));
        let apiserver = ours.signed("kube-apiserver", ExtendedKeyUsagePurpose::ClientAuth);
        assert!(counts(&any, &apiserver) && counts(&named, &apiserver));
        let other = ours.signed("kubelet", ExtendedKeyUsagePurpose::ClientAuth);
        assert!(counts(&any, &other) && !counts(&named, &other));
        assert!(!counts(&any, &foreign.signed("kube-apiserver", ExtendedKeyUsagePurpose::ClientAuth)));
        assert!(!counts(&any, &ours.signed("kube-apiserver", ExtendedKeyUsagePurpose::ServerAuth)));
        assert!(!counts(&any, &CertificateDer::from(vec![0; 16])));
    }

    #[tokio::test]
    async fn the_last_good_authorities_stay_until_there_are_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.crt");
        let (first, second) = (Ca::new(), Ca::new());
        std::fs::write(&file, &first.pem).unwrap();
        let verifier = verifier(&file, &[]);
        let (of_first, of_second) = (
            first.signed("a", ExtendedKeyUsagePurpose::ClientAuth),
            second.signed("a", ExtendedKeyUsagePurpose::ClientAuth),
        );
        for broken in ["", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            std::fs::write(&file, broken).unwrap();
            assert!(verifier.look(&file).await.is_err(), "{broken}");
            assert!(counts(&verifier, &of_first) && !counts(&verifier, &of_second), "{broken}");
        }
        std::fs::write(&file, &second.pem).unwrap();
        verifier.look(&file).await.unwrap();
        assert!(!counts(&verifier, &of_first) && counts(&verifier, &of_second));
    }
}
