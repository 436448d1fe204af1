//! Waiting for conditions, never for time: a sleep is too long on every machine but the slowest, and too
//! short there.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// Long enough not to load the server, short enough not to be felt.
const INTERVAL: Duration = Duration::from_millis(50);

/// Asks until there is a value. An error counts as "not yet", since what is waited for often begins with
/// one; the last of them is in the message if the deadline passes.
pub async fn wait_for<T, F, Fut>(what: &str, deadline: Duration, mut ask: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<T>>>,
{
    let start = Instant::now();
    let mut last = String::from("it never came, without an error");
    loop {
        let remaining = deadline.saturating_sub(start.elapsed());
        match tokio::time::timeout(remaining, ask()).await {
            Ok(Ok(Some(value))) => return Ok(value),
            Ok(Ok(None)) => last = String::from("the condition did not hold yet"),
            Ok(Err(error)) => last = format!("{error:#}"),
            Err(_) => {}
        }
        if start.elapsed() >= deadline {
            bail!("waited {deadline:?} for {what}; at the end: {last}");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Asks until the condition holds; see [`wait_for`].
pub async fn wait_until<F, Fut>(what: &str, deadline: Duration, mut holds: F) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<bool>>,
{
    wait_for(what, deadline, || {
        let answer = holds();
        async { Ok(answer.await?.then_some(())) }
    })
    .await
}
