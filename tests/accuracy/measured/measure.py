"""Measures training steps of Hugging Face Transformers on one NVIDIA GPU: seconds, and memory by three counters.

Every run is the real `Trainer` in a process of its own, on random weights of the model's published dimensions and on
random tokens, so nothing is downloaded. What a run is, one line of runs.txt says:

    model  method  weights  optimizer  recompute  compile  batch  accumulation  [options]

    method      full, lora (rank 16 on all linear layers), lora-attention (rank 16 on q, k, v and o)
    weights     fp32+amp: fp32 weights, bf16=True      bf16+amp: bf16 weights, bf16=True      bf16: bf16 weights alone
    batch       sequences a microbatch × tokens a sequence
    options     mask: the last tenth of each sequence is padding; dropout: LoRA's dropout of 5 %;
                eager: attention without a fused kernel

    python3 measure.py > rows.csv                     all of it, about ten minutes on an H200
    python3 measure.py --seconds 300 --skip 10        the runs after the tenth, as many as begin in 300 seconds

Columns: `step_seconds` is the median over the steps after the first two, from the end of one step to the end of the
next; `allocated_gib` and `reserved_gib` are the allocator's peaks over all steps; `process_gib` is what the device had
in use after the last step less what it had before the process began (NVML); `rest_gib`, `backward_gib` and `step_gib`
are allocated between steps, and the peaks of forward and backward pass and of the optimizer's step;
`beside_gib` is what of `process_gib` the allocator does not hold.
"""

import argparse
import json
import os
import select
import signal
import statistics
import sys
import tempfile
import time

os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # a CUDA context made here would keep children from making theirs
os.environ["TOKENIZERS_PARALLELISM"] = "false"

import peft
import torch
import transformers
from transformers import AutoModelForCausalLM, Trainer, TrainerCallback, TrainingArguments

