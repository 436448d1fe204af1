//! The objects that the benchmarks judge.

use std::fmt;

use serde_json::{Value, json};
use weighbridge::judgement::Verdict;

pub(crate) const FITS: &str = include_str!("../examples/pytorchjob-llama2-70b.yaml");
pub(crate) const REFUSED: &str = include_str!("../examples/pytorchjob-llama2-70b-oom.yaml");

/// 40 lines, as Megatron-LM's own examples spread them.
pub(crate) const MEGATRON: &str = r"
torchrun --nproc-per-node 8 --nnodes 16 pretrain_gpt.py \
  --use-mcore-models \
  --num-layers 80 \
  --hidden-size 8192 \
  --ffn-hidden-size 28672 \
  --num-attention-heads 64 \
  --group-query-attention \
  --num-query-groups 8 \
  --seq-length 4096 \
  --max-position-embeddings 4096 \
  --position-embedding-type rope \
  --swiglu \
  --normalization RMSNorm \
  --disable-bias-linear \
  --untie-embeddings-and-output-weights \
  --attention-dropout 0 \
  --hidden-dropout 0 \
  --vocab-size 32000 \
  --tensor-model-parallel-size 4 \
  --pipeline-model-parallel-size 4 \
  --num-layers-per-virtual-pipeline-stage 5 \
  --sequence-parallel \
  --use-distributed-optimizer \
  --overlap-grad-reduce \
  --overlap-param-gather \
  --recompute-activations \
  --attention-backend flash \
  --bf16 \
  --micro-batch-size 1 \
  --global-batch-size 1024 \
  --train-iters 500000 \
  --lr 1.5e-4 \
  --min-lr 1.5e-5 \
  --lr-decay-style cosine \
  --lr-warmup-fraction 0.01 \
  --weight-decay 0.1 \
  --clip-grad 1.0 \
  --data-path /data/text_document \
  --save /checkpoints --save-interval 1000 \
  --log-interval 10
";
pub(crate) const SERVING: &str =
    "vllm serve meta-llama/Llama-3.1-70B --tensor-parallel-size 8 --max-model-len 8192";

/// A Job of 16 pods with 8 GPUs each that runs a script.
pub(crate) fn running(script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "job"},
        "spec": {"parallelism": 16, "completions": 16, "template": {"spec": {
            "nodeSelector": {"nvidia.com/gpu.product": "NVIDIA-H100-80GB-HBM3"},
            "containers": [{
                "name": "main",
                "image": "registry.example/image:1",
                "command": ["bash", "-c", script],
                "resources": {"limits": {"nvidia.com/gpu": 8}},
            }],
        }}},
    })
}

/// The dearest that was found of what the guard of scripts lets through: an error within cases, to which the parser
/// comes back for each of them, in as many scripts and statements as a command's budget lasts for.
pub(crate) fn worst_script() -> String {
    let cases = "case x in x) ".repeat(2) + &"if a; then ".repeat(16);
    let ends = "; ".to_owned() + &"fi; ".repeat(16) + &";; esac; ".repeat(2);
    format!("bash -c '{cases}{}{ends}'\n", "a;".repeat(3800)).repeat(3)
}

/// What an apiserver sends, by what is in it.
pub(crate) struct Document {
    pub(crate) name: &'static str,
    /// What it is judged to be, so that nothing else is timed.
    pub(crate) verdict: Verdict,
    pub(crate) bytes: Vec<u8>,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A document of each kind that is timed.
#[expect(clippy::unwrap_used, reason = "a document that cannot be read is none to time")]
pub(crate) fn documents() -> [Document; 5] {
    let example = |text| serde_saphyr::from_str::<Value>(text).unwrap();
    [
        ("annotated-fits", Verdict::Fits, example(FITS)),
        ("annotated-refused", Verdict::OutOfMemory, example(REFUSED)),
        ("megatron-command", Verdict::Fits, running(MEGATRON)),
        ("not-training", Verdict::NotTraining, running(SERVING)),
        ("worst-script", Verdict::Unknown, running(&worst_script())),
    ]
    .map(|(name, verdict, object)| Document {
        name,
        verdict,
        bytes: serde_json::to_vec(&object).unwrap(),
    })
}
