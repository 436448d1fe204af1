#!/usr/bin/env python3
"""Measures host memory of small real runs on a CPU: loading, saving, offloaded steps, data loaders.

    python measure.py models DIRECTORY             writes models with random weights
    python measure.py run DIRECTORY [NAME ...]     prints one CSV row a run

One interpreter imports the libraries, and every rank of a run is a fork of it, in a memory cgroup (version 1). The peak is
sampled every 10 ms: anonymous pages, shared memory, and mapped pages of files, which the kernel can take back. Needs root,
Linux, and torch, transformers, accelerate, deepspeed from PyPI.
"""

import csv
import json
import os
import sys
import threading
import time

GROUP = "/sys/fs/cgroup/memory/host-measure"
MIB = 1 << 20

# Name: layers, hidden, heads, feed-forward, vocabulary. Llama's shape.
MODELS = {
    "135m": (12, 768, 12, 2048, 32000),
    "450m": (18, 1280, 20, 3456, 32000),
    "660m": (20, 1536, 24, 4096, 32000),
}


def config(name):
    from transformers import LlamaConfig

    layers, hidden, heads, ffn, vocab = MODELS[name]
    return LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, num_attention_heads=heads, num_key_value_heads=heads,
        intermediate_size=ffn, vocab_size=vocab, max_position_embeddings=2048, tie_word_embeddings=False,
    )


def write_models(directory):
    import torch
    from transformers import LlamaForCausalLM

    for name in MODELS:
        torch.manual_seed(0)
        model = LlamaForCausalLM(config(name))
        print(name, sum(p.numel() for p in model.parameters()))
        model.float().save_pretrained(f"{directory}/{name}-fp32")
        half = model.to(torch.bfloat16)
        half.save_pretrained(f"{directory}/{name}-bf16")
        if name == "450m":
            os.makedirs(f"{directory}/{name}-bin", exist_ok=True)
            half.config.save_pretrained(f"{directory}/{name}-bin")
            torch.save(half.state_dict(), f"{directory}/{name}-bin/pytorch_model.bin")


# Adam without temporary tensors, as DeepSpeed's own kernel runs it on the host.
IN_PLACE = """
class InPlace(torch.optim.Optimizer):
    def __init__(self, parameters, lr=1e-4): super().__init__(parameters, dict(lr=lr))
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None: continue
                state = self.state[p]
                if not state: state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(p), torch.zeros_like(p)
                views = [t.view(-1).split(1 << 20) for t in (p.data, p.grad, state["exp_avg"], state["exp_avg_sq"])]
                for data, grad, first, second in zip(*views):
                    first.lerp_(grad.to(first.dtype), 0.1); second.mul_(0.999).addcmul_(grad, grad, value=0.001)
                    data.addcdiv_(first, second.sqrt().add_(1e-8), value=-group["lr"])
"""


