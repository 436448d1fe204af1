"""The allocated peak of one rank's training step, counted tensor by tensor by PyTorch's MemTracker on fake tensors.

    python step.py '{"arch": "llama", "hidden": 4096, …}'        prints one row of ../oracle.csv, and what is alive at the peak

Needs PyTorch, Transformers and, for `liger`, liger-kernel. It needs no device: Triton's kernels write into tensors that
are allocated around them, so they are not started. The rows of `oracle.csv` with layer kernels, tiles or bits were made
with PyTorch 2.15.0, Transformers 5.24.0 and liger-kernel 0.8.5.

`loss="fused"`: on the CPU Liger's loss sums the output layer's gradient in fp32, which it does not on a GPU of Ampere or
later.

`bits`: the linear layers of bitsandbytes, by the tensors that its `autograd/_functions.py` (0.50.2) allocates: a product of
four bits unpacks its matrix in the backward pass alone, or in both passes where `unpacks` says so (before 0.46 it always
did); one of eight bits also keeps its input.

`arch` "t5", "bart" or "whisper": a model with an encoder of `layers` layers that reads `source` tokens, and a decoder of
`decoder_layers` that writes `seq`. The rows are in `../encoders.csv`.
"""

import contextlib
import json
import sys

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed._tools.mem_tracker import MemTracker

DEFAULTS = dict(
    arch="llama", hidden=1024, layers=4, heads=16, kv_heads=16, ffn=2816, vocab=32000, seq=2048, mbs=1, tie=False,
    dtype="bf16", autocast=False, recompute="none", optimizer="sgd", lora=0, targets=["q_proj", "v_proj"],
    liger=False, loss="eager", tiled=False, bits=16, unpacks="both",
    source=512, decoder_layers=4, head_size=64, gated=True, attention="sdpa",
)
FORMATS = {"bf16": torch.bfloat16, "fp32": torch.float32}


def do_not_start_kernels():
    """Lets Triton's kernels pass without a device."""
    from triton.runtime.jit import JITFunction

    JITFunction.run = lambda *_, **__: None
    # Liger asks how many tokens count, and whether the gradient of the loss is one.
    torch.Tensor.item = lambda _: 1
    torch.equal = lambda *_: True


ENCODERS = ("t5", "bart", "whisper")


def with_encoder(row, transformers):
    """A model with an encoder. Without dropout, whose mask has a byte on a GPU and a whole number on the CPU."""
    if row["arch"] == "t5":
        config = transformers.T5Config(
            vocab_size=row["vocab"], d_model=row["hidden"], d_kv=row["head_size"], d_ff=row["ffn"],
            num_layers=row["layers"], num_decoder_layers=row["decoder_layers"], num_heads=row["heads"],
            feed_forward_proj="gated-gelu" if row["gated"] else "relu", use_cache=False,
            decoder_start_token_id=0, dropout_rate=0.0,
        )
        model = transformers.T5ForConditionalGeneration(config)
        if not row["tie"]:
            model.lm_head.weight = torch.nn.Parameter(torch.empty_like(model.lm_head.weight))
        return model
    sides = dict(
        vocab_size=row["vocab"], d_model=row["hidden"], encoder_layers=row["layers"],
        decoder_layers=row["decoder_layers"], encoder_attention_heads=row["heads"],
        decoder_attention_heads=row["heads"], encoder_ffn_dim=row["ffn"], decoder_ffn_dim=row["ffn"], use_cache=False,
        attn_implementation=row["attention"],
    )
    if row["arch"] == "bart":
        config = transformers.BartConfig(max_position_embeddings=1024, dropout=0.0, **sides)
        return transformers.BartForConditionalGeneration(config)
    config = transformers.WhisperConfig(num_mel_bins=row.get("bins", 80), **sides)
    return transformers.WhisperForConditionalGeneration(config)


def inputs_of(row):
    """The batch."""
    ids = torch.randint(0, row["vocab"], (row["mbs"], row["seq"]))
    if row["arch"] == "whisper":
        return dict(input_features=torch.zeros(row["mbs"], row.get("bins", 80), 3000), labels=ids)
    if row["arch"] in ENCODERS:
        return dict(input_ids=torch.randint(0, row["vocab"], (row["mbs"], row["source"])), labels=ids)
    return dict(input_ids=ids, labels=ids)


def model_of(row):
    """The model, as Transformers makes it. On fake tensors it cannot see that nothing is packed."""
    import transformers
    from transformers import masking_utils

    masking_utils.find_packed_sequence_indices = lambda position_ids: None
    if row["arch"] in ENCODERS:
        return with_encoder(row, transformers)
    config_class = {
        "llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config, "qwen3": transformers.Qwen3Config,
    }[row["arch"]]
    config = config_class(
        vocab_size=row["vocab"], hidden_size=row["hidden"], num_hidden_layers=row["layers"],
        num_attention_heads=row["heads"], num_key_value_heads=row["kv_heads"], intermediate_size=row["ffn"],
        max_position_embeddings=row["seq"], tie_word_embeddings=row["tie"], use_cache=False, attn_implementation="sdpa",
        pad_token_id=0,
    )
    return transformers.AutoModelForCausalLM.from_config(config)


