#!/usr/bin/env python3
"""Counts the peak memory of one training step of each objective on fake tensors: the rows of objectives.csv.

A small Llama takes two steps under FakeTensorMode, without a device and without data. The losses are those of TRL's
released code: `selective_log_softmax` is imported, the rest of each `compute_loss` is written out below, because the
trainers need real data. Under autocast the model's outputs are converted to fp32, as accelerate's `prepare_model`
does. PyTorch's MemTracker counts the tensors.

usage: pip install torch transformers trl accelerate; objectives.py > objectives.csv
"""

import contextlib
import itertools

import torch
import torch.nn.functional as F
import transformers
import trl
from accelerate.utils.operations import convert_outputs_to_fp32
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker
from transformers import masking_utils
from trl.trainer.utils import selective_log_softmax

# The library cannot see on fake tensors that nothing is packed.
masking_utils.find_packed_sequence_indices = lambda position_ids: None

HIDDEN, LAYERS, HEADS, KV_HEADS, FFN, VOCAB, SEQUENCE = 1024, 4, 16, 8, 2816, 64_000, 1024
ADAPTERS = 16

_post, _hook = torch.Tensor.register_post_accumulate_grad_hook, torch.Tensor.register_hook


class _NoHook:
    def remove(self):
        pass


# MemTracker hooks every parameter; a frozen one takes no gradient hook.
torch.Tensor.register_post_accumulate_grad_hook = lambda t, f: _post(t, f) if t.requires_grad else _NoHook()
torch.Tensor.register_hook = lambda t, f: _hook(t, f) if t.requires_grad else _NoHook()


class Adapter(torch.nn.Module):
    """PEFT's adapter: a frozen base, fp32 matrices, no dropout."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.a = torch.nn.Linear(base.in_features, ADAPTERS, bias=False, dtype=torch.float32)
        self.b = torch.nn.Linear(ADAPTERS, base.out_features, bias=False, dtype=torch.float32)

    def forward(self, x):
        y = self.base(x)
        return y + self.b(self.a(x.to(self.a.weight.dtype))).to(y.dtype)


def adapt(model):
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if name in ("q_proj", "v_proj"):
                setattr(module, name, Adapter(child))


def share(other, model):
    """Gives another model the same weights: the trained model without its adapters, which the tracker counts once."""
    weights = {name.replace(".base.", "."): weight for name, weight in model.named_parameters()}
    for path, module in other.named_modules():
        for name, _ in list(module.named_parameters(recurse=False)):
            module._parameters[name] = weights[f"{path}.{name}" if path else name]


def build(kind, dtype, recompute, autocast):
    torch.set_default_dtype(dtype)
    config = transformers.LlamaConfig(
        vocab_size=VOCAB, hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS, intermediate_size=FFN, max_position_embeddings=SEQUENCE,
        tie_word_embeddings=False, use_cache=False, attn_implementation="sdpa", num_labels=1, pad_token_id=0)
    model = kind.from_config(config)
    torch.set_default_dtype(torch.float32)
    if recompute:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if autocast:
        model.forward = convert_outputs_to_fp32(torch.autocast("cpu", dtype=torch.bfloat16)(model.forward))
    return model


def log_probabilities(logits, ids):
    return selective_log_softmax(logits[:, :-1], ids[:, 1:]).sum(-1)


def preference(model, reference, ids):
    """DPO and KTO: `dpo_trainer.py`, `kto_trainer.py`."""
    policy = log_probabilities(model(input_ids=ids).logits, ids)
    with torch.no_grad():
        other = log_probabilities(reference(input_ids=ids).logits, ids)
    return -F.logsigmoid(policy - other).mean()


def odds(model, reference, ids):
    """ORPO: `orpo_trainer.py`, `concatenated_forward`."""
    logits = model(input_ids=ids).logits
    half = ids.shape[0] // 2
    chosen = logits[:half, :-1].contiguous().view(-1, VOCAB)
    tokens = F.cross_entropy(chosen, ids[:half, 1:].reshape(-1))
    return tokens - F.logsigmoid(log_probabilities(logits, ids)).mean()


def reward(model, reference, ids):
    """A reward model: `reward_trainer.py`, with the pooling of the last token written out."""
    scores = model.score(model.model(input_ids=ids).last_hidden_state)[:, -1]
    chosen, rejected = scores.chunk(2)
    return -F.logsigmoid(chosen - rejected).mean()


def distillation(model, reference, ids):
    """The divergence of two distributions."""
    student = model(input_ids=ids).logits
    with torch.no_grad():
        teacher = reference(input_ids=ids).logits
    return F.kl_div(F.log_softmax(student.float(), -1), F.softmax(teacher.float(), -1), reduction="batchmean")


CAUSAL, CLASSES = transformers.AutoModelForCausalLM, transformers.AutoModelForSequenceClassification
# Objective, sequences of a sample, kind of model, whether another model is held, loss.
OBJECTIVES = [
    ("DPO", 2, CAUSAL, True, preference),
    ("KTO", 1, CAUSAL, True, preference),
    ("ORPO", 2, CAUSAL, False, odds),
    ("Reward", 2, CLASSES, False, reward),
    ("Distillation", 1, CAUSAL, True, distillation),
]


def count(objective, sequences, kind, holds, loss_of, micro_batch, dtype, autocast, recompute, adapted):
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = build(kind, dtype, recompute, autocast)
        if adapted:
            adapt(model)
        model.train()
        held = []
        if holds:
            other = build(kind, dtype, False, autocast).eval().requires_grad_(False)
            if adapted and loss_of is preference:
                share(other, model)
            held.append(other)
        if recompute and adapted:
            model.enable_input_require_grads()
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trained, foreach=False)
        tracker = MemTracker()
        tracker.track_external(model, optimizer, *held)
        ids = torch.zeros(micro_batch * sequences, SEQUENCE, dtype=torch.long)
        with tracker:
            for step in range(2):
                around = torch.autocast("cpu", dtype=torch.bfloat16) if autocast and loss_of is reward \
                    else contextlib.nullcontext()
                with around:
                    loss = loss_of(model, held[0] if held else None, ids)
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                del loss
                if step == 0:
                    tracker.reset_mod_stats()
        peak = sum(of["Total"] for of in tracker.get_tracker_snapshot("peak").values())
    return peak / 2**30


def main():
    print(f"# Allocated peaks of a training step by objective, counted on fake tensors: PyTorch {torch.__version__},")
    print(f"# Transformers {transformers.__version__}, TRL {trl.__version__}; made by objectives.py. A Llama of hidden size")
    print(f"# {HIDDEN}, {LAYERS} layers, {HEADS} heads, {KV_HEADS} key and value heads, feed-forward {FFN}, vocabulary {VOCAB},"
          f" {SEQUENCE} tokens.")
    print("objective,mbs,dtype,autocast,recompute,lora,peak_gib")
    formats = [(torch.bfloat16, False), (torch.float32, True), (torch.float32, False)]
    for (objective, *facts), (dtype, autocast), recompute, adapted in itertools.product(
            OBJECTIVES, formats, (False, True), (False, True)):
        if autocast and recompute:
            continue
        if adapted and dtype == torch.float32:
            continue
        peak = count(objective, *facts, 2, dtype, autocast, recompute, adapted)
        name = {torch.bfloat16: "bf16", torch.float32: "fp32"}[dtype]
        yes = {True: "yes", False: "no"}
        print(f"{objective},2,{name},{yes[autocast]},{'full' if recompute else 'none'},"
              f"{ADAPTERS if adapted else 0},{peak:.4f}", flush=True)


main()
