//! The head of a review: the fields that the apiserver writes before the objects, read from the first bytes of a
//! body.
//!
//! The bytes may end anywhere. The fields before that point count.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::{API_VERSION, GroupVersionKind, KIND, Operation};

/// The fields before the objects. `None` for a field that was not read.
#[derive(Clone, Debug, Default)]
pub(in crate::webhook) struct Head {
    is_map: bool,
    api_version: Option<String>,
    kind: Option<String>,
    uid: Option<String>,
    pub(in crate::webhook) object_kind: Option<GroupVersionKind>,
    pub(in crate::webhook) namespace: Option<String>,
    pub(in crate::webhook) operation: Option<Operation>,
}

impl Head {
    /// Reads the fields that the bytes contain.
    pub(in crate::webhook) fn read(bytes: &[u8]) -> Self {
        let mut head = Self::default();
        // Parsing ends with an error at an object or at the end of the bytes.
        let _ = Envelope(&mut head).deserialize(&mut serde_json::Deserializer::from_slice(bytes));
        head
    }

    /// The head of a review that was read to its end.
    pub(super) fn of(uid: &str, kind: GroupVersionKind, namespace: &str, operation: Operation) -> Self {
        Self {
            is_map: true,
            api_version: Some(API_VERSION.to_owned()),
            kind: Some(KIND.to_owned()),
            uid: Some(uid.to_owned()),
            object_kind: Some(kind),
            namespace: Some(namespace.to_owned()),
            operation: Some(operation),
        }
    }

    /// The uid, if the body is a review and has one.
    pub(in crate::webhook) fn uid(&self) -> Option<&str> {
        let is_review =
            self.api_version.as_deref() == Some(API_VERSION) && self.kind.as_deref() == Some(KIND);
        self.uid.as_deref().filter(|uid| is_review && !uid.is_empty())
    }

    /// Whether the body is a map.
    pub(super) fn is_map(&self) -> bool {
        self.is_map
    }

    /// The `apiVersion` and `kind` of the body.
    pub(super) fn calls_itself(self) -> (String, String) {
        (self.api_version.unwrap_or_default(), self.kind.unwrap_or_default())
    }

    /// Whether it has all fields that are needed before the objects are read.
    pub(in crate::webhook) fn is_complete(&self) -> bool {
        self.uid().is_some()
            && self.object_kind.is_some()
            && self.namespace.is_some()
            && self.operation.is_some()
    }
}

/// The review around the request.
struct Envelope<'a>(&'a mut Head);

/// The request.
struct Request<'a>(&'a mut Head);

impl<'de> DeserializeSeed<'de> for Envelope<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Envelope<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a review")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        self.0.is_map = true;
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "apiVersion" => self.0.api_version = Some(fields.next_value()?),
                "kind" => self.0.kind = Some(fields.next_value()?),
                "request" => fields.next_value_seed(Request(&mut *self.0))?,
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Request<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a request")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        while let Some(field) = fields.next_key::<String>()? {
            match field.as_str() {
                "uid" => self.0.uid = Some(fields.next_value()?),
                "kind" => self.0.object_kind = Some(fields.next_value()?),
                "namespace" => self.0.namespace = Some(fields.next_value()?),
                "operation" => self.0.operation = Some(fields.next_value()?),
                // An object may be long, and no field of the head comes after it.
                "object" | "oldObject" => return Err(A::Error::custom("the head ends here")),
                _ => drop(fields.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVIEW: &str = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{"uid":"705a",
        "kind":{"group":"batch","version":"v1","kind":"Job"},"name":"a","namespace":"team","operation":"CREATE",
        "userInfo":{"username":"bob"},"object":{"kind":"Job","spec":{}},"oldObject":null}}"#;

    #[test]
    fn the_head_is_read_from_the_first_bytes() {
        let head = Head::read(REVIEW.as_bytes());
        assert!(head.is_complete());
        assert_eq!((head.uid(), head.namespace.as_deref()), (Some("705a"), Some("team")));
        for cut in 0..REVIEW.len() {
            let head = Head::read(&REVIEW.as_bytes()[..cut]);
            let has = |text: &str| cut >= REVIEW.find(text).unwrap() + text.len();
            assert_eq!(head.uid().is_some(), has("\"705a\""), "{cut} bytes");
            assert_eq!(head.is_complete(), has("\"CREATE\""), "{cut} bytes");
        }
    }

    #[test]
    fn a_body_that_is_not_a_review_has_no_uid() {
        for (from, to) in [("AdmissionReview", "Pod"), ("admission.k8s.io/v1", "v1"), ("705a", "")] {
            assert_eq!(Head::read(REVIEW.replace(from, to).as_bytes()).uid(), None, "{to}");
        }
        assert_eq!(Head::read(b"").uid(), None);
        assert_eq!(Head::read(b"[[[").uid(), None);
        assert_eq!(Head::read(b"\xff\xfe").uid(), None);
    }

    #[test]
    fn a_field_of_a_wrong_type_does_not_hide_the_uid() {
        let head = Head::read(REVIEW.replace("\"team\"", "[\"team\"]").as_bytes());
        assert_eq!((head.uid(), head.is_complete()), (Some("705a"), false));
    }
}