class Unpacked(torch.autograd.Function):
    """bitsandbytes' product with a quantized matrix."""

    @staticmethod
    def forward(ctx, x, packed, shape, bits, unpacks):
        ctx.packed, ctx.shape, ctx.format = packed, shape, x.dtype
        if bits == 8:
            ctx.kept = x
        if unpacks == "both" and bits == 4:
            matrix = torch.empty(shape, dtype=x.dtype)
            y = x @ matrix.t()
            del matrix
            return y
        return torch.empty((*x.shape[:-1], shape[0]), dtype=x.dtype)

    @staticmethod
    def backward(ctx, gradient):
        matrix = torch.empty(ctx.shape, dtype=ctx.format)
        return gradient.to(ctx.format) @ matrix, None, None, None, None


class Quantized(torch.nn.Module):
    """A frozen linear layer of four or eight bits, with bitsandbytes' scales, not quantized again."""

    def __init__(self, base, bits, unpacks):
        super().__init__()
        self.in_features, self.out_features, self.bits, self.unpacks = base.in_features, base.out_features, bits, unpacks
        numbers = base.weight.numel()
        pack = torch.empty(numbers * bits // 8, dtype=torch.uint8)
        self.weight = torch.nn.Parameter(pack, requires_grad=False)
        scales = numbers // 64 if bits == 4 else base.out_features
        self.scales = torch.nn.Parameter(torch.empty(scales, dtype=torch.float32), requires_grad=False)

    def forward(self, x):
        x = x.to(torch.bfloat16)
        return Unpacked.apply(x, self.weight, (self.out_features, self.in_features), self.bits, self.unpacks)


class Adapted(torch.nn.Module):
    """PEFT's default adapter: fp32, without dropout."""

    def __init__(self, base, rank):
        super().__init__()
        self.base = base
        self.a = torch.nn.Linear(base.in_features, rank, bias=False, dtype=torch.float32)
        self.b = torch.nn.Linear(rank, base.out_features, bias=False, dtype=torch.float32)

    def forward(self, x):
        y = self.base(x)
        return y + self.b(self.a(x.to(self.a.weight.dtype))).to(y.dtype)


def replace(model, changed):
    """Replaces the linear layers inside the layers by what `changed` makes of them."""
    for module in list(model.model.layers.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, (torch.nn.Linear, Quantized)):
                setattr(module, name, changed(name, child))


def tile(model):
    """Liger's tiled feed-forward network around the model's own."""
    from liger_kernel.ops.tiled_mlp import apply_tiled_mlp

    for layer in model.model.layers:
        own = type(layer.mlp).forward
        layer.mlp.forward = lambda x, mlp=layer.mlp, own=own: apply_tiled_mlp(own, mlp, x)


def prepare(row):
    """The model with its kernels, formats and adapters."""
    if row["liger"]:
        import liger_kernel.transformers as liger

        apply = getattr(liger, f"apply_liger_kernel_to_{row['arch']}")
        apply(fused_linear_cross_entropy=row["loss"] == "fused")
    torch.set_default_dtype(FORMATS[row["dtype"]])
    model = model_of(row)
    torch.set_default_dtype(torch.float32)
    if row["tiled"]:
        tile(model)
    if row["lora"]:
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        if row["bits"] < 16:
            replace(model, lambda _, child: Quantized(child, row["bits"], row["unpacks"]))
        replace(model, lambda name, child: Adapted(child, row["lora"]) if name in row["targets"] else child)
    model.train()
    if row["recompute"] == "full":
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if row["lora"]:
            model.enable_input_require_grads()
    return model


class NoHook:
    """Stands for a hook on a frozen parameter, which MemTracker asks for and autograd refuses."""

    def remove(self):
        pass


def hook_only_what_is_trained():
    for name in ("register_post_accumulate_grad_hook", "register_hook"):
        own = getattr(torch.Tensor, name)
        setattr(torch.Tensor, name, lambda t, hook, own=own: own(t, hook) if t.requires_grad else NoHook())


def peak_of(row):
    """The peak of the second step, and its parts, in bytes."""
    hook_only_what_is_trained()
    do_not_start_kernels()
    with FakeTensorMode(allow_non_fake_inputs=True):
        model = prepare(row)
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        optimizer = {
            "adamw": lambda: torch.optim.AdamW(trained, foreach=False),
            "adamw_foreach": lambda: torch.optim.AdamW(trained, foreach=True),
            "sgd": lambda: torch.optim.SGD(trained, foreach=False),
        }[row["optimizer"]]()
        tracker = MemTracker()
        tracker.track_external(model, optimizer)
        inputs = inputs_of(row)
        if row["arch"] == "whisper":
            inputs["input_features"] = inputs["input_features"].to(FORMATS[row["dtype"]])
        with tracker:
            for step in range(2):
                cast = torch.autocast("cpu", dtype=torch.bfloat16) if row["autocast"] else contextlib.nullcontext()
                with cast:
                    loss = model(**inputs).loss
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                if step == 0:
                    tracker.reset_mod_stats()
        snapshot = tracker.get_tracker_snapshot("peak")
    return {getattr(kind, "value", kind): size for kind, size in next(iter(snapshot.values())).items()}


def main():
    row = {**DEFAULTS, **json.loads(sys.argv[1])}
    parts = {str(kind): round(size / 2**30, 4) for kind, size in peak_of(row).items()}
    print(json.dumps({"row": row, "peak_gib": parts.get("Total"), "parts": parts}))


main()
