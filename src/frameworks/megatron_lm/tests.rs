//! Laws of Megatron-LM's options. The commands that they begin with are fixtures.

use proptest::prelude::*;

use crate::command::{Arguments, Word};
use crate::frameworks::fixtures;
use crate::frameworks::megatron_lm::*;

/// The claims about a command.
fn claims_of(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    fixtures::claims(Launch::of_words(&words))
}

/// The claims about a fixture's launch with more arguments.
fn claims_with(case: &str, more: impl IntoIterator<Item = Word>) -> String {
    let launch = fixtures::launch("megatron_lm", case);
    let words = launch.arguments.words().iter().cloned().chain(more).collect();
    fixtures::claims(Launch { arguments: Arguments::of(words), ..launch })
}

#[test]
fn mindspeed_has_names_of_its_own_for_experts_and_latent_attention() {
    let values = |case: &str| -> Vec<String> {
        let claims = claims_with(case, []);
        let mut values: Vec<_> =
            claims.lines().filter_map(|line| Some(line.split_once("  (")?.0.to_owned())).collect();
        values.sort();
        values
    };
    assert_eq!(values("mindspeed-deepseek-v3"), values("deepseek-v3"));
}

#[test]
fn instruction_data_is_as_long_as_its_samples_unless_it_is_packed() {
    let claims = |more: &str| claims_with("llama-2-70b", more.split(' ').map(Word::known));
    assert!(claims("--variable-seq-lengths").contains("batch.packing = false"));
    assert!(claims("--no-pad-to-seq-lengths").contains("batch.packing = false"));
    assert!(!claims("--variable-seq-lengths --neat-pack").contains("batch.packing"));
}

#[test]
fn an_unknown_word_may_hold_any_option_and_no_default_is_claimed() {
    let claims = |word: &str| claims_with("gpt-3", [Word { text: word.into(), known: false }]);
    assert!(claims("--lr=$LR").contains(" default"));
    let degree = claims("--expert-model-parallel-size=$EP");
    assert!(degree.contains("open: parallelism.expert = 64"), "{degree}");
    for word in ["$EXTRA_ARGS", "--$NAME"] {
        let claims = claims(word);
        assert!(claims.contains("model.layers = 36") && !claims.contains(" default"), "{word}: {claims}");
    }
}

#[test]
fn a_value_out_of_range_makes_no_claim() {
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
        let claims = claims_of(&format!("{shape} {options}"));
        assert!(!claims.lines().any(|line| line.starts_with(field)), "{options}: {claims}");
    }
    let twice = claims_of(&format!("{shape} --seq-length 1024 --seq-length 2048"));
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
        let _ = claims_of(&words.join(" "));
    }
}

#[test]
fn several_instances_of_the_optimizer_divide_its_states_among_fewer_ranks() {
    let claims = |launcher: &str| {
        claims_of(&format!(
            "{launcher} pretrain_gpt.py --num-layers 24 --hidden-size 1024 --num-attention-heads 16 --micro-batch-size 1 \
             --tensor-model-parallel-size 2 --use-distributed-optimizer --num-distributed-optimizer-instances 2"
        ))
    };
    // 16 processes, 2 ranks a replica, 2 instances.
    let known = claims("torchrun --nnodes 2 --nproc_per_node 8");
    assert!(known.contains("parallelism.shardingDegree = 4"), "{known}");
    assert!(!claims("torchrun --nproc_per_node $N").contains("shardingDegree"));
}

#[test]
fn a_fused_cross_entropy_is_read_with_its_implementation() {
    let loss = |more: &str| {
        let claims = claims_with("gpt-3", more.split_whitespace().map(Word::known));
        claims
            .lines()
            .find(|line| line.starts_with("loss = "))
            .map(|line| line.split("  (").next().unwrap().to_owned())
    };
    let read: Vec<Option<String>> = [
        "",
        "--cross-entropy-loss-fusion",
        "--cross-entropy-loss-fusion --cross-entropy-fusion-impl te",
        "--cross-entropy-loss-fusion --cross-entropy-fusion-impl linear",
    ]
    .map(loss)
    .into();
    let expected = ["VocabParallel", "CompiledVocabParallel", "InPlace", "Fused"];
    assert_eq!(read, expected.map(|loss| Some(format!("loss = \"{loss}\""))));
}

#[test]
fn mindspeeds_gated_activations_and_prediction_layers_have_names_of_their_own() {
    let claims = |more: &str| claims_with("gpt-3", more.split_whitespace().map(Word::known));
    for option in ["--geglu", "--gelu-tanh"] {
        assert!(claims(option).contains("model.activation = \"SwiGLU\""), "{option}: {}", claims(option));
    }
    assert!(claims("--num-nextn-predict-layers 1").contains("model.multiTokenPredictionLayers = 1"));
}

#[test]
fn a_router_that_is_forced_to_balance_gives_every_expert_an_even_share() {
    let claims = claims_with("deepseek-v3", [Word::known("--moe-router-force-load-balancing")]);
    assert!(claims.contains("parallelism.capacityFactor = \"1\""), "{claims}");
}

#[test]
fn megatrons_fsdp_divides_everything_or_by_an_earlier_default_nothing() {
    let claims = |more: &str| claims_with("gpt-3", more.split_whitespace().map(Word::known));
    let alone = claims("--use-megatron-fsdp");
    assert!(alone.contains("parallelism.sharding = \"FSDP\"  (Megatron-LM core_v0.18 default)"), "{alone}");
    assert!(alone.contains("open: parallelism.sharding = \"None\" at the most"), "{alone}");
    let stated = claims("--use-megatron-fsdp --data-parallel-sharding-strategy no_shard");
    assert!(stated.contains("parallelism.sharding = \"None\"  (container trainer"), "{stated}");
}
