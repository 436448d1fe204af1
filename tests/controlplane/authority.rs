//! The certificates of one control plane: a CA of its own, the server's certificate, and one for every
//! user.
//!
//! Users are known to Kubernetes by their client certificate: the common name is the user's name, each
//! organization a group. Nothing else is needed to be anybody in a test.

use anyhow::{Result, bail};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose,
};

/// The CA that both sides of every connection are checked against.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key, both PEM.
pub(super) struct Identity {
    pub(super) certificate: String,
    pub(super) key: String,
}

impl Authority {
    pub(super) fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "weighbridge test control plane");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub(super) fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// For a server on the loopback interface.
    pub(super) fn server(&self) -> Result<Identity> {
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(String::from);
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    pub(super) fn user(&self, name: &str, groups: &[&str]) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = subject(name, groups)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Identity> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn subject(name: &str, groups: &[&str]) -> Result<DistinguishedName> {
    // rcgen keeps one value of each attribute type, but takes the organization's object identifier for
    // another type than its own name for it. That makes room for two, and no test needs a third.
    let organizations = [DnType::OrganizationName, DnType::CustomDnType(vec![2, 5, 4, 10])];
    if groups.len() > organizations.len() {
        bail!("user {name}: a certificate of this harness carries at most two groups, not {groups:?}");
    }
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    for (organization, group) in organizations.into_iter().zip(groups) {
        subject.push(organization, *group);
    }
    Ok(subject)
}

/// The key that service account tokens are signed with, and the public one that they are checked with.
pub(super) fn service_account_keys() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
