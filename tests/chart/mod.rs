//! The Helm chart: rendered by the real helm, held against the code, and installed on a real control plane.
//!
//! There are no kubelets: nothing runs in a pod. What can only be rendered is asserted as rendered; the binary runs
//! outside with the arguments and the identity that the chart gives it, and the apiserver calls it through the chart's
//! own Service.

use crate::controlplane;

mod helm;
mod machine;
mod outside;

mod further;
mod generated;
mod installed;
mod previous;
mod rendered;
mod restart;
mod values;
