"""Measures what a training step is made of on one NVIDIA GPU, each kernel alone.

    python3 kernels.py > kernels.csv        about a minute

Columns: `kind` and `what` name the operation and its variant, `size` its dimensions, `seconds` is the mean over some
tens of milliseconds by CUDA events after a warm-up; `work` is what it must do: floating-point operations (`flop`) or
bytes read and written once (`byte`), and `rate` the two's quotient in 10^12 a second. What is launched one by one is
timed by the host's clock (`launch`); `memory` rows are MiB in use on the device (NVML) as a process begins.
"""

import contextlib
import time

import pynvml
import torch
import torch.nn.functional as F

BF16 = torch.bfloat16


def row(kind, what, size, seconds="", work="", unit=""):
    rate = work / seconds / 1e12 if work != "" else ""
    shown = [f"{value:.5g}" if isinstance(value, float) else str(value) for value in (seconds, work, unit, rate)]
    print(",".join([kind, what, size, *shown]), flush=True)


def timed(run, budget=0.02):
    """Seconds of one call."""
    run(), run()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)

    def of(times):
        start.record()
        for _ in range(times):
            run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1e3 / times

    return of(max(2, min(300, int(budget / max(of(2), 1e-6)))))


def tensor(*size, dtype=BF16, grad=False):
    return torch.randn(*size, device="cuda", dtype=dtype, requires_grad=grad)


def forward_and_backward(function, inputs):
    """A call of the function, and of its backward pass."""
    outputs = function(*inputs)
    gradient = torch.randn_like(outputs)

    def both():
        torch.autograd.grad(function(*inputs), [i for i in inputs if i.requires_grad], gradient)

    return both


def memory():
    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByIndex(0)

    def used(what):
        torch.cuda.is_initialized() and torch.cuda.synchronize()
        reserved = torch.cuda.memory_reserved() if torch.cuda.is_initialized() else 0
        row("memory", what, f"{(pynvml.nvmlDeviceGetMemoryInfo(handle).used - reserved) / 2**20:.0f}")

    used("before the process")
    torch.cuda.init()
    x = torch.zeros(1024, 1024, device="cuda", dtype=BF16)
    used("context")
    before = torch.cuda.memory_allocated()
    y = x @ x
    used("after a matrix product")
    workspace = torch.cuda.memory_allocated() - before - y.nbytes
    row("memory", "matrix product's workspace, allocated", f"{workspace / 2**20:.1f}")
    q = tensor(1, 8, 1024, 128, grad=True)
    F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()
    used("after attention")
    F.cross_entropy(tensor(256, 1000, dtype=torch.float32, grad=True), torch.zeros(256, device="cuda").long()).backward()
    used("after a loss")
    info = pynvml.nvmlDeviceGetMemoryInfo(handle, version=pynvml.nvmlMemory_v2)
    free, total = torch.cuda.mem_get_info()
    for what, value in [("total", info.total), ("kept by the driver", info.reserved), ("addressable", total), ("free", free)]:
        row("memory", what, f"{value / 2**20:.0f}")


def matrix_products():
    for k, n in [(2048, 8192), (3584, 18944), (4096, 1024), (4096, 4096), (4096, 14336), (14336, 4096), (4096, 128256)]:
        for tokens in (512, 2048, 8192, 32768):
            if n > 100000 and tokens > 8192:
                continue
            x, w, dy = tensor(tokens, k), tensor(n, k), tensor(tokens, n)
            for what, run in [
                ("forward", lambda: F.linear(x, w)),
                ("input's gradient", lambda: dy @ w),
                ("weight's gradient", lambda: dy.t() @ x),
            ]:
                row("matmul", what, f"{tokens}x{k}x{n}", timed(run), 2.0 * tokens * k * n, "flop")


def attention():
    for heads, kv_heads, size in [(32, 8, 64), (32, 8, 128), (28, 4, 128), (8, 4, 256)]:
        for s in (512, 1024, 2048, 4096, 8192, 16384):
            b = 16384 // s
            q, k, v = (tensor(b, h, s, size, grad=True) for h in (heads, kv_heads, kv_heads))

            def run(q, k, v):
                return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

            work = 2.0 * b * heads * s * s * size  # two products over half the square
            name = f"{b}x{heads}:{kv_heads}x{s}x{size}"
            with torch.no_grad():
                row("attention", "forward", name, timed(lambda: run(q, k, v)), work, "flop")
            row("attention", "both", name, timed(forward_and_backward(run, [q, k, v])), 3.5 * work, "flop")


def norm(x, w):
    wide = x.float()
    wide = wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-6)
    return w * wide.to(x.dtype)


