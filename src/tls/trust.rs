//! Whether a client that trusts a bundle would accept a certificate, as rustls decides it for a client.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::{WebPkiServerVerifier, danger::ServerCertVerifier as _};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _};
use time::OffsetDateTime;

/// Verifies the chain of a server with this name, at this time. The leaf comes first. The error is rustls's reason.
pub(super) fn verify(
    chain: &[CertificateDer<'_>],
    bundle: &[u8],
    name: &str,
    now: OffsetDateTime,
) -> Result<(), String> {
    let (leaf, between) = chain.split_first().ok_or("there is no certificate")?;
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(bundle) {
        let root = root.map_err(|error| format!("it is not PEM: {error}"))?;
        roots.add(root).map_err(|error| error.to_string())?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| error.to_string())?;
    let name = ServerName::try_from(name).map_err(|_| format!("{name:?} is not a server name"))?;
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    verifier.verify_server_cert(leaf, between, &name, &[], now).map(drop).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_or_broken_bundle_trusts_nothing() {
        let leaf = [CertificateDer::from(vec![0; 8])];
        let now = OffsetDateTime::now_utc();
        assert!(verify(&leaf, b"", "127.0.0.1", now).unwrap_err().contains("no root trust anchors"));
        let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        assert!(verify(&leaf, broken, "127.0.0.1", now).is_err());
    }
}
