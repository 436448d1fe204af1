//! A TCP connection between two programs, on which a test can cause what networks cause.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    Open,
    /// Nothing arrives, and no side learns of it: packets are dropped. They arrive when the line is open again.
    Held,
    /// Every answer comes so much later.
    Slow(Duration),
    /// Connections end, and new ones end at once.
    Cut,
}

/// A line to the first of several addresses that accepts a connection. It ends when it is dropped.
pub(super) struct Line {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Line {
    /// A line to the server of a URL.
    pub(super) async fn to(url: &str) -> Result<Self> {
        let address = url.strip_prefix("https://").context("it begins with https://")?;
        let line = Self::listen().await?;
        line.open(vec![address.parse()?])
    }

    /// An address to which nothing is connected yet.
    pub(super) async fn listen() -> Result<Closed> {
        Ok(Closed(TcpListener::bind("127.0.0.1:0").await?))
    }

    /// An address that another program may listen at.
    pub(super) async fn free_port() -> Result<SocketAddr> {
        Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?)
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn set(&self, state: State) {
        self.state.send_replace(state);
    }
}

/// A line before it is open.
pub(super) struct Closed(TcpListener);

impl Closed {
    pub(super) fn address(&self) -> Result<SocketAddr> {
        Ok(self.0.local_addr()?)
    }

    pub(super) fn open(self, servers: Vec<SocketAddr>) -> Result<Line> {
        let (state, states) = watch::channel(State::Open);
        let address = self.address()?;
        tokio::spawn(async move {
            let mut closed = states.clone();
            loop {
                tokio::select! {
                    accepted = self.0.accept() => if let Ok((client, _)) = accepted {
                        // An error ends this connection, as it would without the line.
                        tokio::spawn(connect(client, servers.clone(), states.clone()));
                    },
                    _ = closed.wait_for(|_| false) => return,
                }
            }
        });
        Ok(Line { address, state })
    }
}

async fn connect(
    client: TcpStream,
    servers: Vec<SocketAddr>,
    mut states: watch::Receiver<State>,
) -> Result<()> {
    if *states.borrow() == State::Cut {
        return Ok(());
    }
    states.wait_for(|state| *state != State::Held).await?;
    let server = first(&servers).await?;
    let ((client_reads, client_writes), (server_reads, server_writes)) =
        (client.into_split(), server.into_split());
    let mut cut = states.clone();
    tokio::select! {
        ended = carry(client_reads, server_writes, states.clone(), false) => ended,
        ended = carry(server_reads, client_writes, states, true) => ended,
        _ = cut.wait_for(|state| *state == State::Cut) => Ok(()),
    }
}

async fn first(servers: &[SocketAddr]) -> Result<TcpStream> {
    for server in servers {
        if let Ok(stream) = TcpStream::connect(server).await {
            return Ok(stream);
        }
    }
    bail!("no server accepts a connection")
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut states: watch::Receiver<State>,
    answers: bool,
) -> Result<()> {
    let mut bytes = vec![0; 64 << 10];
    loop {
        let read = from.read(&mut bytes).await?;
        if read == 0 {
            return Ok(());
        }
        let state = *states.wait_for(|state| *state != State::Held).await?;
        if let (State::Slow(by), true) = (state, answers) {
            tokio::time::sleep(by).await;
        }
        to.write_all(bytes.get(..read).unwrap_or_default()).await?;
    }
}
