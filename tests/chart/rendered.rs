//! What is rendered, held against the code and against what Kubernetes and its people expect.

use std::{collections::BTreeMap, fs};

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::{Value, json};
use weighbridge::{
    config::{Arguments, Settings},
    controller::permissions::{Permission, optional_permissions, permissions},
    kinds::Kinds,
    policy::FailurePolicy,
    webhook::configuration::{self, configuration},
};

use super::helm::{CHART, Helm, find};

#[derive(Parser)]
struct Serve {
    #[command(flatten)]
    arguments: Arguments,
}

/// Everything that is off by default.
const EVERYTHING: &[&str] = &[
    "--set=tls.mode=files,certManager.enabled=true,networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true",
    "--set=metrics.prometheusRule.enabled=true,metrics.dashboard.enabled=true,api.enabled=true,hostNetwork=true,calculator.enabled=true",
    "--set=config.mode=warn,image.digest=sha256:0123456789012345678901234567890123456789012345678901234567890123",
    "--set=overrides.users={alice},overrides.groups={leads,oncall},watchNamespaces={a,b},priorityClassName=high",
    "--set=read.configMaps=true,read.queues=true,read.claims=true,kueue.admissionCheck=true,learning.history=refuse,api.audiences={kyverno}",
    "--set=commonLabels.team=ml,imagePullSecrets[0].name=pull,extraArgs={--ca-overlap=2h}",
    "--set=extraEnv[0].name=A,extraEnv[0].value=b,extraVolumes[0].name=v,extraVolumeMounts[0].name=v",
    "--set=extraVolumeMounts[0].mountPath=/v",
    "--set=webhook.clientCA.configMap=apiserver-clients,webhook.clientCA.names={kube-apiserver}",
];

fn deployment(objects: &[Value]) -> Result<&Value> {
    find(objects, "Deployment", "weighbridge")
}

fn container(objects: &[Value]) -> Result<&Value> {
    Ok(&deployment(objects)?["spec"]["template"]["spec"]["containers"][0])
}

/// What `serve` makes of the rendered arguments.
fn settings(objects: &[Value]) -> Result<Settings> {
    let arguments = container(objects)?["args"].as_array().context("no arguments")?;
    let arguments = arguments.iter().filter_map(Value::as_str);
    Settings::try_from(Serve::try_parse_from(arguments)?.arguments)
}

#[tokio::test]
async fn helm_finds_nothing_to_complain_of() -> Result<()> {
    let helm = Helm::offline()?;
    for values in [&[][..], EVERYTHING] {
        helm.run(&[&["lint", "--strict", CHART], values].concat()).await?.success()?;
    }
    Ok(())
}

#[tokio::test]
async fn what_is_rendered_by_default_is_as_reviewed() -> Result<()> {
    let helm = Helm::offline()?;
    let mut shown = String::new();
    for file in ["deployment", "service", "secret", "serviceaccount", "poddisruptionbudget"] {
        let template = format!("--show-only=templates/{file}.yaml");
        shown.push_str(&helm.template_text(&[&template]).await?.success()?);
    }
    insta::assert_snapshot!(shown);
    Ok(())
}

#[tokio::test]
async fn what_is_rendered_with_everything_on_is_as_reviewed() -> Result<()> {
    let helm = Helm::offline()?;
    let mut shown = String::new();
    for file in ["deployment", "certmanager", "config", "networkpolicy", "servicemonitor", "prometheusrule"] {
        let template = format!("--show-only=templates/{file}.yaml");
        shown.push_str(&helm.template_text(&[EVERYTHING, &[&template]].concat()).await?.success()?);
    }
    insta::assert_snapshot!(shown);
    Ok(())
}