GIB = 2**30
DEVICE = "cuda"
MODELS = {
    # hidden, layers, heads, key-value heads, feed-forward, vocabulary, tied, head size
    "gpt2-medium": ("GPT2", 1024, 24, 16, 16, 4096, 50257, True, 64),
    "gpt2-xl": ("GPT2", 1600, 48, 25, 25, 6400, 50257, True, 64),
    "qwen2.5-0.5b": ("Qwen2", 896, 24, 14, 2, 4864, 151936, True, 64),
    "qwen2.5-1.5b": ("Qwen2", 1536, 28, 12, 2, 8960, 151936, True, 128),
    "qwen2.5-7b": ("Qwen2", 3584, 28, 28, 4, 18944, 152064, False, 128),
    "qwen2.5-14b": ("Qwen2", 5120, 48, 40, 8, 13824, 152064, False, 128),
    "qwen2.5-32b": ("Qwen2", 5120, 64, 40, 8, 27648, 152064, False, 128),
    "llama-3.2-1b": ("Llama", 2048, 16, 32, 8, 8192, 128256, True, 64),
    "llama-3.2-3b": ("Llama", 3072, 28, 24, 8, 8192, 128256, True, 128),
    "llama-3.1-8b": ("Llama", 4096, 32, 32, 8, 14336, 128256, False, 128),
    "mistral-7b-v0.3": ("Mistral", 4096, 32, 32, 8, 14336, 32768, False, 128),
    "phi-3-mini": ("Phi3", 3072, 32, 32, 32, 8192, 32064, False, 96),
    "gemma-2-2b": ("Gemma2", 2304, 26, 8, 4, 9216, 256000, True, 256),
    "qwen3-4b": ("Qwen3", 2560, 36, 32, 8, 9728, 151936, True, 128),
    "qwen3-8b": ("Qwen3", 4096, 36, 32, 8, 12288, 151936, False, 128),
    "olmoe-1b-7b": ("Olmoe", 2048, 16, 16, 16, 1024, 50304, False, 128),
    "qwen3-30b-a3b": ("Qwen3Moe", 2048, 48, 32, 4, 6144, 151936, False, 128),
}
# What these have beside the columns above.
MORE = {
    "mistral-7b-v0.3": {"sliding_window": None},
    "phi-3-mini": {"sliding_window": 2047, "pad_token_id": 0},
    "olmoe-1b-7b": {"num_experts": 64, "num_experts_per_tok": 8},
    "qwen3-30b-a3b": {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768},
}
LINEAR = {"GPT2": ["c_attn", "c_proj", "c_fc"], "Phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]}
ATTENTION = {"GPT2": ["c_attn"], "Phi3": ["qkv_proj", "o_proj"]}
HERE = os.path.dirname(os.path.abspath(__file__))
COLUMNS = [
    "model", "method", "weights", "optimizer", "recompute", "compile", "micro_batch", "sequence", "accumulation",
    "options", "outcome", "step_seconds", "tokens_per_second", "steps", "allocated_gib", "reserved_gib", "process_gib",
    "beside_gib", "rest_gib", "backward_gib", "step_gib", "parameters", "trained", "loss", "wall_seconds",
]


def config(name):
    kind, hidden, layers, heads, kv_heads, ffn, vocab, tied, head = MODELS[name]
    make = getattr(transformers, f"{kind}Config")
    if kind == "GPT2":
        return make(n_embd=hidden, n_layer=layers, n_head=heads, use_cache=False)
    return make(
        hidden_size=hidden, num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=kv_heads,
        intermediate_size=ffn, vocab_size=vocab, tie_word_embeddings=tied, head_dim=head, use_cache=False,
        max_position_embeddings=32768, **MORE.get(name, {}),
    )


def parse(line):
    words = line.split()
    keys = ["model", "method", "weights", "optimizer", "recompute", "compile", "batch", "accumulation"]
    run = dict(zip(keys, words)) | {"options": words[8:]}
    micro, sequence = run["batch"].split("x")
    return run | {"micro": int(micro), "sequence": int(sequence), "accumulation": int(run["accumulation"])}


class Watch(TrainerCallback):
    """Notes when steps end and what was allocated, and ends training when enough is known."""

    def __init__(self, seconds):
        self.ends, self.rest, self.backward, self.step, self.reserved, self.seconds = [], 0, 0, 0, 0, seconds

    def peak(self):
        peak = torch.cuda.max_memory_allocated()
        self.reserved = max(self.reserved, torch.cuda.max_memory_reserved())
        torch.cuda.reset_peak_memory_stats()
        return peak

    def on_pre_optimizer_step(self, *_, **__):
        self.backward = max(self.backward, self.peak())

    def on_optimizer_step(self, *_, **__):
        self.step = max(self.step, self.peak())

    def on_step_end(self, args, state, control, **_):
        torch.cuda.synchronize()
        self.ends.append(time.perf_counter())
        self.rest = torch.cuda.memory_allocated()
        taken = self.ends[-1] - self.ends[1] if len(self.ends) > 2 else 0.0
        control.should_training_stop = len(self.ends) >= 7 or taken >= self.seconds


def in_use():
    """What the device has in use by all processes."""
    import pynvml

    pynvml.nvmlInit()
    used = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByIndex(0)).used
    pynvml.nvmlShutdown()
    return used


def model_of(run):
    kind = MODELS[run["model"]][0]
    dtype = torch.float32 if run["weights"] == "fp32+amp" else torch.bfloat16
    attention = "eager" if "eager" in run["options"] else "sdpa"
    with torch.device(DEVICE):
        model = AutoModelForCausalLM.from_config(config(run["model"]), dtype=dtype, attn_implementation=attention)
        if run["method"] != "full":
            linear = ["q_proj", "k_proj", "v_proj", "o_proj"]
            named = LINEAR.get(kind, linear + ["gate_proj", "up_proj", "down_proj"])
            if run["method"] == "lora-attention":
                named = ATTENTION.get(kind, linear)
            dropout = 0.05 if "dropout" in run["options"] else 0.0
            lora = peft.LoraConfig(r=16, lora_alpha=32, lora_dropout=dropout, target_modules=named, task_type="CAUSAL_LM")
            model = peft.get_peft_model(model, lora)
    return model


