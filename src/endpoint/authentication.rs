//! Authentication by a bearer token, which the apiserver checks in a `TokenReview`.
//!
//! An answer is cached for a minute by the token's hash, so that an engine that sends many requests costs the
//! apiserver little. So a revoked token works for one more minute. It gives access to nothing but arithmetic.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, header};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use kube::api::PostParams;
use kube::{Api, Client};
use sha2::{Digest as _, Sha256};

const LIFETIME: Duration = Duration::from_mins(1);
/// The most answers that are cached. Other tokens are reviewed each time.
const MOST: usize = 256;
/// The longest token. Tokens of a cluster are shorter.
const LONGEST_TOKEN: usize = 16 << 10;

/// Why the user is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unauthenticated {
    #[error("a token of this cluster is needed: Authorization: Bearer …")]
    NoToken,
    #[error("the cluster does not know this token")]
    Unknown,
    #[error("the token could not be reviewed; try again")]
    Unreachable,
}

type Hash = [u8; 32];

/// Asks the apiserver for the users of tokens.
pub(super) struct Authentication {
    client: Client,
    /// Audiences whose tokens count too, besides the apiserver's own.
    audiences: Vec<String>,
    cached: Mutex<BTreeMap<Hash, (Instant, String)>>,
}

impl Authentication {
    pub(super) fn new(client: Client, audiences: Vec<String>) -> Self {
        Self { client, audiences, cached: Mutex::default() }
    }

    /// The name of the user.
    pub(super) async fn user(&self, headers: &HeaderMap) -> Result<String, Unauthenticated> {
        let token = bearer(headers).ok_or(Unauthenticated::NoToken)?;
        let hash: Hash = Sha256::digest(token).into();
        if let Some(user) = self.cached(&hash) {
            return Ok(user);
        }
        // A token of the apiserver's own audience needs no list, and with a list it would have to be in it.
        let mut user = self.review(token, None).await?;
        if user.is_none() && !self.audiences.is_empty() {
            user = self.review(token, Some(&self.audiences)).await?;
        }
        let user = user.ok_or(Unauthenticated::Unknown)?;
        self.cache(hash, &user);
        Ok(user)
    }

    /// The user of a token for one of these audiences, or for the apiserver.
    async fn review(
        &self,
        token: &str,
        audiences: Option<&[String]>,
    ) -> Result<Option<String>, Unauthenticated> {
        let spec = TokenReviewSpec { token: token.to_owned(), audiences: audiences.map(<[_]>::to_vec) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await.map_err(|error| {
            tracing::warn!(%error, "a token could not be reviewed");
            Unauthenticated::Unreachable
        })?;
        let status = reviewed.status.unwrap_or_default();
        // An authenticator that knows no audiences names none. Its token may be for anybody.
        let is_ours =
            |named: &Vec<String>| named.iter().any(|name| audiences.is_some_and(|it| it.contains(name)));
        let counts = audiences.is_none() || status.audiences.as_ref().is_some_and(is_ours);
        let user = status.user.and_then(|user| user.username);
        Ok(user.filter(|_| counts && status.authenticated == Some(true)))
    }

    fn cached(&self, hash: &Hash) -> Option<String> {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.get(hash).filter(|(since, _)| since.elapsed() < LIFETIME).map(|(_, user)| user.clone())
    }

    fn cache(&self, hash: Hash, user: &str) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|_, (since, _)| since.elapsed() < LIFETIME);
        if cached.len() < MOST {
            cached.insert(hash, (Instant::now(), user.to_owned()));
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
