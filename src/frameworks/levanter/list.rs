//! The keys that Levanter's configurations know.

use crate::frameworks::reading::options::{List, inert, opens};
use crate::frameworks::reading::subjects::Subject;

pub(in crate::frameworks) static LIST: List = List {
    text: include_str!("options.tsv"),
    corrections: &[
        inert(
            "trainer.fsdp_axis trainer.batch_axis trainer.per_device_eval_parallelism trainer.checkpointer.* \
             trainer.profiler* trainer.jax_config.* optimizer.* data.* hf_* trainer.tracker.*",
            "names of axes, bookkeeping, and hyperparameters",
        ),
        opens(
            "trainer.tensor_parallel_axes trainer.axis_resources trainer.parameter_axis_resources",
            &[Subject::Tensor, Subject::Sharding],
            "how the mesh divides the model",
        ),
    ],
};