#[tokio::test]
async fn a_wrong_value_is_refused_with_what_must_be() -> Result<()> {
    let helm = Helm::offline()?;
    for (value, said) in [
        ("replicas=3", "additional properties 'replicas' not allowed"),
        ("webhook.failurePolicy=Maybe", "value must be one of 'Ignore', 'Fail'"),
        ("webhook.timeoutSeconds=60", "maximum: got 60, want 30"),
        ("mode=strict", "value must be one of 'enforce', 'warn', 'audit', 'off'"),
        ("thresholds.warnAt=0.95", "thresholds.warnAt (0.95) must be at most thresholds.denyAt (0.9)"),
        ("config.workloads[0].group=example", "/config/workloads/0"),
        ("certManager.enabled=true", "certManager.enabled needs tls.mode=files"),
        ("tls.mode=files", "tls.mode=files needs tls.secretName"),
        ("drainSeconds=40", "terminationGracePeriodSeconds (30) must be more than"),
        ("webhook.clientCA.configMap=a,webhook.clientCA.secret=b", "the CAs are read from one"),
        ("webhook.clientCA.names={a}", "webhook.clientCA.names needs webhook.clientCA.configMap or .secret"),
        (
            "hostNetwork=true,networkPolicy.apiServerFrom[0].ipBlock.cidr=10.0.0.0/28",
            "networkPolicy.apiServerFrom has no effect with hostNetwork=true",
        ),
        ("metrics.port=9443", "webhook.port and metrics.port are both 9443"),
        ("calculator.enabled=true,calculator.port=8080", "calculator.port is 8080, which webhook.port or"),
        (
            "metrics.serviceMonitor.enabled=true,metrics.service.enabled=false",
            "needs metrics.service.enabled=true",
        ),
    ] {
        let refused = helm.template_text(&["--set", value]).await?;
        assert!(!refused.success && refused.stderr.contains(said), "{value}: {}", refused.stderr);
    }
    let old = helm.template_text(&["--kube-version=1.29.0"]).await?;
    assert!(old.stderr.contains("requires kubeVersion: >=1.30.0-0"), "{}", old.stderr);
    Ok(())
}

#[tokio::test]
async fn the_binary_takes_the_arguments_and_finds_itself_by_them() -> Result<()> {
    let helm = Helm::offline()?;
    let objects = helm.template(&[]).await?;
    let settings = settings(&objects)?;
    assert_eq!(settings.names()[0], "weighbridge.weighbridge.svc");
    find(&objects, "ValidatingWebhookConfiguration", &settings.configuration_name)?;
    let secret = find(&objects, "Secret", &settings.ca_secret)?;
    assert!(
        secret.get("data").is_none() && secret.get("stringData").is_none(),
        "no upgrade writes over the CA"
    );
    let service = find(&objects, "Service", &settings.service)?;
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "https");

    let container = container(&objects)?;
    let ports: BTreeMap<_, _> = container["ports"]
        .as_array()
        .context("no ports")?
        .iter()
        .map(|port| (port["name"].as_str().unwrap_or_default(), port["containerPort"].as_u64()))
        .collect();
    assert_eq!(ports["https"], Some(settings.listen.port().into()));
    assert_eq!(ports["http"], Some(settings.metrics_listen.port().into()));
    for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
        assert_eq!(container[probe]["httpGet"]["port"], "http", "{probe}");
    }
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/livez");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/readyz");
    let grace = deployment(&objects)?["spec"]["template"]["spec"]["terminationGracePeriodSeconds"].as_u64();
    assert!(grace > Some(settings.drain.as_secs() + 5), "it answers on for a while after the signal");
    Ok(())
}

#[tokio::test]
async fn the_binary_takes_every_argument_that_can_be_rendered() -> Result<()> {
    let objects = Helm::offline()?.template(EVERYTHING).await?;
    let settings = settings(&objects)?;
    assert_eq!(settings.policy.overrides.groups, ["leads", "oncall"]);
    assert_eq!(settings.watch_namespaces, ["a", "b"]);
    assert!(settings.tls_files.is_some());
    assert!(
        settings.reads.config_maps && settings.reads.queues && settings.reads.claims && settings.kueue_check
    );
    // What it is told to read is mounted there.
    let mounts = container(&objects)?["volumeMounts"].clone();
    for folder in ["/etc/weighbridge/config", "/etc/weighbridge/tls", "/v"] {
        let mounted = mounts.as_array().into_iter().flatten().any(|mount| mount["mountPath"] == folder);
        assert!(mounted, "{folder}: {mounts}");
    }
    let config = find(&objects, "ConfigMap", "weighbridge-config")?["data"]["config.yaml"].clone();
    let config: Value = serde_saphyr::from_str(config.as_str().context("no text")?)?;
    assert_eq!(config["kind"], "Configuration");
    let webhook = find(&objects, "ValidatingWebhookConfiguration", "weighbridge")?;
    assert_eq!(
        webhook["metadata"]["annotations"]["cert-manager.io/inject-ca-from"],
        "weighbridge/weighbridge"
    );
    Ok(())
}

