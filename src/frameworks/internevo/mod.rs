//! The facts about InternEvo. Its launches are not read: a job names it in an annotation.
//!
//! It keeps the states of nanotron: half-precision weights and gradients, and fp32 states that stage 1 divides. Its pipeline
//! sends messages, and it can divide nothing more.

use crate::frameworks::nanotron::profile::FACTS;
use crate::frameworks::profile::Profile;
use crate::frameworks::profile::defaults::ShardingDefaults;
use crate::frameworks::profile::host::Host;
use crate::frameworks::profile::memory::Pipeline;

/// The facts: those that differ from nanotron's.
pub(crate) static PROFILE: Profile = Profile {
    name: "InternEvo",
    sharding: ShardingDefaults { next: &[], ..FACTS.sharding },
    pipeline: Pipeline::Messages,
    host: Host { workers: [0, 4, 8], ..Host::SHARES },
    ..FACTS
};
