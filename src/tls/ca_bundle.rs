//! The caBundle of every entry of the `ValidatingWebhookConfiguration`.
//!
//! The chart owns the configuration. The binary writes only the caBundle of its entries, by a JSON patch that tests
//! each entry's name first. So an entry that has moved in the meantime never gets another entry's bundle.
//! `serve --webhook-url` has a configuration of its own, which it creates and removes.

use json_patch::{AddOperation, Patch as JsonPatch, PatchOperation, TestOperation, jsonptr::PointerBuf};
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{ValidatingWebhook, ValidatingWebhookConfiguration};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use super::Error;

/// An entry, as it was read.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) ca_bundle: Vec<u8>,
}

/// Which entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Every entry with another bundle.
    Others,
    /// Every entry without a bundle. An entry with another bundle may have a newer one than ours.
    Empty,
}

/// The entries' bundles, as they were read last, and why they are not repaired, if they are not.
pub(super) struct Repaired {
    pub(super) entries: Vec<Entry>,
    pub(super) error: Option<Error>,
}

/// Writes this bundle into the entries. Gives the entries after that.
///
/// # Errors
/// The entries could not be read.
pub(super) async fn repair(
    client: &Client,
    name: &str,
    bundle: &[u8],
    repair: Repair,
) -> Result<Repaired, Error> {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let found = configurations.get(name).await.map_err(|source| failed("reading", name, source))?;
    let patch = patch(found.webhooks.as_deref().unwrap_or_default(), bundle, repair);
    let entries = entries(found, name)?;
    if patch.is_empty() {
        return Ok(Repaired { entries, error: None });
    }
    let patch = Patch::Json::<()>(JsonPatch(patch));
    if let Err(source) = configurations.patch(name, &PatchParams::default(), &patch).await {
        return Ok(Repaired { entries, error: Some(failed("writing the caBundle of", name, source)) });
    }
    tracing::info!(configuration = name, "caBundle repaired");
    Ok(Repaired { entries: read(client, name).await?, error: None })
}

/// The entries' bundles.
pub(super) async fn read(client: &Client, name: &str) -> Result<Vec<Entry>, Error> {
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let found = configurations.get(name).await.map_err(|source| failed("reading", name, source))?;
    entries(found, name)
}

fn entries(found: ValidatingWebhookConfiguration, name: &str) -> Result<Vec<Entry>, Error> {
    let entries: Vec<Entry> = found.webhooks.unwrap_or_default().into_iter().map(entry).collect();
    if entries.is_empty() { Err(Error::NoEntries(name.to_owned())) } else { Ok(entries) }
}

/// Creates the process's own configuration if it is absent, with its caBundle from the start.
pub(super) async fn ensure(
    client: &Client,
    wanted: &ValidatingWebhookConfiguration,
    bundle: &[u8],
) -> Result<(), Error> {
    let name = wanted.metadata.name.as_deref().unwrap_or_default();
    let configurations: Api<ValidatingWebhookConfiguration> = Api::all(client.clone());
    let found = configurations.get_opt(name).await.map_err(|source| failed("reading", name, source))?;
    let mut wanted = wanted.clone();
    for webhook in wanted.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(ByteString(bundle.to_vec()));
    }
    let post = PostParams::default();
    let written = match found {
        None => configurations.create(&post, &wanted).await,
        Some(found) if found.webhooks == wanted.webhooks => return Ok(()),
        Some(found) => {
            wanted.metadata.resource_version = found.metadata.resource_version;
            configurations.replace(name, &post, &wanted).await
        }
    };
    match written {
        Ok(_) => Ok(()),
        // Another process was faster. The next pass reads its result.
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(source) => Err(failed("making", name, source)),
    }
}

/// The operations that are needed. Empty if no entry needs another bundle.
fn patch(webhooks: &[ValidatingWebhook], bundle: &[u8], repair: Repair) -> Vec<PatchOperation> {
    let encoded = serde_json::to_value(ByteString(bundle.to_vec())).unwrap_or_default();
    let lacking = |webhook: &&ValidatingWebhook| {
        let given = webhook.client_config.ca_bundle.as_ref().map_or(&[][..], |given| &given.0);
        match repair {
            Repair::Others => given != bundle,
            Repair::Empty => given.is_empty(),
        }
    };
    let operations = |index: usize, webhook: &ValidatingWebhook| {
        let index = index.to_string();
        let name = PointerBuf::from_tokens(["webhooks", index.as_str(), "name"]);
        let ca_bundle = PointerBuf::from_tokens(["webhooks", index.as_str(), "clientConfig", "caBundle"]);
        [
            PatchOperation::Test(TestOperation { path: name, value: Value::from(webhook.name.clone()) }),
            PatchOperation::Add(AddOperation { path: ca_bundle, value: encoded.clone() }),
        ]
    };
    let entries = webhooks.iter().enumerate().filter(|(_, webhook)| lacking(webhook));
    entries.flat_map(|(index, webhook)| operations(index, webhook)).collect()
}

fn entry(webhook: ValidatingWebhook) -> Entry {
    let ca_bundle = webhook.client_config.ca_bundle.map(|bytes| bytes.0).unwrap_or_default();
    Entry { name: webhook.name, ca_bundle }
}

fn failed(doing: &str, name: &str, source: kube::Error) -> Error {
    Error::Kube { what: format!("{doing} the ValidatingWebhookConfiguration {name}"), source }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(name: &str, bundle: Option<&[u8]>) -> ValidatingWebhook {
        let mut webhook = ValidatingWebhook { name: name.to_owned(), ..ValidatingWebhook::default() };
        webhook.client_config.ca_bundle = bundle.map(|bytes| ByteString(bytes.to_vec()));
        webhook
    }

    #[test]
    fn only_entries_without_the_bundle_are_written_and_each_by_its_name() {
        let webhooks = [
            webhook("a.weighbridge.dev", Some(b"ours")),
            webhook("b.weighbridge.dev", None),
            webhook("c.weighbridge.dev", Some(b"theirs")),
        ];
        let written = serde_json::to_value(patch(&webhooks, b"ours", Repair::Others)).unwrap();
        assert_eq!(
            written,
            json!([
                {"op": "test", "path": "/webhooks/1/name", "value": "b.weighbridge.dev"},
                {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "b3Vycw=="},
                {"op": "test", "path": "/webhooks/2/name", "value": "c.weighbridge.dev"},
                {"op": "add", "path": "/webhooks/2/clientConfig/caBundle", "value": "b3Vycw=="},
            ])
        );
        assert!(patch(&webhooks[..1], b"ours", Repair::Others).is_empty());
    }

    #[test]
    fn a_ca_in_doubt_is_written_only_into_entries_without_one() {
        let webhooks = [webhook("a", Some(b"theirs")), webhook("b", None), webhook("c", Some(b""))];
        let written = serde_json::to_value(patch(&webhooks, b"ours", Repair::Empty)).unwrap();
        let paths: Vec<_> = written.as_array().unwrap().iter().map(|operation| &operation["path"]).collect();
        let of = |index: usize, field: &str| json!(format!("/webhooks/{index}/{field}"));
        assert_eq!(
            paths,
            [
                &of(1, "name"),
                &of(1, "clientConfig/caBundle"),
                &of(2, "name"),
                &of(2, "clientConfig/caBundle")
            ]
        );
    }
}
