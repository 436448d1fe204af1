//! A namespace of a test's own, and users who may see or edit it.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Result, ensure};
use k8s_openapi::api::{
    authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec},
    core::v1::{Namespace, ServiceAccount},
    rbac::v1::{RoleBinding, RoleRef, Subject},
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};

use super::{ControlPlane, wait::wait_until};

/// How long the server may take to act on a new RoleBinding: it watches them.
const DEADLINE: Duration = Duration::from_secs(10);

/// A namespace that no other test knows. It is left to the control plane, whose data is thrown away:
/// deleting it would take longer than the test.
pub struct TestNamespace<'a> {
    control_plane: &'a ControlPlane,
    name: String,
}

impl ControlPlane {
    /// Makes a namespace with these labels.
    pub async fn namespace(&self, labels: &[(&str, &str)]) -> Result<TestNamespace<'_>> {
        static MADE: AtomicUsize = AtomicUsize::new(1);
        let name = format!("test-{}", MADE.fetch_add(1, Ordering::Relaxed));
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            labels: Some(labels.collect::<BTreeMap<_, _>>()),
            ..ObjectMeta::default()
        };

        let client = self.admin()?;
        let namespaces: Api<Namespace> = Api::all(client.clone());
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
        make_service_account(client, &name).await?;
        Ok(TestNamespace { control_plane: self, name })
    }
}

/// Pods need the account `default`. A controller makes it, where one runs, and sooner or later; made here,
/// a test can create a pod at once.
async fn make_service_account(client: Client, namespace: &str) -> Result<()> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client, namespace);
    let metadata = ObjectMeta { name: Some("default".to_owned()), ..ObjectMeta::default() };
    let account = ServiceAccount { metadata, ..ServiceAccount::default() };
    match accounts.create(&PostParams::default(), &account).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => Ok(other.map(drop)?),
    }
}

impl TestNamespace<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A client bound to the built-in ClusterRole `view` here, for the calling test's runtime.
    pub async fn view_user(&self) -> Result<Client> {
        self.user("view", "list").await
    }

    /// A client bound to the built-in ClusterRole `edit` here, for the calling test's runtime.
    pub async fn edit_user(&self) -> Result<Client> {
        self.user("edit", "create").await
    }

    /// The name of the user that [`view_user`](Self::view_user) or [`edit_user`](Self::edit_user) is, for
    /// kubectl and for rules that name users.
    pub fn user_name(&self, cluster_role: &str) -> String {
        format!("{}-{cluster_role}", self.name)
    }

    async fn user(&self, cluster_role: &str, verb: &str) -> Result<Client> {
        ensure!(
            self.control_plane.runs_controllers,
            "the ClusterRole {cluster_role} grants nothing on a control plane without kube-controller-manager"
        );
        let name = self.user_name(cluster_role);
        self.bind(&name, cluster_role).await?;

        let client = self.control_plane.user(&name, &[])?;
        let what = format!("{name} to be allowed to {verb} pods");
        wait_until(&what, DEADLINE, || self.may(&client, verb)).await?;
        Ok(client)
    }

    async fn bind(&self, user: &str, cluster_role: &str) -> Result<()> {
        let group = "rbac.authorization.k8s.io".to_owned();
        let binding = RoleBinding {
            metadata: ObjectMeta { name: Some(user.to_owned()), ..ObjectMeta::default() },
            role_ref: RoleRef {
                api_group: Some(group.clone()),
                kind: "ClusterRole".to_owned(),
                name: cluster_role.to_owned(),
            },
            subjects: Some(vec![Subject {
                api_group: Some(group),
                kind: "User".to_owned(),
                name: user.to_owned(),
                namespace: None,
            }]),
        };
        let bindings: Api<RoleBinding> = Api::namespaced(self.control_plane.admin()?, &self.name);
        match bindings.create(&PostParams::default(), &binding).await {
            // Asked for twice: the second client is the same user.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }

    async fn may(&self, client: &Client, verb: &str) -> Result<bool> {
        let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
        let attributes = ResourceAttributes {
            namespace: Some(self.name.clone()),
            resource: Some("pods".to_owned()),
            verb: Some(verb.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec {
            resource_attributes: Some(attributes),
            ..SelfSubjectAccessReviewSpec::default()
        };
        let review = SelfSubjectAccessReview { spec, ..SelfSubjectAccessReview::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}
