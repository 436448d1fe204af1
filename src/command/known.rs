//! The programs that are known by their names, and what each does: train, or one of the things that are no training.
//!
//! A name is a program with its subcommands (`swift sft`), a Python module or its package (`vllm`), a script, or an
//! image whose own program runs. Sources: the documentation of each program, and for benchmarks the programs that
//! nccl-tests, rccl-tests, perftest, DCGM, the CUDA samples and the OSU benchmarks install.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::wrappers::starts_with;
use super::{Launch, Target, Word, basename};
use crate::job::Cause;

/// What a known program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Does {
    /// It trains.
    Trains,
    /// It trains nothing.
    Not(Cause),
    /// It looks at the machine or sets it up. The program after it decides.
    Prepares(Cause),
}

use Does::{Not, Prepares, Trains};

/// Programs, by what they do: their names, separated by commas.
const PROGRAMS: &[(Does, &str)] = &[
    (
        Trains,
        "axolotl train, axolotl.cli.train, llamafactory-cli train, lmf train, swift sft, swift pt, \
         swift rlhf, megatron sft, megatron pt, megatron rlhf, xtuner train, litgpt pretrain, \
         litgpt finetune, litgpt finetune_lora, litgpt finetune_full, litgpt finetune_adapter, \
         litgpt finetune_adapter_v2, trl sft, trl dpo, trl grpo, trl kto, trl reward, nemo llm pretrain, \
         nemo llm finetune, autotrain llm, fairseq-train, fairseq-hydra-train, ilab model train, \
         oumi train, simpletuner train, automodel, automodel finetune, unsloth train, MaxText.train, \
         MaxText.sft.sft_trainer, maxtext.train, mlx_lm.lora, \
         yolo train, yolo detect train, tuning.sft_trainer, verl.trainer.sft_trainer, \
         verl.trainer.fsdp_sft_trainer, verl.trainer.main_ppo, levanter.main.train_lm",
    ),
    (
        Not(Cause::Server),
        "vllm, vllm serve, sglang, sglang serve, lmdeploy, text_generation_server, \
         text-generation-launcher, text-embeddings-router, tritonserver, tensorrt_llm, trtllm-serve, \
         fastchat, uvicorn, gunicorn, hypercorn, ollama, ollama serve, llama-server, llama.cpp, \
         llamafactory-cli api, llamafactory-cli webui, llamafactory-cli chat, swift deploy, swift app, \
         swift web-ui, litgpt serve, litgpt chat, localai, local-ai, xinference, xinference-local, \
         xinference-worker, xinference-supervisor, bentoml, torchserve, mlserver, \
         seldon-core-microservice, infinity, ktransformers, ktransformers.server.main, tabby serve, \
         aphrodite, dynamo serve, dynamo.vllm, dynamo.sglang, dynamo.trtllm, dynamo.frontend, serve run, \
         serve deploy, ray.serve, huggingfaceserver, streamlit, tensorflow_model_server, petals, \
         trl vllm-serve, mlflow server, launch_triton_server.py, \
         dockerd-entrypoint.sh serve",
    ),
    (
        Not(Cause::Notebook),
        "jupyter, jupyter-lab, jupyter-notebook, jupyter-labhub, jupyterhub-singleuser, start-notebook.sh, \
         start-notebook.py, start-singleuser.sh, notebook, jupyterlab, code-server, openvscode-server, \
         rstudio-server, marimo, vncserver, ttyd",
    ),
    (
        Not(Cause::Evaluation),
        "lm_eval, lm-eval, lm_evaluation_harness, lighteval, opencompass, evalscope, evalscope eval, \
         swift eval, bigcode_eval, evalplus, evalplus.evaluate, helm-run, inspect eval, inspect_eval, \
         vlmeval, lmms_eval, litgpt evaluate, llamafactory-cli eval, mteb, simple_evals, nemo_evaluator, \
         eval-factory, axolotl evaluate, oumi evaluate, ilab model evaluate, pytest, unittest",
    ),
    (
        Not(Cause::Inference),
        "axolotl inference, swift infer, swift sample, litgpt generate, llama-cli, ilab model chat, \
         oumi infer, unsloth inference, unsloth chat, whisper, whisperx, fairseq-generate, \
         fairseq-interactive, onmt_translate, ct2-translator",
    ),
    (
        Not(Cause::Conversion),
        "axolotl merge-lora, axolotl merge-sharded-fsdp-weights, axolotl quantize, \
         llamafactory-cli export, swift export, swift merge-lora, megatron export, megatron convert, \
         litgpt convert_to_litgpt, litgpt convert_from_litgpt, litgpt merge_lora, \
         litgpt convert_hf_checkpoint, mergekit, mergekit-yaml, mergekit-moe, optimum-cli, trtllm-build, \
         trtexec, llama-quantize, llmcompressor, auto_gptq, autoawq, gptqmodel, nemo llm import, \
         nemo llm export, zero_to_fp32.py, torch-model-archiver, tensorrt_llm.commands.build, \
         convert_hf_to_gguf.py, xtuner convert, accelerate merge-weights",
    ),
    (
        Not(Cause::Preparation),
        "axolotl preprocess, litgpt download, tune download, tune cp, tune ls, tune validate, \
         huggingface-cli, hf, fairseq-preprocess, xtuner preprocess, xtuner copy-cfg, datatrove, \
         nemo_curator, data_juicer, dj-process, llamafactory-cli env, accelerate config, accelerate env, \
         accelerate estimate-memory, accelerate test, modelscope, modelscope download, spark-submit, \
         dask-scheduler, dask-worker, dask-cuda-worker, dvc, ffmpeg, aria2c, rclone, s5cmd, azcopy, \
         kaggle, deepspeed.env_report, ds_report",
    ),
    (
        Not(Cause::Simulation),
        "lmp, lmp_mpi, lmp_gpu, lmp_serial, lammps, gmx, gmx_mpi, mdrun, namd2, namd3, pmemd.cuda, amber, \
         pw.x, cp.x, vasp, vasp_std, vasp_gam, vasp_ncl, cp2k, cp2k.psmp, cp2k.popt, qmcpack, nek5000, \
         nekrs, simpleFoam, icoFoam, interFoam, foamRun, wrf.exe, fluent, xhpl, hpcg, xhpcg, hpl.sh, \
         hpcg.sh, hpl-mxp.sh, colabfold_batch, run_alphafold.py, relion_refine, blender, isaac-sim.sh, \
         runheadless.native.sh, parabricks, pbrun, charmm, abinit, siesta, octopus, su2, SU2_CFD, Xyce, \
         xmrig, ethminer, t-rex",
    ),
    (
        Not(Cause::Benchmark),
        "all_reduce_perf, all_gather_perf, alltoall_perf, alltoallv_perf, broadcast_perf, gather_perf, \
         hypercube_perf, reduce_perf, reduce_scatter_perf, scatter_perf, sendrecv_perf, \
         all_reduce_perf_mpi, all_gather_perf_mpi, reduce_scatter_perf_mpi, alltoall_perf_mpi, \
         sendrecv_perf_mpi, nccl-tests, rccl-tests, run_nccl_tests.sh, run-nccl-test, hccl_test, \
         ib_read_bw, ib_read_lat, ib_send_bw, ib_send_lat, ib_write_bw, ib_write_lat, nvbandwidth, \
         bandwidthTest, deviceQuery, vectorAdd, p2pBandwidthLatencyTest, simpleP2P, nbody, matrixMul, \
         gpu-burn, gpu_burn, dcgmproftester, dcgmproftester11, dcgmproftester12, dcgmproftester13, \
         rocblas-bench, hipblaslt-bench, rocm-bandwidth-test, rocm_bandwidth_test, transferBench, \
         TransferBench, rvs, osu_allreduce, osu_bw, osu_latency, osu_alltoall, IMB-MPI1, ucx_perftest, \
         superbench, sb run, vllm bench, trtllm-bench, genai-perf, perf_analyzer, aiperf, guidellm, \
         llmperf, sglang.bench_serving, sglang.bench_one_batch, sglang.bench_offline_throughput, \
         llama-bench, fio, stress-ng, iperf3, inference-perf, hccl_demo, nccom-test",
    ),
    (
        Prepares(Cause::Benchmark),
        "nvidia-smi, rocm-smi, amd-smi, npu-smi, hl-smi, xpu-smi, neuron-ls, neuron-top, neuron-monitor, \
         dcgmi, dcgm-exporter, nvtop, nvitop, gpustat, nvcc, ibstat, ibstatus, ibv_devinfo, ibdev2netdev, \
         ibping, torch.utils.collect_env, nvidia-bug-report.sh, rocminfo, clinfo, lspci, ethtool, fi_info",
    ),
    (
        Prepares(Cause::Preparation),
        "pip, ensurepip, venv, virtualenv, setup.py, http.server, zipfile, tarfile, json.tool, compileall, \
         get-pip.py, get_pip.py, nltk.downloader, gdown",
    ),
    (
        // They show what runs beside them.
        Prepares(Cause::Server),
        "tensorboard, prometheus, node_exporter",
    ),
    (
        Prepares(Cause::Idle),
        "ray start, ray.scripts.scripts, sshd, supervisord, s6-svscan, dockerd, containerd, rpcbind, \
         slurmd, munged, etcd, redis-server, tmux, screen, pause, ssh-agent, syslogd, cron, crond, \
         dbus-daemon",
    ),
];

