//! Requests the objects of one resource, and reads the answers piece by piece.
//!
//! Only one object of an answer is in memory at a time. An object larger than [`LARGE`] holds one of a few permits of
//! the process, from its first bytes until it has been judged. So a hundred large objects take no more memory than
//! two.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use kube::api::{
    ApiResource, DynamicObject, GetParams, ListParams, Patch, PatchParams, PostParams, WatchParams,
};
use kube::core::{Request, Status};
use kube::{Client, Resource as _};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::items::{Item, Items, LONGEST};
use super::object::{Json, Object, Unread};
use crate::kinds::names;

/// An object with a longer JSON needs a permit.
const LARGE: usize = 128 << 10;
/// How many large objects are in memory at a time. With two, one goes on while the network delays the other.
const LARGE_AT_ONCE: usize = 2;
/// How long the apiserver keeps a watch open, in seconds.
const WATCH_SECONDS: u32 = 290;
/// An answer that is silent for this long is given up.
const SILENCE: Duration = Duration::from_mins(1);

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The apiserver refused, or could not be reached.
    #[error(transparent)]
    Kube(#[from] kube::Error),
    /// The connection broke.
    #[error("the answer broke off: {0}")]
    Broken(#[from] std::io::Error),
    /// The connection is silent.
    #[error("the answer did not go on within {} seconds", SILENCE.as_secs())]
    Silent,
    /// A list that is incomplete or has no version.
    #[error("the answer is not a complete list")]
    NoList,
    /// The apiserver ended the watch, for this reason.
    #[error("the apiserver ended the watch: {0}")]
    Watch(&'static str),
    /// An object that could not be read.
    #[error("the object cannot be read: {0}")]
    Unread(String),
    /// An object that is too large to be read. Only its identity is known.
    #[error("the object is too large to be read")]
    TooLarge(Box<Object>),
}

impl Error {
    /// The usual reasons.
    pub(super) const REASONS: [&'static str; 7] =
        ["Forbidden", "NotFound", "Expired", "TooManyRequests", "Refused", "Unreachable", "Unreadable"];

    /// The error's kind, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kube(kube::Error::Api(status)) => reason(status),
            Self::Watch(reason) => reason,
            Self::Kube(_) | Self::Broken(_) | Self::Silent => "Unreachable",
            Self::NoList | Self::Unread(_) | Self::TooLarge(_) => "Unreadable",
        }
    }
}

/// The reason of a refusal, for metrics and logs.
fn reason(status: &Status) -> &'static str {
    match status.code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "Refused",
    }
}

/// The permits for large objects. Clones share them.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(LARGE_AT_ONCE)))
    }
}

impl Room {
    /// Takes a permit once more than [`LARGE`] bytes are held.
    async fn take(&self, held: usize, permit: &mut Option<OwnedSemaphorePermit>) {
        if held > LARGE && permit.is_none() {
            // The semaphore is never closed.
            *permit = self.0.clone().acquire_owned().await.ok();
        }
    }
}

/// The objects of one resource, in one namespace or in all.
#[derive(Clone)]
pub struct Source {
    client: Client,
    resource: ApiResource,
    namespace: Option<String>,
    metadata_only: bool,
    room: Room,
}

impl Source {
    /// The objects in one namespace, or in all.
    pub fn new(client: Client, resource: ApiResource, namespace: Option<String>, room: Room) -> Self {
        Self { client, resource, namespace, metadata_only: false, room }
    }

    /// The same source, but only with the metadata of each object.
    #[must_use]
    pub fn metadata_only(self) -> Self {
        Self { metadata_only: true, ..self }
    }

    fn request(&self, namespace: Option<&str>) -> Request {
        Request::new(DynamicObject::url_path(&self.resource, namespace))
    }

    /// A page of the list.
    pub(super) async fn list(&self, limit: u32, token: Option<String>) -> Result<Page, Error> {
        let parameters = ListParams { limit: Some(limit), continue_token: token, ..ListParams::default() };
        let request = self.request(self.namespace.as_deref());
        let request =
            if self.metadata_only { request.list_metadata(&parameters) } else { request.list(&parameters) };
        let body = self.send(request.map_err(kube::Error::BuildRequest)?).await?;
        Ok(Page { body, items: Items::default(), room: self.room.clone(), permit: None })
    }

    /// The changes after a version.
    pub(super) async fn watch(&self, version: &str) -> Result<Changes, Error> {
        let parameters = WatchParams::default().timeout(WATCH_SECONDS);
        let request = self.request(self.namespace.as_deref());
        let request = if self.metadata_only {
            request.watch_metadata(&parameters, version)
        } else {
            request.watch(&parameters, version)
        };
        let body = self.send(request.map_err(kube::Error::BuildRequest)?).await?;
        Ok(Changes { body, line: Vec::new(), too_long: false, room: self.room.clone(), permit: None })
    }

