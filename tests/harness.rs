//! The test control plane itself, tested: everything else relies on it to be the real thing, to keep
//! users apart, and to leave nothing behind.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::controlplane::{ControlPlane, Guarded, Options, TestNamespace, wait_for, wait_until};
use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

fn config_map(name: &str) -> Result<ConfigMap> {
    Ok(serde_json::from_value(json!({"metadata": {"name": name}}))?)
}

fn job(name: &str) -> Result<Job> {
    let pod = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "none"}]});
    Ok(serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"template": {"spec": pod}}}))?)
}

fn status_code<T>(result: kube::Result<T>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[tokio::test]
async fn the_server_says_that_it_is_v1_37_2() -> Result<()> {
    let version = ControlPlane::shared().await?.admin()?.apiserver_version().await?;
    if env::var_os("KUBEBUILDER_ASSETS").is_none() {
        assert_eq!(version.git_version, "v1.37.2");
        assert_eq!((version.major.as_str(), version.minor.as_str()), ("1", "37"));
    }
    Ok(())
}

#[tokio::test]
#[ignore = "only `make test-oldest` runs it on the oldest supported version"]
async fn the_server_says_that_it_is_the_oldest_that_the_chart_allows() -> Result<()> {
    let chart = fs::read_to_string("charts/weighbridge/Chart.yaml")?;
    let allowed =
        chart.lines().find_map(|line| line.strip_prefix("kubeVersion: \">=")).context("no kubeVersion")?;
    let oldest = allowed.split('.').take(2).collect::<Vec<_>>().join(".");
    let version = ControlPlane::shared().await?.admin()?.apiserver_version().await?;
    assert_eq!(format!("{}.{}", version.major, version.minor), oldest);
    Ok(())
}

#[tokio::test]
async fn a_view_user_lists_but_does_not_create() -> Result<()> {
    let namespace = ControlPlane::shared().await?.namespace(&[]).await?;
    let maps: Api<ConfigMap> = Api::namespaced(namespace.view_user().await?, namespace.name());
    maps.list(&ListParams::default()).await?;
    let created = maps.create(&PostParams::default(), &config_map("mine")?).await;
    assert_eq!(status_code(created), Some(403));
    Ok(())
}

#[tokio::test]
async fn an_edit_user_of_one_namespace_is_nobody_in_another() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let (mine, theirs) = (control_plane.namespace(&[]).await?, control_plane.namespace(&[]).await?);
    assert_ne!(mine.name(), theirs.name());

    let user = mine.edit_user().await?;
    let create = async |namespace: &TestNamespace<'_>| -> Result<_> {
        let maps: Api<ConfigMap> = Api::namespaced(user.clone(), namespace.name());
        Ok(maps.create(&PostParams::default(), &config_map("settings")?).await)
    };
    create(&mine).await??;
    assert_eq!(status_code(create(&theirs).await?), Some(403));

    let maps: Api<ConfigMap> = Api::namespaced(control_plane.admin()?, theirs.name());
    assert!(maps.get_opt("settings").await?.is_none(), "the other namespace holds the first one's object");
    Ok(())
}

#[tokio::test]
async fn a_user_has_the_name_and_groups_that_the_test_gave() -> Result<()> {
    let kubectl = ControlPlane::shared().await?.kubectl_as("dana", &["research", "on-call"])?;
    let said = kubectl.run(&["auth", "whoami", "-o", "json"]).await?.success()?;
    let user = &serde_json::from_str::<serde_json::Value>(&said)?["status"]["userInfo"];
    assert_eq!(user["username"], "dana");
    assert_eq!(user["groups"], json!(["research", "on-call", "system:authenticated"]));
    Ok(())
}

#[tokio::test]
async fn a_pytorchjob_can_be_created_once_its_crd_is_installed() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("kubeflow.org", "v1", "PyTorchJob"));
    let jobs: Api<DynamicObject> = Api::namespaced_with(control_plane.admin()?, namespace.name(), &resource);
    let template = json!({"spec": {"containers": [{"name": "pytorch", "image": "none"}]}});
    let mut job = DynamicObject::new("llama", &resource);
    job.data = json!({"spec": {"pytorchReplicaSpecs": {"Worker": {"replicas": 2, "template": template}}}});
    let made = jobs.create(&PostParams::default(), &job).await?;
    assert_eq!(made.data["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"], 2);
    Ok(())
}