#[tokio::test]
async fn the_entries_are_those_that_the_binary_makes_for_itself() -> Result<()> {
    let objects = Helm::offline()?.template(&["--set", "webhook.failurePolicy=Fail"]).await?;
    let rendered = find(&objects, "ValidatingWebhookConfiguration", "weighbridge")?;
    let mut rendered = rendered["webhooks"].clone();
    let own = configuration(
        &configuration::Settings {
            name: "weighbridge".to_owned(),
            url: "https://here/validate".to_owned(),
            failure_policy: FailurePolicy::Fail,
            timeout_seconds: 5,
            own_namespace: "weighbridge".to_owned(),
            namespace_labels: BTreeMap::new(),
        },
        Kinds::built_in(),
    );
    let mut own = serde_json::to_value(own.webhooks)?;
    for entry in rendered.as_array_mut().into_iter().flatten() {
        let service =
            json!({"name": "weighbridge", "namespace": "weighbridge", "path": "/validate", "port": 443});
        assert_eq!(
            entry["clientConfig"],
            json!({"service": service}),
            "and no caBundle, which it would reset"
        );
        entry["clientConfig"] = Value::Null;
    }
    for entry in [&mut rendered, &mut own].into_iter().filter_map(|entries| entries.as_array_mut()).flatten()
    {
        entry["clientConfig"] = Value::Null;
        let exempt = &mut entry["namespaceSelector"]["matchExpressions"][1]["values"];
        let mut names: Vec<_> = exempt.as_array().cloned().unwrap_or_default();
        names.sort_by_key(ToString::to_string);
        *exempt = names.into();
    }
    assert_eq!(rendered, own);
    Ok(())
}

