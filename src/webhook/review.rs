//! `admission.k8s.io/v1` on the wire.
//!
//! A review is read from the outside in, and the objects in it last: once the uid is known, whatever else is wrong is
//! answered under it. Without a uid there is nobody to answer, and only then is the answer an HTTP error.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::message::one_line;

/// The one version that is spoken.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why nobody can be answered; each is said to whoever sent it.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unanswerable {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not an AdmissionReview: {0}")]
    NotJson(String),
    #[error("the body must be an {API_VERSION} {KIND}, and calls itself {0:?}")]
    OtherKind(String),
    #[error("the AdmissionReview has no request.uid")]
    NoUid,
}

/// A review whose uid is known.
#[derive(Debug)]
pub(super) struct Review<'a> {
    pub(super) uid: String,
    request: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(borrow)]
    request: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Uid {
    #[serde(default)]
    uid: String,
}

impl<'a> Review<'a> {
    /// Reads as much as it takes to answer.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Unanswerable> {
        let text = std::str::from_utf8(body).map_err(|_| Unanswerable::NotUtf8)?;
        let not_json = |error: serde_json::Error| Unanswerable::NotJson(error.to_string());
        let envelope: Envelope<'a> = serde_json::from_str(text).map_err(not_json)?;
        if (envelope.api_version.as_str(), envelope.kind.as_str()) != (API_VERSION, KIND) {
            let named = format!("{} {}", envelope.api_version, envelope.kind);
            return Err(Unanswerable::OtherKind(one_line(&named, 64)));
        }
        let request = envelope.request.ok_or(Unanswerable::NoUid)?;
        let Uid { uid } = serde_json::from_str(request.get()).map_err(|_| Unanswerable::NoUid)?;
        if uid.is_empty() { Err(Unanswerable::NoUid) } else { Ok(Self { uid, request }) }
    }

    /// The rest of it.
    pub(super) fn request(&self) -> Result<Request, serde_json::Error> {
        serde_json::from_str(self.request.get())
    }
}

/// What is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// The review's uid, by which the apiserver's own log and ours are told together.
    #[serde(default)]
    pub(super) uid: String,
    /// The kind of the object as it was sent to us, which `matchPolicy: Equivalent` may have converted.
    pub(super) kind: GroupVersionKind,
    /// The resource that is asked for, whose part `sub_resource` is.
    #[serde(default)]
    pub(super) resource: GroupVersionResource,
    /// `status`, `scale`, …; empty for the object itself.
    #[serde(default)]
    pub(super) sub_resource: String,
    /// Empty where the apiserver is to make one of `generateName`.
    #[serde(default)]
    pub(super) name: String,
    #[serde(default)]
    pub(super) namespace: String,
    pub(super) operation: Operation,
    #[serde(default)]
    pub(super) user_info: UserInfo,
    #[serde(default)]
    pub(super) object: Value,
    #[serde(default)]
    pub(super) old_object: Value,
}

/// Names a kind.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GroupVersionKind {
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) kind: String,
}

impl GroupVersionKind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// Names a resource.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GroupVersionResource {
    #[serde(default)]
    pub(super) group: String,
    #[serde(default)]
    pub(super) version: String,
    #[serde(default)]
    pub(super) resource: String,
}

/// What is to be done to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    /// Nothing that we ask to be told of.
    #[serde(other)]
    Other,
}

impl Operation {
    /// For labels of metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Other => "other",
        }
    }
}

/// Who asks for it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct UserInfo {
    #[serde(default)]
    pub(super) username: String,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// What is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Response {
    pub(super) uid: String,
    pub(super) allowed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<Status>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) warnings: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) audit_annotations: BTreeMap<&'static str, String>,
}

/// Why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    #[serde(rename = "status")]
    pub(super) outcome: &'static str,
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Details,
}

/// What kubectl names in its first words, and each cause by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) group: String,
    pub(super) kind: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) causes: Vec<Cause>,
}

/// One thing that is wrong, complete in itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Cause {
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) field: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    api_version: &'static str,
    kind: &'static str,
    response: &'a Response,
}

impl Response {
    /// As it is sent.
    pub(super) fn to_json(&self) -> Value {
        let answer = Answer { api_version: API_VERSION, kind: KIND, response: self };
        // Strings, numbers and lists of them: there is nothing in it that JSON can't hold.
        serde_json::to_value(answer).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: &str) -> Result<String, Unanswerable> {
        Review::read(body.as_bytes()).map(|review| review.uid)
    }

    #[test]
    fn without_a_uid_there_is_nobody_to_answer() {
        assert_eq!(Review::read(b"\xff\xfe").err(), Some(Unanswerable::NotUtf8));
        assert!(matches!(read("no json"), Err(Unanswerable::NotJson(_))));
        assert!(matches!(read("[]"), Err(Unanswerable::NotJson(_))));
        assert!(matches!(read("{}"), Err(Unanswerable::OtherKind(_))));
        let v1beta1 = r#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#;
        assert!(matches!(read(v1beta1), Err(Unanswerable::OtherKind(_))));
        let review = |request: &str| {
            read(&format!(r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {request}}}"#))
        };
        for request in ["null", "{}", r#"{"uid": ""}"#, r#"{"uid": 7}"#, "[]", "17"] {
            assert_eq!(review(request), Err(Unanswerable::NoUid), "{request}");
        }
        assert_eq!(review(r#"{"uid": "a", "operation": 3}"#).as_deref(), Ok("a"));
    }

    #[test]
    fn an_object_of_any_depth_costs_its_review_no_uid() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(
            r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {{"uid": "a", "operation": "CREATE",
                "kind": {{"group": "batch", "version": "v1", "kind": "Job"}}, "object": {deep}}}}}"#
        );
        let review = Review::read(body.as_bytes()).unwrap();
        assert_eq!(review.uid, "a");
        assert!(review.request().is_err());
    }

    #[test]
    fn an_answer_leaves_out_what_it_does_not_say() {
        let response = Response { uid: "a".into(), allowed: true, ..Response::default() };
        assert_eq!(
            response.to_json(),
            json!({"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": "a", "allowed": true}})
        );
    }
}
