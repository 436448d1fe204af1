//! TLS handshakes, on a thread of their own.
//!
//! A handshake takes more time than an ordinary review. Without a thread of their own, hundreds of handshakes would
//! delay the requests on open connections.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::task::AbortOnDropHandle;

/// The thread of the handshakes.
pub(super) struct Handshakes {
    acceptor: TlsAcceptor,
    longest: Duration,
    /// Some until this is dropped.
    thread: Option<Runtime>,
}

impl Handshakes {
    pub(super) fn new(tls: Arc<ServerConfig>, longest: Duration) -> io::Result<Self> {
        let thread = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("handshakes")
            .enable_all()
            .build()?;
        Ok(Self { acceptor: TlsAcceptor::from(tls), longest, thread: Some(thread) })
    }

    /// The stream, after a handshake in time. A failed handshake is not logged: any client can cause one.
    pub(super) async fn shake(&self, stream: TcpStream) -> Option<TlsStream<TcpStream>> {
        let (acceptor, longest) = (self.acceptor.clone(), self.longest);
        let shaking = async move { timeout(longest, acceptor.accept(stream)).await };
        // Aborted when its caller has gone.
        let shaken = AbortOnDropHandle::new(self.thread.as_ref()?.spawn(shaking)).await;
        shaken.ok()?.ok()?.ok()
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        // Dropping a runtime waits for its thread, and a drop must not wait.
        if let Some(thread) = self.thread.take() {
            thread.shutdown_background();
        }
    }
}
