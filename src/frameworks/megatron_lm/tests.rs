//! What Megatron-LM's commands say.

use proptest::prelude::*;

use crate::command::{Arguments, Word};
use crate::frameworks::examples::told;
use crate::frameworks::megatron_lm::*;

const GPT3: &str = "torchrun --nproc_per_node=8 --nnodes=2 /workspace/Megatron-LM/pretrain_gpt.py \
    --tensor-model-parallel-size=8 --pipeline-model-parallel-size=1 --num-layers=36 --hidden-size=4096 \
    --num-attention-heads=32 --seq-length=2048 --max-position-embeddings=2048 --micro-batch-size=1 \
    --global-batch-size=288 --train-samples=146484375 --lr=6.0e-5 --data-path=/data/text \
    --vocab-file=/data/gpt2-vocab.json --fp16 --recompute-activations";

const LLAMA_2_70B: &str = "torchrun pretrain_gpt.py --tensor-model-parallel-size 4 --pipeline-model-parallel-size 4 \
    --num-layers-per-virtual-pipeline-stage 5 --sequence-parallel --use-distributed-optimizer --num-layers 80 \
    --hidden-size 8192 --ffn-hidden-size 28672 --num-attention-heads 64 --group-query-attention --num-query-groups 8 \
    --swiglu --normalization RMSNorm --use-rotary-position-embeddings --disable-bias-linear \
    --untie-embeddings-and-output-weights --attention-dropout 0 --hidden-dropout 0.0 --seq-length 4096 \
    --max-position-embeddings 4096 --micro-batch-size 1 --global-batch-size 1024 --train-iters 500000 --bf16 \
    --tokenizer-type HuggingFaceTokenizer --tokenizer-model meta-llama/Llama-2-70b-hf --use-flash-attn \
    --recompute-granularity full --recompute-method block --recompute-num-layers 2";

const DEEPSEEK: &str = "torchrun pretrain_gpt.py --num-layers 61 --hidden-size 7168 --ffn-hidden-size 18432 \
    --num-attention-heads 128 --kv-channels 128 --multi-latent-attention --q-lora-rank 1536 --kv-lora-rank 512 \
    --qk-head-dim 128 --qk-pos-emb-head-dim 64 --v-head-dim 128 --num-experts 256 --moe-router-topk 8 \
    --moe-ffn-hidden-size 2048 --moe-shared-expert-intermediate-size 2048 --moe-layer-freq ([0]*3+[1]*58) \
    --moe-token-dispatcher-type flex --moe-enable-deepep --mtp-num-layers 1 --swiglu --normalization RMSNorm \
    --position-embedding-type rope --disable-bias-linear --untie-embeddings-and-output-weights --qk-layernorm \
    --vocab-size 129280 --make-vocab-size-divisible-by 3232 --hidden-dropout 0.0 --attention-dropout 0.0 \
    --tensor-model-parallel-size 2 --sequence-parallel --pipeline-model-parallel-size 8 \
    --pipeline-model-parallel-layout Et*3|(tt|)*29m|L --expert-model-parallel-size 32 \
    --expert-tensor-parallel-size 1 --use-distributed-optimizer --micro-batch-size 1 --global-batch-size 8192 \
    --seq-length 4096 --max-position-embeddings 4096 --train-samples 585937500 --bf16 --fp8-format e4m3 \
    --use-precision-aware-optimizer --main-grads-dtype fp32 --main-params-dtype fp32 --exp-avg-dtype bf16 \
    --exp-avg-sq-dtype bf16 --recompute-granularity selective --recompute-modules mla_up_proj mlp \
    --attention-backend fused --cross-entropy-loss-fusion --enable-experimental --cuda-graph-impl transformer_engine";

const DEEPSPEED: &str = "deepspeed --num_nodes 4 --num_gpus 8 pretrain_gpt.py --deepspeed --deepspeed_config /etc/ds.json \
    --zero-stage 2 --num-layers 24 --hidden-size 2048 --num-attention-heads 16 --seq-length 2048 \
    --max-position-embeddings 2048 --micro-batch-size 4 --global-batch-size 512 --train-tokens 300000000000 \
    --bf16 --checkpoint-activations --deepspeed-activation-checkpointing --use-flash-attn-v2";

/// What the words of a command say.
fn told_words(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    told(Launch::of_words(&words))
}

#[test]
fn a_gpt_3_says_its_shape_and_the_defaults_of_the_rest() {
    insta::assert_snapshot!(told_words(GPT3));
}

#[test]
fn a_llama_2_says_its_division_and_what_is_recomputed() {
    insta::assert_snapshot!(told_words(LLAMA_2_70B));
}

#[test]
fn a_deepseek_says_its_experts_and_its_latent_attention() {
    insta::assert_snapshot!(told_words(DEEPSEEK));
}

#[test]
fn mindspeed_has_names_of_its_own_for_experts_and_latent_attention() {
    let own = DEEPSEEK
        .replace("--multi-latent-attention", "--multi-head-latent-attention")
        .replace("--qk-head-dim", "--qk-nope-head-dim")
        .replace("--qk-pos-emb-head-dim", "--qk-rope-head-dim")
        .replace("--moe-ffn-hidden-size", "--moe-intermediate-size")
        .replace("--moe-shared-expert-intermediate-size 2048", "--n-shared-experts 1")
        .replace("--moe-layer-freq ([0]*3+[1]*58)", "--first-k-dense-replace 3");
    let values = |command: &str| -> Vec<String> {
        let told = told_words(command);
        let mut values: Vec<_> =
            told.lines().filter_map(|line| Some(line.split_once("  (")?.0.to_owned())).collect();
        values.sort();
        values
    };
    assert_eq!(values(&own), values(DEEPSEEK));
}

