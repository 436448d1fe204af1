//! Who asks: a bearer token that the apiserver vouches for, by a `TokenReview`.
//!
//! An answer is kept for a minute, by the token's hash, so that an engine that asks about every request costs the
//! apiserver little. A token that is revoked is good for a minute more; it opens nothing but arithmetic.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

const KEPT: Duration = Duration::from_mins(1);
/// Answers that are kept; more are asked for again.
const MOST: usize = 256;
/// No token of a cluster is longer.
const LONGEST_TOKEN: usize = 16 << 10;

/// Why nobody is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unauthenticated {
    #[error("show a token of this cluster: Authorization: Bearer …")]
    NoToken,
    #[error("the cluster does not know this token")]
    Unknown,
    #[error("the token could not be reviewed; ask again")]
    Unreachable,
}

type Hash = [u8; 32];

/// What asks the apiserver.
pub(super) struct Authentication {
    client: Client,
    known: Mutex<BTreeMap<Hash, (Instant, String)>>,
}

impl Authentication {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The user's name.
    pub(super) async fn user(&self, headers: &HeaderMap) -> Result<String, Unauthenticated> {
        let token = bearer(headers).ok_or(Unauthenticated::NoToken)?;
        let hash: Hash = Sha256::digest(token).into();
        if let Some(user) = self.known(&hash) {
            return Ok(user);
        }
        let spec = TokenReviewSpec { token: token.to_owned(), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await.map_err(|error| {
            tracing::warn!(%error, "a token could not be reviewed");
            Unauthenticated::Unreachable
        })?;
        let status = reviewed.status.unwrap_or_default();
        let user = status.user.and_then(|user| user.username).filter(|_| status.authenticated == Some(true));
        let user = user.ok_or(Unauthenticated::Unknown)?;
        self.keep(hash, &user);
        Ok(user)
    }

    fn known(&self, hash: &Hash) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(since, _)| since.elapsed() < KEPT).map(|(_, user)| user.clone())
    }

    fn keep(&self, hash: Hash, user: &str) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (since, _)| since.elapsed() < KEPT);
        if known.len() < MOST {
            known.insert(hash, (Instant::now(), user.to_owned()));
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && token.len() <= LONGEST_TOKEN)
        .then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_counts() {
        for (value, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer  abc ", Some("abc")),
            ("Basic abc", None),
            ("Bearer ", None),
            ("abc", None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers), token, "{value}");
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