def swiglu(gate, up):
    return F.silu(gate) * up


def loss(logits):
    labels = torch.zeros(logits.shape[0], dtype=torch.long, device="cuda")
    return F.cross_entropy(logits.float(), labels, reduction="sum")


def elementwise():
    tokens = 16384
    cases = [
        ("norm", norm, lambda: [tensor(tokens, 4096, grad=True), tensor(4096, grad=True)], 2 * tokens * 4096),
        ("swiglu", swiglu, lambda: [tensor(tokens, 14336, grad=True) for _ in range(2)], 3 * tokens * 14336),
        ("loss", loss, lambda: [tensor(4096, 128256, grad=True)], 4096 * 128256),
    ]
    for name, function, inputs, numbers in cases:
        given = inputs()
        size = "x".join(str(n) for n in given[0].shape)
        for how, run in [("eager", function), ("compiled", torch.compile(function))]:
            with torch.no_grad():
                row(name, f"forward {how}", size, timed(lambda: run(*given)), 2.0 * numbers, "byte")
            row(name, f"both {how}", size, timed(forward_and_backward(run, given)), 6.0 * numbers, "byte")
        del given
        torch.cuda.empty_cache()
    x = tensor(2**30)
    y = torch.empty_like(x)
    row("copy", "forward", "2^30", timed(lambda: y.copy_(x)), 4.0 * 2**30, "byte")
    row("add", "forward", "2^30", timed(lambda: y.add_(x)), 6.0 * 2**30, "byte")
    row("cast", "to fp32", "2^30", timed(lambda: x.float()), 6.0 * 2**30, "byte")


def optimizers():
    for dtype in (torch.float32, BF16):
        for matrices, rows in [(32, 4096), (512, 1024)]:
            weights = [torch.nn.Parameter(tensor(rows, 4096, dtype=dtype)) for _ in range(matrices)]
            for weight in weights:
                weight.grad = torch.randn_like(weight)
            numbers = sum(weight.numel() for weight in weights)
            size = f"{matrices}x{rows}x4096 {str(dtype)[6:]}"
            for how in ("fused", "foreach"):
                step = torch.optim.AdamW(weights, lr=1e-5, **{how: True}).step
                row("adamw", how, size, timed(step), 7.0 * numbers * weights[0].element_size(), "byte")
            clip = lambda: torch.nn.utils.clip_grad_norm_(weights, 1.0)  # noqa: E731
            row("clip", "foreach", size, timed(clip), 3.0 * numbers * weights[0].element_size(), "byte")
            del weights, weight, step
            torch.cuda.empty_cache()


def launches():
    """Seconds of the host to run one small decoder layer, which the device is done with sooner."""
    from transformers import LlamaConfig, LlamaModel

    few, many = (
        LlamaModel(LlamaConfig(hidden_size=256, intermediate_size=512, num_attention_heads=4, num_hidden_layers=layers,
                               vocab_size=1000)).to("cuda") for layers in (4, 24)
    )
    ids = torch.zeros(1, 64, dtype=torch.long, device="cuda")
    for what, dtype, amp in [("bf16", BF16, False), ("fp32+amp", torch.float32, True), ("bf16+amp", BF16, True)]:
        taken = {}
        for name, model in (("few", few.to(dtype)), ("many", many.to(dtype))):
            scope = torch.autocast("cuda", dtype=BF16) if amp else contextlib.nullcontext()
            for part in ("forward", "both"):
                best = 1e9
                for _ in range(8):
                    torch.cuda.synchronize()
                    start = time.perf_counter()
                    with scope:
                        out = model(ids, use_cache=False).last_hidden_state
                    if part == "both":
                        out.float().sum().backward()
                    torch.cuda.synchronize()
                    best = min(best, time.perf_counter() - start)
                taken[name, part] = best
        for part in ("forward", "both"):
            row("launch", f"layer {part} {what}", "1x64x256", (taken["many", part] - taken["few", part]) / 20)
    x = tensor(16)
    start = time.perf_counter()
    for _ in range(2000):
        x.add_(1)
    row("launch", "kernel", "16", (time.perf_counter() - start) / 2000)


if __name__ == "__main__":
    print(f"# torch {torch.__version__}")
    print("kind,what,size,seconds,work,unit,rate")
    for part in (memory, matrix_products, attention, optimizers, launches, elementwise):
        try:
            part()
        except Exception as error:  # noqa: BLE001
            print(f"# {part.__name__}: {type(error).__name__}: {error}".replace("\n", " ")[:300], flush=True)
        torch.cuda.empty_cache()