/// Images whose own program is known, by a part of the image's path without its tag.
const IMAGES: &[(Cause, &str)] = &[
    (
        Cause::Server,
        "vllm-openai, vllm-tpu, vllm-openai-rocm, rocm-vllm, text-generation-inference, \
         text-embeddings-inference, tritonserver, sglang, lmdeploy, ollama, localai, local-ai, \
         kserve-huggingfaceserver, huggingfaceserver, torchserve, torchserve-kfs, nim, open-webui, \
         tensorflow-serving, llama.cpp, xinference, djl-serving, djl-inference, infinity, llm-d, \
         llm-d-cuda, whisper-asr-webservice, tabby, stable-diffusion-webui, comfyui",
    ),
    (
        Cause::Notebook,
        "jupyter, base-notebook, minimal-notebook, scipy-notebook, pytorch-notebook, tensorflow-notebook, \
         jupyter-pytorch, jupyter-pytorch-full, jupyter-pytorch-cuda, jupyter-pytorch-cuda-full, \
         jupyter-tensorflow-cuda-full, singleuser, k8s-singleuser-sample, code-server, gpu-jupyter, \
         codeserver, codeserver-python, datascience-notebook, rstudio",
    ),
    (
        Cause::Benchmark,
        "dcgm-exporter, cuda-sample, cuda-vector-add, gpu-burn, gpu-operator-validator, k8s-device-plugin, \
         nccl-tests, rccl-tests, nvbandwidth, hpc-benchmarks, gpu-feature-discovery",
    ),
    (Cause::Idle, "pause"),
];

