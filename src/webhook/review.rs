//! `admission.k8s.io/v1` on the wire.
//!
//! A review is read in three steps. Each step reads no more than it needs:
//!
//! 1. the [head](Head): the fields before the objects, from the first bytes of the body. It contains the uid. Once
//!    the uid is known, every later error is answered under it;
//!
//! 2. the [envelope](Review): the body is parsed once, and the objects stay text;
//!
//! 3. the objects: the reader keeps only what is judged ([`object::read`]).
//!
//! Only a body without a uid is answered with an HTTP error.

mod bounded;
mod head;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::admission::message::one_line;
use crate::kinds::object::{self, NotRead};

pub(super) use head::Head;

/// The only supported version.
pub(super) const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why a body cannot be answered as a review. The caller gets the text.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum Unanswerable {
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the body is not an AdmissionReview: {0}")]
    NotJson(String),
    #[error("the body must be an {API_VERSION} {KIND}, but it is {0:?}")]
    OtherKind(String),
    #[error("the AdmissionReview has no request.uid")]
    NoUid,
    #[error("the request.uid could not be read")]
    Unread,
}

/// A review before its request is checked.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(default, deserialize_with = "bounded::text")]
    api_version: String,
    #[serde(default, deserialize_with = "bounded::text")]
    kind: String,
    #[serde(borrow)]
    request: Option<Review<'a>>,
}

/// A request, with its objects as text.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Review<'a> {
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) uid: String,
    pub(super) kind: GroupVersionKind,
    #[serde(default)]
    resource: GroupVersionResource,
    #[serde(default, deserialize_with = "bounded::text")]
    sub_resource: String,
    #[serde(default, deserialize_with = "bounded::text")]
    name: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) namespace: String,
    pub(super) operation: Operation,
    #[serde(default)]
    user_info: UserInfo,
    #[serde(borrow, default)]
    pub(super) object: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub(super) old_object: Option<&'a RawValue>,
}

impl<'a> Review<'a> {
    /// Parses a body, but not its objects.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, Unanswerable> {
        let text = std::str::from_utf8(body).map_err(|_| Unanswerable::NotUtf8)?;
        let envelope: Envelope<'a> = match serde_json::from_str(text) {
            Ok(envelope) => envelope,
            Err(error) if error.is_data() && Head::read(body).is_map() => {
                // A wrong apiVersion or kind explains more than the field that could not be read.
                let (api_version, kind) = Head::read(body).calls_itself();
                return Err(check_kind(&api_version, &kind).unwrap_or(Unanswerable::NoUid));
            }
            Err(error) => return Err(parse_error(&error)),
        };
        if let Some(other) = check_kind(&envelope.api_version, &envelope.kind) {
            return Err(other);
        }
        envelope.request.filter(|request| !request.uid.is_empty()).ok_or(Unanswerable::NoUid)
    }

    /// The head of a review that was read to its end.
    pub(super) fn head(&self) -> Head {
        Head::of(&self.uid, self.kind.clone(), &self.namespace, self.operation)
    }

    /// Parses the objects. An old object that is too large becomes null.
    pub(super) fn request(self) -> Result<Request, Box<Unread>> {
        let read = |object: Option<&RawValue>| {
            object.map_or(Ok(Value::Null), |object| object::read(object.get().as_bytes()))
        };
        match (read(self.object), read(self.old_object)) {
            (Ok(object), Ok(old_object)) => Ok(Request { object, old_object, ..self.without_objects() }),
            // An old object that is too large was not judged either.
            (Ok(object), Err(NotRead::TooLarge)) => Ok(Request { object, ..self.without_objects() }),
            (Err(why), Ok(old_object)) => {
                let request = Request { old_object, ..self.without_objects() };
                Err(Box::new(Unread { request, why, old_is_read: true }))
            }
            (Err(why), Err(_)) | (Ok(_), Err(why)) => {
                Err(Box::new(Unread { request: self.without_objects(), why, old_is_read: false }))
            }
        }
    }

    /// The request with null for both objects.
    pub(super) fn without_objects(self) -> Request {
        let Self { uid, kind, resource, sub_resource, name, namespace, operation, user_info, .. } = self;
        let (object, old_object) = (Value::Null, Value::Null);
        Request {
            uid,
            kind,
            resource,
            sub_resource,
            name,
            namespace,
            operation,
            user_info,
            object,
            old_object,
        }
    }
}

/// A request with an object that cannot be parsed.
#[derive(Debug)]
pub(super) struct Unread {
    /// The request without that object.
    pub(super) request: Request,
    pub(super) why: NotRead,
    /// Whether the old object was read.
    pub(super) old_is_read: bool,
}