#[tokio::test]
async fn kubectl_works_with_the_kubeconfig() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[("team", "research")]).await?;
    let kubectl = control_plane.kubectl()?;

    let label = ["get", "namespace", namespace.name(), "-o", "jsonpath={.metadata.labels.team}"];
    assert_eq!(kubectl.run(&label).await?.success()?, "research");

    let manifest = serde_json::to_string(&json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "piped", "namespace": namespace.name()},
    }))?;
    let applied = kubectl.run_with_input(&["apply", "-f", "-"], &manifest).await?.success()?;
    assert_eq!(applied, "configmap/piped created\n");

    let missing = kubectl.run(&["get", "configmap", "nowhere", "-n", namespace.name()]).await?;
    assert_eq!(missing.status.code(), Some(1));
    assert!(missing.stderr.contains("NotFound"), "{}", missing.stderr);
    Ok(())
}

#[tokio::test]
async fn a_job_gets_its_pod_from_the_real_controller_and_takes_it_along() -> Result<()> {
    let namespace = ControlPlane::shared().await?.namespace(&[]).await?;
    let user = namespace.edit_user().await?;
    let jobs: Api<Job> = Api::namespaced(user.clone(), namespace.name());
    let pods: Api<Pod> = Api::namespaced(user, namespace.name());
    let created = jobs.create(&PostParams::default(), &job("training")?).await?;

    let of_the_job = ListParams::default().labels("batch.kubernetes.io/job-name=training");
    let pod = wait_for("the job's pod", SOON, || async {
        Ok(pods.list(&of_the_job).await?.items.into_iter().next())
    })
    .await?;
    let owners = pod.metadata.owner_references.unwrap_or_default();
    assert_eq!(owners.first().map(|owner| owner.uid.clone()), created.metadata.uid);

    jobs.delete("training", &DeleteParams::background()).await?;
    wait_until("the garbage collector to remove the pod", SOON, || async {
        Ok(pods.list(&of_the_job).await?.items.is_empty())
    })
    .await
}

