//! The permissions of a replica, each asked of the apiserver.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec, SubjectAccessReview,
    SubjectAccessReviewSpec,
};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};

use super::installation::Installation;
use super::{Finding, Findings, because};
use crate::controller::permissions::{self, Permission};
use crate::kinds::Kinds;

/// Resources with missing permissions that are named.
const NAMED: usize = 4;

/// Whether the current user, or the service account, has a replica's permissions.
pub(super) async fn examine(client: &Client, installation: &Installation, account: Option<&str>) -> Findings {
    if let Some(account) = account {
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &installation.namespace);
        // The apiserver answers for an account that does not exist, too: it has no permission then.
        if let Ok(None) = accounts.get_opt(account).await {
            let what = format!("the service account {}/{account} does not exist", installation.namespace);
            return vec![Finding::Wrong(
                what,
                "give the name of the release's own with --service-account".into(),
            )];
        }
    }
    let mut lacking: Vec<(String, Vec<&str>)> = Vec::new();
    let mut asked = 0;
    for permission in permissions::permissions(Kinds::built_in()) {
        for verb in needed(&permission, installation.files) {
            asked += 1;
            match allowed(client, installation, account, &permission, verb).await {
                Ok(true) => {}
                Ok(false) => {
                    let resource = resource(&permission);
                    match lacking.iter_mut().find(|(other, _)| *other == resource) {
                        Some((_, verbs)) => verbs.push(verb),
                        None => lacking.push((resource, vec![verb])),
                    }
                }
                Err(error) => {
                    return vec![Finding::Note(format!(
                        "permissions cannot be checked: {}",
                        because(&error)
                    ))];
                }
            }
        }
    }
    let whose = account.unwrap_or("the current user");
    if lacking.is_empty() {
        return vec![Finding::Well(format!("{whose} has all {asked} permissions of a replica"))];
    }
    let count: usize = lacking.iter().map(|(_, verbs)| verbs.len()).sum();
    let named =
        lacking.iter().take(NAMED).map(|(resource, verbs)| format!("{} {resource}", verbs.join(", ")));
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more resources") } else { String::new() };
    let named = named.collect::<Vec<_>>().join("; ");
    let what = format!("{whose} lacks {count} of {asked} permissions: {named}{more}");
    vec![match account {
        Some(_) => {
            Finding::Wrong(what, "helm upgrade renders the roles; check that rbac.create is on".into())
        }
        None => Finding::Note(format!("{what}; --service-account checks a replica's permissions")),
    }]
}

/// The verbs that a replica needs. With a certificate from files, another program has the CA and writes the caBundle.
fn needed(permission: &Permission, files: bool) -> Vec<&'static str> {
    let verbs = permission.verbs.iter().copied();
    match permission.resource {
        "secrets" if files => Vec::new(),
        "validatingwebhookconfigurations" if files => verbs.filter(|verb| *verb != "patch").collect(),
        _ => verbs.collect(),
    }
}

fn resource(permission: &Permission) -> String {
    match permission.group {
        "" => permission.resource.to_owned(),
        group => format!("{}.{group}", permission.resource),
    }
}

async fn allowed(
    client: &Client,
    installation: &Installation,
    account: Option<&str>,
    permission: &Permission,
    verb: &str,
) -> kube::Result<bool> {
    let (resource, subresource) = match permission.resource.split_once('/') {
        Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
        None => (permission.resource, None),
    };
    // A list or a watch of one object is checked with its name, too.
    let name = permission.one_object.then(|| match resource {
        "secrets" => installation.ca_secret.clone(),
        _ => installation.configuration.clone(),
    });
    let attributes = Some(ResourceAttributes {
        group: Some(permission.group.to_owned()),
        resource: Some(resource.to_owned()),
        subresource,
        verb: Some(verb.to_owned()),
        namespace: permission.own_namespace.then(|| installation.namespace.clone()),
        name,
        ..ResourceAttributes::default()
    });
    let post = PostParams::default();
    match account {
        None => {
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: attributes, ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let reviews: Api<SelfSubjectAccessReview> = Api::all(client.clone());
            Ok(reviews.create(&post, &review).await?.status.is_some_and(|status| status.allowed))
        }
        Some(account) => {
            let spec = SubjectAccessReviewSpec {
                user: Some(format!("system:serviceaccount:{}:{account}", installation.namespace)),
                resource_attributes: attributes,
                ..Default::default()
            };
            let review = SubjectAccessReview { spec, ..Default::default() };
            let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
            Ok(reviews.create(&post, &review).await?.status.is_some_and(|status| status.allowed))
        }
    }
}