/// The same programs by the first words of their names.
static BY_FIRST_WORD: LazyLock<BTreeMap<&str, Vec<(&str, Does)>>> = LazyLock::new(|| {
    let mut programs: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (does, names) in PROGRAMS {
        for name in names.split(", ") {
            programs.entry(first_word(name)).or_default().push((name, *does));
        }
    }
    programs
});

fn first_word(name: &str) -> &str {
    name.split(' ').next().unwrap_or(name)
}

/// The known program of several words with which a command begins, and their number.
pub(crate) fn of_several_words(words: &[Word]) -> Option<(&'static str, usize)> {
    let programs = BY_FIRST_WORD.get(basename(&words.first()?.text))?;
    let names = programs.iter().map(|(name, _)| *name).filter(|name| name.contains(' '));
    let begins = |name: &&str| starts_with(words, name.split(' '));
    names.filter(begins).map(|name| (name, name.split(' ').count())).max_by_key(|(_, length)| *length)
}

/// Whether a program of this name is known, with or without subcommands.
pub(crate) fn begins_with(name: &str) -> bool {
    BY_FIRST_WORD.contains_key(name)
}

/// What a launch does, if its program is known.
pub(crate) fn does(launch: &Launch) -> Option<Does> {
    match &launch.target {
        Target::Program(name) => of_name(name).or_else(|| of_name(first_word(name))),
        Target::Script(path) => of_name(basename(path)),
        Target::Module(name) => {
            // `vllm.entrypoints.openai.api_server`: the package counts, too.
            let packages = name.match_indices('.').rev().filter_map(|(end, _)| name.get(..end));
            std::iter::once(name.as_str()).chain(packages).find_map(of_name)
        }
        Target::Unknown => of_image(launch.image.as_deref()?).map(Not),
    }
}