#[test]
fn instruction_data_is_as_long_as_its_samples_unless_it_is_packed() {
    let told = |more: &str| told_words(&format!("{LLAMA_2_70B} {more}"));
    assert!(told("--variable-seq-lengths").contains("batch.packing = false"));
    assert!(told("--no-pad-to-seq-lengths").contains("batch.packing = false"));
    assert!(!told("--variable-seq-lengths --neat-pack").contains("batch.packing"));
}

#[test]
fn deepspeeds_configuration_decides_the_stage() {
    let words: Vec<&str> = DEEPSPEED.split_whitespace().collect();
    let launch = Launch::of_words(&words);
    insta::assert_snapshot!(told(launch.with_file("/etc/ds.json", r#"{"zero_optimization": {"stage": 1}}"#)));
    let by_option = told_words(DEEPSPEED);
    assert!(
        by_option.contains("parallelism.sharding = \"ZeRO2\"  (container trainer: --zero-stage)"),
        "{by_option}"
    );
}

#[test]
fn other_models_are_beyond() {
    for command in [
        "torchrun pretrain_bert.py --num-layers 24 --hidden-size 1024",
        "torchrun -m megatron.pretrain_t5 --encoder-num-layers 12",
        "torchrun pretrain_gpt.py --num-layers 52 --hybrid-override-pattern M-M*-",
        "torchrun pretrain_gpt.py --perform-rl-step --num-layers 32",
    ] {
        let said = told_words(command);
        assert!(said.starts_with("beyond: "), "{command}: {said}");
    }
}

#[test]
fn options_of_others_are_not_read() {
    for command in [
        "torchrun train.py --num_layers 32 --hidden_width 4096 --num_heads 32 --train_batch_size 1",
        "torchrun train.py --num-layers 32 --hidden-size 4096 --micro-batch-size 1",
        "python pretrain.py",
    ] {
        assert_eq!(told_words(command), "", "{command}");
    }
}

#[test]
fn behind_a_word_that_nobody_knows_no_default_is_believed() {
    let with = |word: &str| {
        let words = GPT3.split_whitespace().map(Word::known);
        let words = words.chain([Word { text: word.into(), known: false }]).collect();
        told(Launch {
            target: Target::Script("pretrain_gpt.py".into()),
            arguments: Arguments::of(words),
            ..Launch::default()
        })
    };
    assert!(with("--lr=$LR").contains(" default"));
    let degree = with("--expert-model-parallel-size=$EP");
    assert!(degree.contains("may be: parallelism.expert = 64"), "{degree}");
    for word in ["$EXTRA_ARGS", "--$NAME"] {
        let said = with(word);
        assert!(said.contains("model.layers = 36") && !said.contains(" default"), "{word}: {said}");
    }
}

#[test]
fn a_value_that_nobody_can_take_says_nothing() {
    let shape = "torchrun pretrain_gpt.py --num-layers 24 --hidden-size 1024 --num-attention-heads 16";
    for (options, field) in [
        ("--micro-batch-size -1", "batch.microBatchSize"),
        ("--micro-batch-size nan", "batch.microBatchSize"),
        ("--micro-batch-size", "batch.microBatchSize"),
        ("--tensor-model-parallel-size 0", "parallelism.tensor"),
        ("--seq-length 99999999999999999999999999", "batch.sequenceLength"),
        ("--hidden-dropout inf", "model.hiddenDropout"),
        ("--hidden-dropout -0.1", "model.hiddenDropout"),
        ("--train-samples 18446744073709551615 --seq-length 4096", "dataset.tokens"),
        ("--num-layers-per-virtual-pipeline-stage 0", "parallelism.virtualPipeline"),
        ("--moe-shared-expert-intermediate-size 10 --moe-ffn-hidden-size 0", "model.sharedExperts"),
        (
            "--pipeline-model-parallel-layout t|t|t --pipeline-model-parallel-size 2",
            "parallelism.virtualPipeline",
        ),
    ] {
        let said = told_words(&format!("{shape} {options}"));
        let values = said.lines().filter(|line| !line.starts_with("warning: "));
        assert!(!values.clone().any(|line| line.starts_with(field)), "{options}: {said}");
    }
    let twice = told_words(&format!("{shape} --seq-length 1024 --seq-length 2048"));
    assert!(twice.contains("batch.sequenceLength = 2048"), "the last one counts, as for argparse: {twice}");
}

proptest! {
    #[test]
    fn no_words_panic(words in proptest::collection::vec(
        prop_oneof![
            "[ -~]{0,24}",
            proptest::sample::select(options::TABLE.iter().flat_map(|flag| flag.names()).copied().collect::<Vec<_>>())
                .prop_map(|name| format!("--{name}")),
            any::<i64>().prop_map(|number| number.to_string()),
        ],
        0..40,
    )) {
        let words: Vec<&str> = ["torchrun", "pretrain_gpt.py"].into_iter().chain(words.iter().map(String::as_str)).collect();
        let _ = told_words(&words.join(" "));
    }
}
