//! The certificate of a handshake: the newest. Open connections keep theirs.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Version;
use super::clients::Verifier;
use super::leaf::Leaf;

/// The served leaf.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    leaf: ArcSwapOption<Leaf>,
}

impl Resolver {
    /// Serves this leaf from now on.
    pub(super) fn serve(&self, leaf: Arc<Leaf>) {
        self.leaf.store(Some(leaf));
    }

    /// A listener's configuration, for handshakes of this version and newer ones.
    pub(super) fn configuration(
        self: Arc<Self>,
        oldest: Version,
        clients: Option<Arc<Verifier>>,
    ) -> ServerConfig {
        let config = ServerConfig::builder_with_protocol_versions(oldest.and_newer());
        let config = match clients {
            Some(clients) => config.with_client_cert_verifier(clients),
            None => config.with_no_client_auth(),
        };
        config.with_cert_resolver(self)
    }

    /// The served leaf.
    pub(super) fn leaf(&self) -> Option<Arc<Leaf>> {
        self.leaf.load_full()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.leaf.load().as_ref().map(|leaf| leaf.certified.clone())
    }
}

#[cfg(test)]
mod tests {
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
    use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject as _};
    use time::OffsetDateTime;

    use super::*;
    use crate::tls::authority::Authority;

    fn server(resolver: &Arc<Resolver>) -> ServerConnection {
        server_of(resolver, Version::default())
    }

    fn server_of(resolver: &Arc<Resolver>, oldest: Version) -> ServerConnection {
        crate::tls::install_provider();
        ServerConnection::new(Arc::new(resolver.clone().configuration(oldest, None))).unwrap()
    }

    fn client(trusted: &Authority) -> ClientConnection {
        client_of(trusted, rustls::ALL_VERSIONS)
    }

    fn client_of(
        trusted: &Authority,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> ClientConnection {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(trusted.bundle()) {
            roots.add(root.unwrap()).unwrap();
        }
        let config = ClientConfig::builder_with_protocol_versions(versions)
            .with_root_certificates(roots)
            .with_no_client_auth();
        ClientConnection::new(Arc::new(config), ServerName::try_from("127.0.0.1").unwrap()).unwrap()
    }

    /// A handshake without a network. Gives the certificate that the client got.
    fn handshake(
        client: &mut ClientConnection,
        server: &mut ServerConnection,
    ) -> Result<Vec<u8>, rustls::Error> {
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut flight).unwrap();
            }
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets()?;
            }
            let mut flight = Vec::new();
            while server.wants_write() {
                server.write_tls(&mut flight).unwrap();
            }
            let mut rest = flight.as_slice();
            while !rest.is_empty() {
                client.read_tls(&mut rest).unwrap();
                client.process_new_packets()?;
            }
        }
        Ok(client.peer_certificates().unwrap()[0].to_vec())
    }

    fn leaf(authority: &Authority) -> Arc<Leaf> {
        Arc::new(
            Leaf::sign(
                authority,
                &["127.0.0.1".to_owned()],
                time::Duration::days(7),
                OffsetDateTime::now_utc(),
            )
            .unwrap(),
        )
    }

    #[test]
    fn a_handshake_gets_the_newest_leaf() {
        let authority = Authority::for_test(OffsetDateTime::now_utc());
        let resolver = Arc::new(Resolver::default());
        for leaf in [leaf(&authority), leaf(&authority)] {
            resolver.serve(leaf.clone());
            let got = handshake(&mut client(&authority), &mut server(&resolver)).unwrap();
            assert_eq!(got, leaf.chain()[0].to_vec());
        }
    }

    #[test]
    fn tls_1_2_is_spoken_only_where_it_is_switched_on() {
        let authority = Authority::for_test(OffsetDateTime::now_utc());
        let resolver = Arc::new(Resolver::default());
        resolver.serve(leaf(&authority));
        let spoken = |oldest, version| {
            let (mut client, mut server) = (client_of(&authority, &[version]), server_of(&resolver, oldest));
            handshake(&mut client, &mut server).is_ok()
        };
        assert!(!spoken(Version::default(), &rustls::version::TLS12));
        assert!(spoken(Version::default(), &rustls::version::TLS13));
        assert!(spoken(Version::Tls12, &rustls::version::TLS12));
        assert!(spoken(Version::Tls12, &rustls::version::TLS13));
    }

    #[test]
    fn a_client_of_another_ca_refuses_the_handshake() {
        let now = OffsetDateTime::now_utc();
        let (ours, foreign) = (Authority::for_test(now), Authority::for_test(now));
        let resolver = Arc::new(Resolver::default());
        resolver.serve(leaf(&ours));
        let refused = handshake(&mut client(&foreign), &mut server(&resolver)).unwrap_err();
        assert!(matches!(refused, rustls::Error::InvalidCertificate(_)), "{refused}");
    }

    #[test]
    fn a_handshake_fails_before_there_is_a_leaf() {
        let authority = Authority::for_test(OffsetDateTime::now_utc());
        assert!(handshake(&mut client(&authority), &mut server(&Arc::default())).is_err());
    }
}