    /// An object's JSON, if the object exists.
    pub(super) async fn json(&self, namespace: &str, name: &str) -> Result<Option<Json>, Error> {
        if !names::is_path_segment(name) || !(namespace.is_empty() || names::is_label(namespace)) {
            return Ok(None);
        }
        let request = self.request(Some(namespace).filter(|namespace| !namespace.is_empty()));
        let request = if self.metadata_only {
            request.get_metadata(name, &GetParams::default())
        } else {
            request.get(name, &GetParams::default())
        };
        let mut body = match self.send(request.map_err(kube::Error::BuildRequest)?).await {
            Err(Error::Kube(kube::Error::Api(status))) if status.code == 404 => return Ok(None),
            other => other?,
        };
        let (mut json, mut permit) = (Vec::new(), None);
        loop {
            // Metadata needs no permit: its reader may already hold one.
            if !self.metadata_only {
                self.room.take(json.len(), &mut permit).await;
            }
            let piece = next_piece(&mut body).await?;
            if piece.is_empty() {
                return Ok(Some(Json::new(json, permit)));
            }
            if json.len() + piece.len() > LONGEST {
                return Err(Error::Unread(format!("it is longer than {} MiB", LONGEST >> 20)));
            }
            json.extend_from_slice(piece);
            let read = piece.len();
            body.as_mut().consume(read);
        }
    }

    /// An object of the source's namespace, if it exists.
    pub async fn get(&self, name: &str) -> Result<Option<Object>, Error> {
        let namespace = self.namespace.as_deref().unwrap_or_default();
        let Some(json) = self.json(namespace, name).await? else { return Ok(None) };
        match json.into_object() {
            Ok(object) => Ok(Some(object)),
            Err(Unread { too_large: true, identity, .. }) => {
                Err(Error::TooLarge(Box::new((*identity).into())))
            }
            Err(unread) => Err(Error::Unread(unread.cause)),
        }
    }

    /// Creates an object.
    pub async fn create(&self, parameters: &PostParams, object: &Value) -> Result<(), Error> {
        let request = self.request(self.namespace.as_deref());
        let request = request.create(parameters, object.to_string().into_bytes());
        self.done(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Changes an object's status.
    pub async fn patch_status(
        &self,
        name: &str,
        parameters: &PatchParams,
        patch: &Patch<Value>,
    ) -> Result<(), Error> {
        let request = self.request(self.namespace.as_deref());
        let request = request.patch_subresource("status", name, parameters, patch);
        self.done(request.map_err(kube::Error::BuildRequest)?).await
    }

    /// Sends a request whose answer is not needed.
    async fn done(&self, request: axum::http::Request<Vec<u8>>) -> Result<(), Error> {
        let mut body = self.send(request).await?;
        // Reads to the end, so that the connection can be used again.
        loop {
            let read = next_piece(&mut body).await?.len();
            if read == 0 {
                return Ok(());
            }
            body.as_mut().consume(read);
        }
    }

    async fn send(&self, request: axum::http::Request<Vec<u8>>) -> Result<Body, Error> {
        Ok(Box::pin(self.client.request_stream(request).await?))
    }
}

type Body = Pin<Box<dyn AsyncBufRead + Send>>;

/// The next piece of an answer, empty at its end. No data is lost if this future is dropped.
async fn next_piece(body: &mut Body) -> Result<&[u8], Error> {
    match tokio::time::timeout(SILENCE, body.fill_buf()).await {
        Ok(piece) => Ok(piece?),
        Err(_elapsed) => Err(Error::Silent),
    }
}

/// A page of a list that is being read.
pub(super) struct Page {
    body: Body,
    items: Items,
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
}

/// An object in a list or a change.
pub(super) enum Found {
    Json(Json),
    /// It is longer than [`LONGEST`].
    TooLong,
}

/// A page without its objects.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Frame {
    /// The version from which changes can be watched.
    pub(super) resource_version: String,
    /// The token for the next page; empty on the last one.
    pub(super) r#continue: String,
}

impl Page {
    /// The next object. `None` at the end of the page.
    pub(super) async fn next(&mut self) -> Result<Option<Found>, Error> {
        loop {
            self.room.take(self.items.held(), &mut self.permit).await;
            let piece = next_piece(&mut self.body).await?;
            if piece.is_empty() {
                return Ok(None);
            }
            let (read, item) = self.items.read(piece);
            self.body.as_mut().consume(read);
            match item {
                Some(Item::Whole(json)) => return Ok(Some(Found::Json(Json::new(json, self.permit.take())))),
                Some(Item::TooLong) => {
                    self.permit = None;
                    return Ok(Some(Found::TooLong));
                }
                None => {}
            }
        }
    }

