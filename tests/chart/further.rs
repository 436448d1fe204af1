//! Kinds that an administrator adds in the policy: the chart renders for them what the binary makes for itself.

use std::{fs, process::Command};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::helm::{Helm, find};

/// The names are long enough to be cut, one of them at a hyphen.
fn workloads() -> Value {
    json!([
        {"group": "train.example.com", "version": "v1", "kind": "TrainRun", "plural": "trainruns",
            "training": true, "roles": "/spec/roles", "suspend": "/spec/suspend"},
        {"group": "machine-learning.example.com", "version": "v1beta1", "kind": "Finetuning",
            "plural": "finetunings", "single": "/spec"},
        {"group": "a-company-with-a-long-name-x.example.com", "version": "v1", "kind": "Long",
            "plural": "longs12345", "job": "/spec/job"},
    ])
}

/// The table that the binary prints with this policy. A process of its own: kinds are taken in once and for all.
fn table(policy: &std::path::Path) -> Result<Value> {
    let binary = env!("CARGO_BIN_EXE_weighbridge");
    let printed = Command::new(binary).arg("kinds").arg("--config").arg(policy).output()?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    Ok(serde_saphyr::from_str(&String::from_utf8(printed.stdout)?)?)
}

#[tokio::test]
async fn each_has_the_entry_and_the_permission_that_the_binary_would_make() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (policy, values) = (folder.path().join("policy.yaml"), folder.path().join("values.yaml"));
    let document = json!({"apiVersion": "config.weighbridge.dev/v1alpha1", "kind": "Configuration",
        "workloads": workloads()});
    fs::write(&policy, document.to_string())?;
    fs::write(&values, json!({"config": {"workloads": workloads()}}).to_string())?;

    let table = table(&policy)?;
    let objects = Helm::offline()?.template(&[&format!("--values={}", values.display())]).await?;
    let rendered = find(&objects, "ValidatingWebhookConfiguration", "weighbridge")?;
    let picked = |entries: &Value| -> Vec<Value> {
        let pick = |entry: &Value| json!([entry["name"], entry["matchConditions"], entry["rules"]]);
        entries.as_array().into_iter().flatten().map(pick).collect()
    };
    let made = picked(&table["webhooks"]);
    assert_eq!(picked(&rendered["webhooks"]), made);

    let role = &find(&objects, "ClusterRole", "weighbridge")?["rules"];
    let ours: Vec<_> = made
        .iter()
        .filter(|entry| {
            entry[2][0]["apiGroups"][0].as_str().is_some_and(|group| group.ends_with("example.com"))
        })
        .collect();
    assert_eq!(ours.len(), 3, "{made:?}");
    for entry in ours {
        let (group, resource) = (&entry[2][0]["apiGroups"][0], &entry[2][0]["resources"][0]);
        let listed = table["permissions"].as_array().into_iter().flatten();
        let listed: Vec<_> = listed.filter(|rule| rule["group"] == *group).collect();
        assert!(listed.len() == 1 && listed[0]["resource"] == *resource, "{listed:?}");
        let rule = json!({"apiGroups": [group], "resources": [resource], "verbs": listed[0]["verbs"]});
        assert!(role.as_array().is_some_and(|rules| rules.contains(&rule)), "{rule} in {role}");
    }
    Ok(())
}
