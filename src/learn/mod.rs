//! Learning from what happened: how workloads ended, and what the same job did before.
//!
//! [`outcome`] reads how a workload ended from the states of its pods. [`fingerprint`] names what decides a job's memory,
//! so that two runs of the same job are known as such. [`history`] keeps the last runs of a fingerprint and tells what
//! they teach, and [`lesson`] applies that to a judgement. [`observed`] reads from metrics what the pods used. All of it decides over plain data; the controller watches and
//! writes.

pub mod fingerprint;
pub mod history;
pub mod lesson;
pub mod observed;
pub mod outcome;
pub mod tally;
