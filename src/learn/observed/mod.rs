//! Observed memory: what a job's pods really used, by the metrics of an exporter.
//!
//! ```text
//! question     max by (labels) (max_over_time(METRIC{matchers}[step])), every step of a period
//! point (t, v) the most memory in use between t − step and t, on the fullest accelerator of a pod
//! counts       if t − step ≥ creation of the pod, and t ≤ creation of the next pod of that name
//! peak         max v over the points that count; of a workload: over its pods
//! ratio        peak / process            process: the predicted figure of nvidia-smi
//! ```
//!
//! An exporter counts all memory of an accelerator that is in use, also what PyTorch's allocator keeps for later. So a peak
//! is compared with the predicted figure of the process, and not with what must be free. A job that ran with this peak
//! needs at most as much. A peak is never a reason to refuse: the allocator of a job on a full accelerator gives back what
//! it does not need.
//!
//! Values come from outside. What is no number, is negative or is more than any accelerator has, is left out.

pub mod answer;
pub mod peaks;
pub mod query;