# Each run is a dict: what the row says, and the body that every rank runs. `resident` is what would lie on an accelerator: the
# body prints it as `resident=BYTES`.
def runs(directory):
    def load(model, file, dtype, ranks=1, first=False):
        setting = f", dtype=torch.{dtype}" if dtype else ""
        environment = {"ACCELERATE_USE_FSDP": "true", "FSDP_CPU_RAM_EFFICIENT_LOADING": "true"} if first else {}
        body = f"""
import torch
from transformers import AutoModelForCausalLM
{"import torch.distributed as dist; dist.init_process_group('gloo')" if ranks > 1 else ""}
model = AutoModelForCausalLM.from_pretrained("{directory}/{model}-{file}"{setting})
{"dist.barrier()" if ranks > 1 else ""}
"""
        loading = "first-rank" if first else "every-rank"
        return dict(kind="loading", model=model, file=file, loaded=dtype or file, ranks=ranks, loading=loading,
                    body=body, environment=environment)

    def workers(number, prefetch, batch, sample, ranks=1):
        shape, dtype, size = {
            "text": ("(2048,)", "int64", 2048 * 8), "image": ("(3, 512, 512)", "float32", 3 * 512 * 512 * 4),
        }[sample]
        tensors = 3 if sample == "text" else 1
        body = f"""
import time
import torch
from transformers import Trainer
{"import torch.distributed as dist; dist.init_process_group('gloo')" if ranks > 1 else ""}
class Data(torch.utils.data.Dataset):
    def __len__(self): return 4096
    def __getitem__(self, i):
        return {{str(k): torch.ones({shape}, dtype=torch.{dtype}) for k in range({tensors})}}
loader = torch.utils.data.DataLoader(Data(), batch_size={batch}, num_workers={number},
    prefetch_factor={prefetch if number else None})
for step, batch in enumerate(loader):
    time.sleep(0.15)
    if step == 12: break
"""
        return dict(kind="workers", model="135m", ranks=ranks, workers=number, prefetch=prefetch, batch=batch,
                    sample_bytes=size * tensors, sample=sample, body=body)

    def save(model, dtype, call, kind="saving"):
        body = f"""
import torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained("{directory}/{model}-{'fp32' if dtype == 'float32' else 'bf16'}", dtype=torch.{dtype})
for p in model.parameters(): p.data = p.data.clone()
resident = sum(p.numel() * p.element_size() for p in model.parameters())
print("resident=%d" % resident, flush=True)
mark()
{call}
"""
        return dict(kind=kind, model=model, ranks=1, loaded=dtype, body=body)

    def gather(model, full, ranks=2):
        body = f"""
import os, torch
import torch.distributed as dist
dist.init_process_group('gloo')
from torch.distributed.fsdp import fully_shard
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, get_optimizer_state_dict
import torch.distributed.checkpoint as dcp
from transformers import LlamaForCausalLM
import sys; sys.path.insert(0, "{os.path.dirname(os.path.abspath(__file__))}")
from measure import config
from torch.distributed.device_mesh import init_device_mesh
mesh = init_device_mesh("cpu", ({ranks},))
with torch.device("meta"): model = LlamaForCausalLM(config("{model}"))
for layer in model.model.layers: fully_shard(layer, mesh=mesh)
fully_shard(model, mesh=mesh)
model.to_empty(device="cpu")
for p in model.parameters(): torch.nn.init.ones_(p.to_local() if hasattr(p, "to_local") else p)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, foreach=False)
for p in model.parameters(): p.grad = torch.zeros_like(p)
optimizer.step(); optimizer.zero_grad(set_to_none=True)
local = sum(p.to_local().numel() for p in model.parameters())
print("resident=%d" % (local * 12 * {ranks}), flush=True)
dist.barrier(); mark(); dist.barrier()
if {full}:
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    state = get_model_state_dict(model, options=options)
    if dist.get_rank() == 0: torch.save(state, "/tmp/host-measure.bin")
    del state
    state = get_optimizer_state_dict(model, optimizer, options=options)
    if dist.get_rank() == 0: torch.save(state, "/tmp/host-measure.bin")
else:
    dcp.save({{"model": get_model_state_dict(model), "optimizer": get_optimizer_state_dict(model, optimizer)}},
        checkpoint_id="/tmp/host-measure-dcp")
dist.barrier()
"""
        return dict(kind="gathering" if full else "sharded-saving", model=model, ranks=ranks, loaded="float32",
                    full_state_dict=full, body=body)

    def adam(model, implementation):
        body = f"""
import torch
{IN_PLACE}
import sys; sys.path.insert(0, "{os.path.dirname(os.path.abspath(__file__))}")
number = {parameters(model)}
# The flat fp32 partition of ZeRO with offloading, its gradient, and its moments.
main = torch.nn.Parameter(torch.ones(number))
main.grad = torch.full((number,), 1e-3)
step = {"InPlace([main])" if implementation == "in-place" else "torch.optim.AdamW([main], foreach=False)"}
step.step(); step.step()
"""
        return dict(kind="offloaded-step", model=model, ranks=1, implementation=implementation, body=body)

    found = {}
    found["process"] = dict(kind="process", model="135m", ranks=1, body="import torch")
    found["process-2-ranks"] = dict(kind="process", model="135m", ranks=2, body=(
        "import torch.distributed as dist\ndist.init_process_group('gloo')\ndist.barrier()"))
    for model in MODELS:
        found[f"load-{model}-bf16-as-saved"] = load(model, "bf16", None)
        found[f"load-{model}-bf16-as-fp32"] = load(model, "bf16", "float32")
        found[f"load-{model}-fp32-as-saved"] = load(model, "fp32", "float32")
        found[f"load-{model}-fp32-as-bf16"] = load(model, "fp32", "bfloat16")
    found["load-450m-bin-as-saved"] = load("450m", "bin", "bfloat16")
    found["load-450m-bin-as-fp32"] = load("450m", "bin", "float32")
    found["load-450m-bf16-as-fp32-2-ranks"] = load("450m", "bf16", "float32", ranks=2)
    found["load-660m-bf16-as-fp32-2-ranks"] = load("660m", "bf16", "float32", ranks=2)
    found["load-450m-bf16-as-fp32-3-ranks"] = load("450m", "bf16", "float32", ranks=3)
    found["load-450m-first-rank-2-ranks"] = load("450m", "bf16", "float32", ranks=2, first=True)
    found["load-660m-first-rank-2-ranks"] = load("660m", "bf16", "float32", ranks=2, first=True)
    for model in ["450m", "660m"]:
        found[f"save-{model}-fp32"] = save(model, "float32", "model.save_pretrained('/tmp/host-measure-save')")
        found[f"save-{model}-bf16"] = save(model, "bfloat16", "model.save_pretrained('/tmp/host-measure-save')")
        found[f"save-{model}-torch"] = save(
            model, "float32", "torch.save(model.state_dict(), '/tmp/host-measure.bin')", kind="saving-torch")
    for model in ["135m", "450m"]:
        found[f"gather-{model}-2-ranks"] = gather(model, True)
        found[f"sharded-{model}-2-ranks"] = gather(model, False)
        found[f"adam-{model}-in-place"] = adam(model, "in-place")
    for number in [0, 2, 4, 8]:
        found[f"workers-text-{number}"] = workers(number, 2, 8, "text")
    found["workers-text-4-prefetch-8"] = workers(4, 8, 8, "text")
    found["workers-text-4-2-ranks"] = workers(4, 2, 8, "text", ranks=2)
    for number, prefetch, batch in [(2, 2, 8), (4, 2, 16), (8, 2, 8), (4, 4, 16)]:
        found[f"workers-image-{number}-{prefetch}-{batch}"] = workers(number, prefetch, batch, "image")
    return found