def measure(run, seconds):
    """One run, in this process."""
    started, before = time.perf_counter(), in_use()
    torch.manual_seed(0)
    watch, row = Watch(seconds), {"outcome": "fits"}
    try:
        model = model_of(run)
        row["parameters"] = sum(p.numel() for p in model.parameters())
        row["trained"] = sum(p.numel() for p in model.parameters() if p.requires_grad)
        tokens = torch.randint(0, config(run["model"]).vocab_size, (64, run["sequence"]))
        samples = [{"input_ids": ids, "labels": ids} for ids in tokens]
        if "mask" in run["options"]:
            mask = torch.ones(run["sequence"], dtype=torch.long)
            mask[-run["sequence"] // 10 :] = 0
            samples = [sample | {"attention_mask": mask} for sample in samples]
        samples = samples * (run["micro"] * run["accumulation"])
        arguments = TrainingArguments(
            output_dir=tempfile.mkdtemp(), per_device_train_batch_size=run["micro"], max_steps=30,
            gradient_accumulation_steps=run["accumulation"], bf16=run["weights"].endswith("+amp"),
            optim={"fused": "adamw_torch_fused", "foreach": "adamw_torch"}[run["optimizer"]],
            gradient_checkpointing=run["recompute"] == "full", torch_compile=run["compile"] == "compiled",
            use_cpu=DEVICE == "cpu", report_to="none", save_strategy="no", logging_strategy="no", disable_tqdm=True, learning_rate=1e-5,
        )
        trainer = Trainer(model=model, args=arguments, train_dataset=samples, callbacks=[watch])
        row["loss"] = round(trainer.train().training_loss, 3)
    except torch.OutOfMemoryError:
        row["outcome"] = "oom"
    peak = max(watch.backward, watch.step, watch.peak())
    row |= {"rest_gib": watch.rest / GIB, "backward_gib": watch.backward / GIB, "step_gib": watch.step / GIB}
    row |= {"allocated_gib": peak / GIB, "reserved_gib": watch.reserved / GIB}
    process = in_use() - before
    row |= {"process_gib": process / GIB, "beside_gib": (process - torch.cuda.memory_reserved()) / GIB}
    if len(watch.ends) > 2:
        steps = [b - a for a, b in zip(watch.ends[1:], watch.ends[2:])]
        row |= {"step_seconds": statistics.median(steps), "steps": len(steps)}
        row["tokens_per_second"] = run["micro"] * run["sequence"] * run["accumulation"] / row["step_seconds"]
    return row | {"wall_seconds": time.perf_counter() - started}


def in_child(run, seconds, limit):
    """The same in a process of its own, which is ended after `limit` seconds."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(2, 1)
        try:
            row = measure(run, seconds)
        except BaseException as error:  # noqa: BLE001
            row = {"outcome": f"failed: {type(error).__name__} {error}".replace(",", ";").replace("\n", " ")[:200]}
        os.write(write, json.dumps(row).encode())
        os._exit(0)
    os.close(write)
    ready, _, _ = select.select([read], [], [], limit)
    answer = os.read(read, 65536) if ready else b""
    if not answer:
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(read)
    return json.loads(answer) if answer else {"outcome": "failed: too slow" if not ready else "failed: ended"}


def line_of(run, row):
    values = run | row | {"micro_batch": run["micro"], "options": " ".join(run["options"])}
    shown = [values.get(column, "") for column in COLUMNS]
    return ",".join(f"{value:.5g}" if isinstance(value, float) else str(value) for value in shown)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", default=os.path.join(HERE, "runs.txt"))
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no run after so many seconds")
    parser.add_argument("--skip", type=int, default=0, help="leave out the first runs")
    parser.add_argument("--first", type=int, default=10**6, help="only so many runs")
    parser.add_argument("--timed", type=float, default=1.5, help="seconds of timed steps that are enough")
    asked = parser.parse_args()
    started = time.perf_counter()
    print(f"# torch {torch.__version__}, transformers {transformers.__version__}, peft {peft.__version__}")
    print(",".join(COLUMNS), flush=True)
    for module in ("llama", "qwen2", "qwen3", "gpt2", "mistral", "phi3", "gemma2", "olmoe", "qwen3_moe"):
        __import__(f"transformers.models.{module}.modeling_{module}")
    print(f"imported after {time.perf_counter() - started:.0f} s", torch.cuda.is_initialized(), file=sys.stderr)
    lines = [line for line in open(asked.runs) if line.strip() and not line.startswith("#")]
    idle = in_use()
    for line in lines[asked.skip :][: asked.first]:
        left = asked.seconds - (time.perf_counter() - started)
        if left < 8:
            break
        run = parse(line)
        print(line_of(run, in_child(run, asked.timed, min(left, 120.0))), flush=True)
        while in_use() > idle + 2**28 and time.perf_counter() - started < asked.seconds:
            time.sleep(0.05)


if __name__ == "__main__":
    main()