fn check_kind(api_version: &str, kind: &str) -> Option<Unanswerable> {
    let is_review = (api_version, kind) == (API_VERSION, KIND);
    (!is_review).then(|| Unanswerable::OtherKind(one_line(&format!("{api_version} {kind}"), 64)))
}

/// Why a body is not a review. The text quotes nothing of the body.
fn parse_error(error: &serde_json::Error) -> Unanswerable {
    let cause = if error.is_data() { "a field is missing or of another type" } else { "it is not JSON" };
    Unanswerable::NotJson(format!("{cause}, at line {}, column {}", error.line(), error.column()))
}

/// A request to create or update an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Request {
    /// The uid of the review. It connects the apiserver's log with ours.
    #[serde(default)]
    pub(super) uid: String,
    /// The kind of the object in the review. `matchPolicy: Equivalent` may have converted the object to it.
    pub(super) kind: GroupVersionKind,
    /// The resource of the request. `sub_resource` is a part of it.
    #[serde(default)]
    pub(super) resource: GroupVersionResource,
    /// `status`, `scale`, …, or empty for the object itself.
    #[serde(default)]
    pub(super) sub_resource: String,
    /// Empty if the apiserver will make a name from `generateName`.
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

/// A kind.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GroupVersionKind {
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) group: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) version: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) kind: String,
}

impl GroupVersionKind {
    pub(super) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }
}

/// A resource.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct GroupVersionResource {
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) group: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) version: String,
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) resource: String,
}

/// The operation of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Operation {
    Create,
    Update,
    /// An operation that the configuration does not send us.
    #[serde(other)]
    Other,
}

impl Operation {
    /// The word for labels of metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Other => "other",
        }
    }
}

/// The user of a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct UserInfo {
    #[serde(default, deserialize_with = "bounded::text")]
    pub(super) username: String,
    #[serde(default, deserialize_with = "bounded::texts")]
    pub(super) groups: Vec<String>,
}

/// The answer to a review.
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

/// The reason of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Status {
    #[serde(rename = "status")]
    pub(super) outcome: &'static str,
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
    pub(super) details: Details,
}

/// The object, which kubectl names first, and each cause of the refusal.
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

/// One cause, complete in itself.
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
    /// The answer on the wire.
    pub(super) fn to_json(&self) -> Value {
        let answer = Answer { api_version: API_VERSION, kind: KIND, response: self };
        // It holds only strings, numbers and lists of them, so this cannot fail.
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
    fn a_review_without_a_uid_is_an_error() {
        assert_eq!(Review::read(b"\xff\xfe").err(), Some(Unanswerable::NotUtf8));
        assert!(matches!(read("no json"), Err(Unanswerable::NotJson(_))));
        assert!(matches!(read("[]"), Err(Unanswerable::NotJson(_))));
        assert!(matches!(read("{}"), Err(Unanswerable::OtherKind(_))));
        let v1beta1 =
            r#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview", "request": {}}"#;
        assert!(matches!(read(v1beta1), Err(Unanswerable::OtherKind(_))));
        let review = |request: &str| {
            read(&format!(r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {request}}}"#))
        };
        for request in ["null", "{}", r#"{"uid": ""}"#, r#"{"uid": 7}"#, "[]", "17"] {
            assert_eq!(review(request), Err(Unanswerable::NoUid), "{request}");
        }
    }

    #[test]
    fn the_error_of_a_broken_body_quotes_nothing_of_it() {
        for body in [r#"{"password": hunter2}"#, r#"{"kind": ["hunter2"]}"#, "hunter2"] {
            let text = read(body).unwrap_err().to_string();
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn an_object_of_any_depth_is_read_up_to_the_judged_depth() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let body = format!(
            r#"{{"apiVersion": "{API_VERSION}", "kind": "{KIND}", "request": {{"uid": "a", "operation": "CREATE",
                "kind": {{"group": "batch", "version": "v1", "kind": "Job"}},
                "object": {{"metadata": {{"managedFields": {deep}}}, "spec": {deep}}}}}}}"#
        );
        let review = Review::read(body.as_bytes()).unwrap();
        assert_eq!(review.uid, "a");
        let request = review.request().unwrap();
        assert_eq!(request.object["metadata"], json!({}));
    }

    #[test]
    fn an_answer_leaves_out_empty_fields() {
        let response = Response { uid: "a".into(), allowed: true, ..Response::default() };
        assert_eq!(
            response.to_json(),
            json!({"apiVersion": API_VERSION, "kind": KIND, "response": {"uid": "a", "allowed": true}})
        );
    }
}