MARKER = "/tmp/host-measure-marker"


class Sampler(threading.Thread):
    """The peak, sampled. `mark` in the body makes the peak begin again.

    A rank's anonymous pages are its own and those that it shares with the parent since the fork: a rank that was started
    alone would have both. With workers of data loaders, which share their rank's pages, the group's own pages count, and the
    parent's once a rank.
    """

    def __init__(self, has_workers, number):
        super().__init__(daemon=True)
        self.has_workers, self.number = has_workers, number
        self.parent = anonymous(os.getpid())
        self.peak, self.over, self.floor, self.ranks = {}, False, None, []

    def sample(self):
        with open(f"{GROUP}/memory.stat") as file:
            stat = dict(line.split() for line in file)
        now = {k: int(stat[f"total_{k}"]) for k in ["rss", "shmem", "mapped_file"]}
        if self.has_workers:
            now["anonymous"] = now["rss"] + self.parent * self.number
        else:
            now["anonymous"] = sum(anonymous(rank) for rank in self.ranks)
        return now

    def run(self):
        while not self.over:
            now = self.sample()
            if self.floor is None and os.path.exists(MARKER):
                self.floor, self.peak = now, {}
            need = now["anonymous"] + now["shmem"]
            if need > self.peak.get("need", -1):
                self.peak = dict(now, need=need)
            time.sleep(0.01)