/// The rules of a role, one a resource.
fn rules(role: &Value) -> Vec<Value> {
    role["rules"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn the_roles_allow_what_the_binary_lists_and_no_more() -> Result<()> {
    let helm = Helm::offline()?;
    let mut values = vec![String::new()];
    values.extend(["configMaps", "queues", "claims"].map(|what| format!("--set=read.{what}=true")));
    values.extend(
        ["learning.history=refuse", "kueue.admissionCheck=true"].map(|value| format!("--set={value}")),
    );
    let mut opened = vec![Vec::new()];
    opened.extend(optional_permissions().into_iter().map(|(_, more)| more));
    assert_eq!(values.len(), opened.len(), "what may be opened has a value of its own");
    for (value, more) in values.iter().zip(opened) {
        let value = Some(value.as_str()).filter(|value| !value.is_empty());
        let objects = helm.template(value.as_slice()).await?;
        assert_eq!(
            all_rules(&objects)?,
            expected(permissions(Kinds::built_in()).into_iter().chain(more)),
            "{value:?}"
        );
    }
    Ok(())
}

/// The rules of both roles.
fn all_rules(objects: &[Value]) -> Result<Vec<Value>> {
    let mut rendered = rules(find(objects, "ClusterRole", "weighbridge")?);
    rendered.extend(rules(find(objects, "Role", "weighbridge")?));
    sort(&mut rendered);
    Ok(rendered)
}

fn sort(rules: &mut [Value]) {
    rules.sort_by_key(|rule| {
        (rule["apiGroups"].to_string(), rule["resources"].to_string(), rule["verbs"].to_string())
    });
}

/// The rules that these permissions make.
fn expected(permissions: impl Iterator<Item = Permission>) -> Vec<Value> {
    let mut listed: Vec<_> = permissions
        .map(|permission| {
            let mut rule = json!({
                "apiGroups": [permission.group], "resources": [permission.resource], "verbs": permission.verbs,
            });
            if permission.one_object {
                let secret = permission.resource == "secrets";
                rule["resourceNames"] = json!([if secret { "weighbridge-ca" } else { "weighbridge" }]);
            }
            rule
        })
        .collect();
    sort(&mut listed);
    listed
}

#[tokio::test]
async fn a_budget_is_only_made_where_it_lets_nodes_be_drained() -> Result<()> {
    let helm = Helm::offline()?;
    let made = |objects: &[Value]| objects.iter().any(|object| object["kind"] == "PodDisruptionBudget");
    assert!(made(&helm.template(&[]).await?));
    assert!(!made(&helm.template(&["--set", "replicaCount=1"]).await?));
    Ok(())
}

/// The names in a text that begin like metrics of ours.
fn metrics(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| {
        ["weighbridge_", "controller_runtime_", "leader_election_"]
            .iter()
            .any(|prefix| word.starts_with(prefix))
    })
}

#[tokio::test]
async fn alerts_and_dashboard_ask_for_metrics_that_exist() -> Result<()> {
    // A test of its own holds this page against the code.
    let reference = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"))?;
    let objects = Helm::offline()?.template(EVERYTHING).await?;
    let rules = find(&objects, "PrometheusRule", "weighbridge")?.to_string();
    let dashboard = find(&objects, "ConfigMap", "weighbridge-dashboard")?["data"]["weighbridge.json"].clone();
    let dashboard = dashboard.as_str().context("no dashboard")?.to_owned();
    serde_json::from_str::<Value>(&dashboard)?;
    let mut asked = 0;
    for metric in metrics(&rules).chain(metrics(&dashboard)) {
        let plain = metric.strip_suffix("_bucket").unwrap_or(metric);
        assert!(reference.contains(&format!("`{plain}`")), "{metric} is not in docs/metrics.md");
        asked += 1;
    }
    assert!(asked > 15, "{asked}");
    Ok(())
}

#[tokio::test]
async fn only_those_who_are_named_reach_the_webhook_where_any_are() -> Result<()> {
    let helm = Helm::offline()?;
    let rendered = |objects: &[Value]| find(objects, "NetworkPolicy", "weighbridge").ok().cloned();
    assert!(rendered(&helm.template(&[]).await?).is_none());
    let from = "--set=networkPolicy.apiServerFrom[0].ipBlock.cidr=10.0.0.0/28";
    let policy = rendered(&helm.template(&[from]).await?).context("it is not on")?;
    let webhook = json!({
        "ports": [{"protocol": "TCP", "port": "https"}],
        "from": [{"ipBlock": {"cidr": "10.0.0.0/28"}}],
    });
    assert_eq!(policy["spec"]["ingress"][0], webhook);
    let anybody =
        rendered(&helm.template(&["--set=networkPolicy.enabled=true"]).await?).context("it is off")?;
    assert_eq!(anybody["spec"]["ingress"][0].get("from"), None);
    Ok(())
}

#[tokio::test]
async fn a_prometheus_that_is_asked_is_reached_through_the_network_policy() -> Result<()> {
    let helm = Helm::offline()?;
    for (address, port) in [
        ("http://prometheus.monitoring.svc:9090", 9090),
        ("https://thanos.monitoring.svc:9091/path", 9091),
        ("https://prometheus.example", 443),
        ("http://prometheus.example", 80),
    ] {
        let values = [
            "--set=networkPolicy.enabled=true",
            &format!("--set=config.observed.prometheus={address}"),
            "--set=networkPolicy.prometheusTo[0].namespaceSelector.matchLabels.name=monitoring",
        ];
        let objects = helm.template(&values).await?;
        let egress = &find(&objects, "NetworkPolicy", "weighbridge")?["spec"]["egress"];
        let prometheus = json!({
            "ports": [{"protocol": "TCP", "port": port}],
            "to": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
        });
        assert_eq!(egress[2], prometheus, "{address}");
    }
    let without = helm.template(&["--set=networkPolicy.enabled=true"]).await?;
    assert_eq!(find(&without, "NetworkPolicy", "weighbridge")?["spec"]["egress"][2], Value::Null);
    Ok(())
}