#[tokio::test]
async fn the_audit_log_tells_who_was_refused_and_why() -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    let namespace = control_plane.namespace(&[]).await?;
    let maps: Api<ConfigMap> = Api::namespaced(control_plane.user("eve", &[])?, namespace.name());
    let refused = maps.create(&PostParams::default(), &config_map("loot")?).await;
    assert_eq!(status_code(refused), Some(403));

    let event = control_plane
        .audit_event("eve's refusal", |event| {
            event.user["username"] == "eve" && event.object_ref["namespace"] == namespace.name()
        })
        .await?;
    assert_eq!(event.response_status["code"], 403);
    assert_eq!(event.annotations["authorization.k8s.io/decision"], "forbid");

    let admin: Api<ConfigMap> = Api::namespaced(control_plane.admin()?, namespace.name());
    admin.create(&PostParams::default(), &config_map("kept")?).await?;
    let annotations =
        control_plane.audit_annotations("create", "configmaps", namespace.name(), "kept").await?;
    assert_eq!(annotations["authorization.k8s.io/decision"], "allow");
    Ok(())
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted_in_the_error() -> Result<()> {
    let options = Options { api_server_arguments: vec!["--no-such-flag".to_owned()], ..Options::bare() };
    let error = ControlPlane::start(options).await.err().context("it started with an unknown flag")?;
    let message = format!("{error:#}");
    assert!(message.contains("kube-apiserver ended"), "{message}");
    assert!(message.contains("unknown flag: --no-such-flag"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_taken_port_is_noticed_and_other_ports_are_tried() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = format!("--secure-port={}", taken.local_addr()?.port());
    let options = Options { api_server_arguments: vec![port], ..Options::bare() };
    let error = ControlPlane::start(options).await.err().context("it started on a taken port")?;
    assert!(error.to_string().starts_with("every one of 5 pairs of free ports was taken"), "{error:#}");
    Ok(())
}

#[tokio::test]
async fn waiting_in_vain_tells_what_was_waited_for_and_what_came_instead() -> Result<()> {
    let namespace = ControlPlane::shared().await?.namespace(&[]).await?;
    let maps: Api<ConfigMap> = Api::namespaced(ControlPlane::shared().await?.admin()?, namespace.name());
    let asked = wait_until("the settings", Duration::from_millis(200), || async {
        maps.get("settings").await?;
        Ok(true)
    });
    let message = asked.await.err().context("it found what is not there")?.to_string();
    assert!(message.starts_with("waited 200ms for the settings; at the end: "), "{message}");
    assert!(message.contains("\"settings\" not found"), "{message}");
    Ok(())
}

#[tokio::test]
async fn a_guarded_program_is_stopped_waited_for_and_quoted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap 'echo "$GREETING"; exit 7' TERM; echo up; while :; do sleep 0.05; done"#]);
    command.env("GREETING", "goodbye");
    let guarded = Guarded::spawn(&command, &folder.path().join("sh.log"))?;
    wait_until("the program to be up", SOON, || async { Ok(guarded.log_tail() == "up") }).await?;
    assert!(guarded.exit_status()?.is_none(), "it ended before it was asked to");

    guarded.terminate()?;
    assert_eq!(guarded.wait(SOON).await?.code(), Some(7));
    assert_eq!(guarded.log_tail(), "up\ngoodbye");
    Ok(())
}

/// Set in the child process of the tests below: how it is to end, and where it reports.
const ENDING: &str = "WEIGHBRIDGE_HARNESS_ENDING";
const REPORT: &str = "WEIGHBRIDGE_HARNESS_REPORT";

#[tokio::test]
async fn killing_the_test_process_leaves_no_server_behind() -> Result<()> {
    leaves_nothing_behind("killing_the_test_process_leaves_no_server_behind", "killed").await
}

#[tokio::test]
async fn ending_the_test_process_without_destructors_leaves_no_server_behind() -> Result<()> {
    leaves_nothing_behind("ending_the_test_process_without_destructors_leaves_no_server_behind", "exits")
        .await
}

/// Runs the named test of this suite in a process of its own, where it starts a control plane, and looks
/// at what is left when that process is gone.
async fn leaves_nothing_behind(test: &str, ending: &str) -> Result<()> {
    if let (Some(ending), Some(report)) = (env::var_os(ENDING), env::var_os(REPORT)) {
        return start_and_end(&ending.to_string_lossy(), Path::new(&report)).await;
    }
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("report.json");
    let mut command = Command::new(env::current_exe()?);
    command.args([&format!("harness::{test}"), "--exact", "--nocapture"]);
    command.envs([(ENDING, ending.as_ref()), (REPORT, report.as_os_str())]);
    let child = Guarded::spawn(&command, &folder.path().join("child.log"))?;

    let reported = wait_for("the child's control plane", Duration::from_mins(3), || async {
        Ok((report.exists() || child.exit_status()?.is_some()).then_some(()))
    });
    reported.await?;
    let report = fs::read(&report).with_context(|| child.log_tail())?;
    let (processes, servers_folder): (Vec<u32>, PathBuf) = serde_json::from_slice(&report)?;
    ensure!(processes.len() == 3, "the child started {processes:?}");
    if ending == "killed" {
        for process in &processes {
            ensure!(runs(*process), "process {process} ended before the child was killed");
        }
        child.kill()?;
    }
    child.wait(SOON).await?;

    wait_until("all servers to be gone", SOON, || async { Ok(!processes.iter().any(|id| runs(*id))) })
        .await?;
    wait_until("their folder to be gone", SOON, || async { Ok(!servers_folder.exists()) }).await
}

/// In the child process.
async fn start_and_end(ending: &str, report: &Path) -> Result<()> {
    let control_plane = ControlPlane::shared().await?;
    // Written aside and renamed, so that no reader sees the half of it.
    let written = report.with_extension("unfinished");
    fs::write(&written, serde_json::to_vec(&(control_plane.processes(), control_plane.folder()))?)?;
    fs::rename(written, report)?;
    if ending == "exits" {
        std::process::exit(0);
    }
    std::future::pending().await
}

/// A zombie does not: it is only an entry that its parent has not read yet.
fn runs(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| !fields.starts_with('Z'))
}