def anonymous(process):
    """The anonymous pages of a process, in bytes."""
    try:
        with open(f"/proc/{process}/status") as file:
            return sum(int(line.split()[1]) << 10 for line in file if line.startswith("RssAnon"))
    except (FileNotFoundError, ProcessLookupError):
        return 0


COLUMNS = [
    "id", "kind", "model", "parameters", "ranks", "loading", "file", "loaded", "full_state_dict", "implementation",
    "workers", "prefetch", "batch", "sample", "sample_bytes",
    "resident_bytes", "anonymous_mib", "shared_mib", "mapped_files_mib", "before_mib", "seconds", "versions",
]


def parameters(name):
    layers, h, heads, f, v = MODELS[name]
    return layers * (4 * h * h + 3 * h * f + 2 * h) + 2 * v * h + h


def rank(script, number, one):
    """One rank, in the fork that calls it. Never returns."""
    try:
        os.environ.update(one.get("environment", {}), RANK=str(number), LOCAL_RANK=str(number),
                          WORLD_SIZE=str(one["ranks"]), LOCAL_WORLD_SIZE=str(one["ranks"]),
                          MASTER_ADDR="127.0.0.1", MASTER_PORT="29611")
        if number:
            os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
        exec(compile(script, "body", "exec"), {"__name__": "__main__"})
        sys.stdout.flush()
        os._exit(0)
    except BaseException:
        import traceback

        traceback.print_exc()
        os._exit(1)


def run(name, one, versions):
    if os.path.exists(MARKER):
        os.remove(MARKER)
    script = "def mark():\n    import time; open('%s', 'w').close(); time.sleep(0.5)\n%s\nimport time; time.sleep(0.3)\n" % (MARKER, one["body"])
    os.makedirs(GROUP, exist_ok=True)
    read, write = os.pipe()
    begin = time.time()
    sampler = Sampler(one["kind"] == "workers", one["ranks"])
    ranks = []
    for number in range(one["ranks"]):
        child = os.fork()
        if child == 0:
            os.dup2(write, 1)
            open(f"{GROUP}/cgroup.procs", "w").write(str(os.getpid()))
            rank(script, number, one)
        ranks.append(child)
    os.close(write)
    sampler.ranks = ranks
    sampler.start()
    failed = [os.waitpid(child, 0)[1] for child in ranks]
    sampler.over = True
    sampler.join()
    with os.fdopen(read) as pipe:
        out = pipe.read()
    if any(failed):
        print(f"{name}: failed", file=sys.stderr)
        return None
    resident = [line.split("=")[1] for line in out.splitlines() if line.startswith("resident=")]
    mib = lambda bytes: round(bytes / MIB, 1)
    row = {k: one.get(k, "") for k in COLUMNS}
    row.update(
        id=name, parameters=parameters(one["model"]), resident_bytes=resident[0] if resident else 0,
        anonymous_mib=mib(sampler.peak["anonymous"]), shared_mib=mib(sampler.peak["shmem"]),
        mapped_files_mib=mib(sampler.peak["mapped_file"]),
        before_mib=mib(sampler.floor["anonymous"] + sampler.floor["shmem"]) if sampler.floor else "",
        seconds=round(time.time() - begin, 1), versions=versions,
    )
    return row


def main():
    verb, directory, *names = sys.argv[1:]
    if verb == "models":
        return write_models(directory)
    from importlib.metadata import PackageNotFoundError, version

    def of(package):
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return ""

    os.nice(10)
    os.environ.update(OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false", DS_ACCELERATOR="cpu")
    import deepspeed, torch, transformers
    from transformers import AutoModelForCausalLM, LlamaForCausalLM, Trainer
    torch.set_num_threads(1)
    versions = " ".join(filter(None, map(of, ["torch", "transformers", "accelerate", "deepspeed", "safetensors"])))
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    found = runs(directory)
    chosen = [name for asked in names for name in found if name == asked] if names else list(found)
    for name in chosen:
        one = found[name]
        row = run(name, one, versions)
        if row:
            writer.writerow(row)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