/// What a program of this name does, if it is known.
fn of_name(name: &str) -> Option<Does> {
    let programs = BY_FIRST_WORD.get(first_word(name))?;
    programs.iter().find(|(known, _)| *known == name).map(|(_, does)| *does)
}

/// What an image's own program does, if it is known: by a part of its path, without a tag or a digest. A part may say more
/// than a long name: `huggingface-text-generation-inference-cu121`. A tag may say that it is a notebook.
fn of_image(image: &str) -> Option<Cause> {
    const LONG: usize = 12;
    let within = |names: &str, part: &str| {
        let bounded = |name: &str| {
            format!("-{part}-")
                .split_once(name)
                .is_some_and(|(before, after)| before.ends_with(['-', '.']) && after.starts_with(['-', '.']))
        };
        lists(names, part) || names.split(", ").any(|name| name.len() >= LONG && bounded(name))
    };
    let parts = image.split('/').map(|part| part.split([':', '@']).next().unwrap_or(part));
    let by_name = parts
        .rev()
        .find_map(|part| IMAGES.iter().find(|(_, names)| within(names, part)).map(|(cause, _)| *cause));
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag);
    by_name.or_else(|| tag.split('-').any(|word| word == "jupyter").then_some(Cause::Notebook))
}

fn lists(names: &str, name: &str) -> bool {
    names.split(", ").any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_program_and_no_image_is_listed_twice() {
        let programs = PROGRAMS.iter().flat_map(|(_, names)| names.split(", "));
        let images = IMAGES.iter().flat_map(|(_, names)| names.split(", "));
        for mut names in [programs.collect::<Vec<_>>(), images.collect()] {
            names.sort_unstable();
            let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
            assert!(twice.is_empty() && !names.contains(&""), "{twice:?}");
        }
    }

    #[test]
    fn a_module_is_known_by_its_package_and_an_image_by_a_part_of_its_path() {
        let module = |name: &str| does(&Launch { target: Target::Module(name.into()), ..Launch::default() });
        assert_eq!(module("vllm.entrypoints.openai.api_server"), Some(Not(Cause::Server)));
        assert_eq!(module("axolotl.cli.train"), Some(Trains));
        assert_eq!(module("axolotl.cli"), None);
        let image = |image: &str| does(&Launch { image: Some(image.into()), ..Launch::default() });
        assert_eq!(image("docker.io/vllm/vllm-openai:v0.9"), Some(Not(Cause::Server)));
        assert_eq!(image("registry:5000/team/trainer@sha256:0"), None);
        let named = "gcr.io/huggingface-text-generation-inference-cu121.2-1.ubuntu2204.py310";
        assert_eq!(image(named), Some(Not(Cause::Server)));
        assert_eq!(image("tensorflow/tensorflow:2.12.0-gpu-jupyter"), Some(Not(Cause::Notebook)));
        assert_eq!(image("quay.io/jupyter/pytorch-notebook"), Some(Not(Cause::Notebook)));
    }
}