    /// The page without its objects, once all of them are read.
    pub(super) fn frame(&self) -> Result<Frame, Error> {
        #[derive(Deserialize)]
        struct List {
            metadata: Frame,
        }
        let frame = self.items.frame().and_then(|frame| serde_json::from_slice(frame).ok());
        frame.map(|list: List| list.metadata).ok_or(Error::NoList)
    }
}

/// The changes of a watch.
pub(super) struct Changes {
    body: Body,
    line: Vec<u8>,
    too_long: bool,
    room: Room,
    permit: Option<OwnedSemaphorePermit>,
}

/// A change that a watch reports.
pub(super) enum Change {
    Applied(Found),
    Deleted(Json),
    /// Nothing has changed up to this version.
    Bookmark(Json),
    /// The watch cannot go on.
    Failed(&'static str),
    /// A line that is not a change.
    Unknown,
}

impl Changes {
    /// The next change. `None` at the end of the watch. No data is lost if this future is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, Error> {
        loop {
            self.room.take(self.line.len(), &mut self.permit).await;
            // A watch may be silent until the apiserver ends it.
            let patience = Duration::from_secs(u64::from(WATCH_SECONDS)) + SILENCE;
            let piece = match tokio::time::timeout(patience, self.body.fill_buf()).await {
                Ok(piece) => piece?,
                Err(_elapsed) => return Err(Error::Silent),
            };
            if piece.is_empty() {
                return Ok(None);
            }
            let end = piece.iter().position(|byte| *byte == b'\n');
            let part = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
            if self.line.len() + part.len() > LONGEST {
                self.too_long = true;
                self.line = Vec::new();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let read = part.len() + usize::from(end.is_some());
            self.body.as_mut().consume(read);
            if end.is_some() {
                let (line, permit) = (std::mem::take(&mut self.line), self.permit.take());
                if std::mem::take(&mut self.too_long) {
                    return Ok(Some(Change::Applied(Found::TooLong)));
                }
                return Ok(Some(change(line, permit)));
            }
        }
    }
}

fn change(mut line: Vec<u8>, permit: Option<OwnedSemaphorePermit>) -> Change {
    #[derive(Deserialize)]
    struct Event<'a> {
        r#type: &'a str,
        #[serde(borrow)]
        object: &'a RawValue,
    }
    let Ok(Event { r#type, object }) = serde_json::from_slice(&line) else { return Change::Unknown };
    let is = |name| r#type == name;
    let (applied, deleted, bookmark) = (is("ADDED") || is("MODIFIED"), is("DELETED"), is("BOOKMARK"));
    if !(applied || deleted || bookmark) {
        let status: Status = serde_json::from_str(object.get()).unwrap_or_default();
        return Change::Failed(reason(&status));
    }
    // Cuts the object out of the line in place: a copy would need the memory twice.
    let start = object.get().as_ptr().addr().saturating_sub(line.as_ptr().addr());
    let end = start + object.get().len();
    line.truncate(end);
    line.drain(..start);
    let json = Json::new(line, permit);
    match () {
        () if applied => Change::Applied(Found::Json(json)),
        () if deleted => Change::Deleted(json),
        () => Change::Bookmark(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(line: &str) -> String {
        let json = |json: Json| String::from_utf8(json.bytes().to_vec()).unwrap();
        match change(line.as_bytes().to_vec(), None) {
            Change::Applied(Found::Json(object)) => format!("applied {}", json(object)),
            Change::Applied(Found::TooLong) => "too long".into(),
            Change::Deleted(object) => format!("deleted {}", json(object)),
            Change::Bookmark(object) => format!("bookmark {}", json(object)),
            Change::Failed(reason) => format!("failed {reason}"),
            Change::Unknown => "unknown".into(),
        }
    }

    #[test]
    fn a_line_of_a_watch_is_one_change_with_an_object_of_any_depth() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(describe(&format!(r#"{{"type":"ADDED","object":{deep}}}"#)), format!("applied {deep}"));
        assert_eq!(describe(r#"{"object": {"a": 1}, "type": "MODIFIED"}"#), r#"applied {"a": 1}"#);
        assert_eq!(describe(r#"{"type":"DELETED","object":{}}"#), "deleted {}");
        assert_eq!(describe(r#"{"type":"BOOKMARK","object":{}}"#), "bookmark {}");
        assert_eq!(describe(r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#), "failed Expired");
        assert_eq!(describe(r#"{"type":"ADDED","#), "unknown");
    }
}
