"""What a diffusion model's forward pass keeps for the backward pass, counted on PyTorch's fake tensors.

    python image.py '{"model": "stable-diffusion-xl", "side": 1024, "trains": "adapters", "checkpointed": "no"}' …

prints a row of ../images.csv for each setting. With "frames" the sample is a video, and the row is one of ../videos.csv. Needs PyTorch and diffusers, and no device. The rows were made with PyTorch 2.15.0
and diffusers 0.42.1.

Weights are bf16. CUDA's autocast is acted out: products are in bf16, norms and powers in fp32. Copies of weights in another format
are not counted. With checkpointing, `kept_gib` has the inputs of the blocks and the largest block, which is computed again.
"""

import json
import sys

import diffusers
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode

Tensor = torch.Tensor
NARROW = {F.linear, F.conv2d, F.scaled_dot_product_attention, torch.matmul, torch.bmm, torch.baddbmm, Tensor.matmul}
WIDE = {
    F.group_norm, F.layer_norm, F.rms_norm, F.softmax, Tensor.softmax, torch.softmax, torch.rsqrt, torch.pow, Tensor.pow,
    torch.exp, Tensor.exp,
}
BLOCKS = (
    "ResnetBlock2D", "BasicTransformerBlock", "JointTransformerBlock", "FluxTransformerBlock", "FluxSingleTransformerBlock",
    "QwenImageTransformerBlock", "Flux2TransformerBlock", "Flux2SingleTransformerBlock", "ZImageTransformerBlock",
    "ChromaTransformerBlock", "ChromaSingleTransformerBlock", "Lumina2TransformerBlock", "WanTransformerBlock",
    "HunyuanVideoTransformerBlock", "HunyuanVideoSingleTransformerBlock", "HunyuanVideoTokenReplaceTransformerBlock",
    "LTXVideoTransformerBlock", "CogVideoXBlock", "HiDreamImageTransformerBlock", "HiDreamImageSingleTransformerBlock",
    "AuraFlowJointTransformerBlock", "AuraFlowSingleTransformerBlock", "SanaTransformerBlock",
)
XL = dict(
    block_out_channels=(320, 640, 1280), transformer_layers_per_block=[1, 2, 10], attention_head_dim=[5, 10, 20],
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), cross_attention_dim=2048,
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
    use_linear_projection=True,
)
UNETS = {
    "stable-diffusion-1.5": dict(cross_attention_dim=768, attention_head_dim=8),
    "stable-diffusion-2.1": dict(cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20], use_linear_projection=True),
    "stable-diffusion-xl": XL,
}
SD3 = dict(attention_head_dim=64, joint_attention_dim=4096, pooled_projection_dim=2048, sample_size=128)
SD3S = {
    "stable-diffusion-3-medium": dict(num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=192),
    "stable-diffusion-3.5-medium": dict(
        num_layers=24, num_attention_heads=24, caption_projection_dim=1536, pos_embed_max_size=384,
        dual_attention_layers=tuple(range(13)), qk_norm="rms_norm",
    ),
    "stable-diffusion-3.5-large": dict(
        num_layers=38, num_attention_heads=38, caption_projection_dim=2432, pos_embed_max_size=192, qk_norm="rms_norm",
    ),
}

# Transformers whose class has the sizes of the published model, or few others: the class, and these.
OTHERS = {
    "qwen-image": (diffusers.QwenImageTransformer2DModel, {}),
    "flux.2-dev": (diffusers.Flux2Transformer2DModel, {}),
    "z-image": (diffusers.ZImageTransformer2DModel, {}),
    "chroma1": (diffusers.ChromaTransformer2DModel, {}),
    "wan2.1-t2v-1.3b": (diffusers.WanTransformer3DModel, dict(num_attention_heads=12, num_layers=30, ffn_dim=8960)),
    "wan2.1-t2v-14b": (diffusers.WanTransformer3DModel, {}),
    "wan2.2-ti2v-5b": (
        diffusers.WanTransformer3DModel,
        dict(num_attention_heads=24, num_layers=30, ffn_dim=14336, in_channels=48, out_channels=48),
    ),
    "hunyuanvideo": (diffusers.HunyuanVideoTransformer3DModel, {}),
    "ltx-video": (diffusers.LTXVideoTransformer3DModel, {}),
    "cogvideox-5b": (
        diffusers.CogVideoXTransformer3DModel,
        dict(num_layers=42, num_attention_heads=48, use_rotary_positional_embeddings=True),
    ),
}


class Autocast(TorchFunctionMode):
    """CUDA's autocast, which casts a weight once."""

    def __init__(self):
        super().__init__()
        self.copies = {}

    def cast(self, x, wanted):
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.dtype == wanted:
            return x
        if not isinstance(x, torch.nn.Parameter):
            return x.to(wanted)
        if id(x) not in self.copies:
            self.copies[id(x)] = x.to(wanted)
        return self.copies[id(x)]

    def bytes(self):
        return sum(copy.untyped_storage().nbytes() for copy in self.copies.values())

    def __torch_function__(self, function, types, args=(), kwargs=None):
        wanted = torch.bfloat16 if function in NARROW else torch.float32 if function in WIDE else None
        kwargs = kwargs or {}
        if wanted:
            args = tuple(self.cast(x, wanted) for x in args)
            kwargs = {name: self.cast(x, wanted) for name, x in kwargs.items()}
        return function(*args, **kwargs)


class Adapted(torch.nn.Module):
    """A frozen linear layer with an adapter."""

    def __init__(self, base, rank=4):
        super().__init__()
        self.base = base
        self.a = torch.nn.Linear(base.in_features, rank, bias=False)
        self.b = torch.nn.Linear(rank, base.out_features, bias=False)

    def forward(self, x, *_, **__):
        y = self.base(x)
        return y + self.b(self.a(x.to(self.a.weight.dtype)))


def model_of(row):
    """The network in bf16, with adapters on queries, keys, values and outputs if these are trained."""
    torch.set_default_dtype(torch.bfloat16)
    name = row["model"]
    if name in UNETS:
        model = diffusers.UNet2DConditionModel(**UNETS[name])
    elif name in SD3S:
        model = diffusers.SD3Transformer2DModel(**SD3, **SD3S[name])
    elif name in OTHERS:
        model = OTHERS[name][0](**OTHERS[name][1])
    else:
        model = diffusers.FluxTransformer2DModel(guidance_embeds=True)
    torch.set_default_dtype(torch.float32)
    if row["trains"] == "adapters":
        model.requires_grad_(False)
        for module in list(model.modules()):
            for child_name, child in list(module.named_children()):
                if isinstance(child, torch.nn.Linear) and child_name in ("to_q", "to_k", "to_v", "to_qkv_mlp_proj"):
                    setattr(module, child_name, Adapted(child))
                elif child_name == "to_out" and isinstance(child, torch.nn.ModuleList):
                    child[0] = Adapted(child[0])
    return model.train()


def run(row, model):
    """The forward pass of one sample."""
    numbers = lambda *shape: torch.zeros(shape, dtype=torch.bfloat16)
    name, side = row["model"], row["side"] // 8
    if name in UNETS:
        more = {}
        if name == "stable-diffusion-xl":
            more["added_cond_kwargs"] = dict(text_embeds=numbers(1, 1280), time_ids=numbers(1, 6))
        text = numbers(1, 77, UNETS[name]["cross_attention_dim"])
        return model(numbers(1, 4, side, side), torch.zeros(1, dtype=torch.long), text, **more)
    if name in SD3S:
        return model(
            hidden_states=numbers(1, 16, side, side), timestep=numbers(1), encoder_hidden_states=numbers(1, 154, 4096),
            pooled_projections=numbers(1, 2048),
        )
    tokens = (side // 2) ** 2
    if name in OTHERS:
        return run_other(row, model, numbers, tokens)
    return model(
        hidden_states=numbers(1, tokens, 64), timestep=numbers(1), guidance=numbers(1), pooled_projections=numbers(1, 768),
        encoder_hidden_states=numbers(1, 512, 4096), txt_ids=numbers(512, 3), img_ids=numbers(tokens, 3),
    )


def run_other(row, model, numbers, tokens):
    """The same, of a class in OTHERS."""
    name, high, wide = row["model"], row["side"] // 8, row.get("width", row["side"]) // 8
    frames = (row.get("frames", 1) - 1) // 4 + 1
    if name == "qwen-image":
        return model(
            hidden_states=numbers(1, tokens, 64), timestep=numbers(1), encoder_hidden_states=numbers(1, 256, 3584),
            img_shapes=[[(1, high // 2, high // 2)]], encoder_hidden_states_mask=None,
        )
    if name == "flux.2-dev":
        return model(
            hidden_states=numbers(1, tokens, 128), timestep=numbers(1), guidance=numbers(1),
            encoder_hidden_states=numbers(1, 512, 15360), txt_ids=numbers(1, 512, 4), img_ids=numbers(1, tokens, 4),
        )
    if name == "z-image":
        return model([numbers(16, 1, high, high)], numbers(1), [numbers(512, 2560)])
    if name == "chroma1":
        return model(
            hidden_states=numbers(1, tokens, 64), timestep=numbers(1), encoder_hidden_states=numbers(1, 512, 4096),
            txt_ids=numbers(512, 3), img_ids=numbers(tokens, 3),
        )
    if name.startswith("wan"):
        side, channels = (2, 48) if "5b" in name else (1, 16)
        text = numbers(1, 512, 4096)
        return model(numbers(1, channels, frames, high // side, wide // side), torch.zeros(1, dtype=torch.long), text)
    if name == "hunyuanvideo":
        return model(
            numbers(1, 16, frames, high, wide), torch.zeros(1, dtype=torch.long), numbers(1, 256, 4096),
            torch.ones(1, 256, dtype=torch.long), numbers(1, 768), numbers(1),
        )
    if name == "ltx-video":
        frames, high, wide = (row["frames"] - 1) // 8 + 1, high // 4, wide // 4
        return model(
            numbers(1, frames * high * wide, 128), numbers(1, 128, 4096), numbers(1), torch.ones(1, 128),
            num_frames=frames, height=high, width=wide,
        )
    if name == "cogvideox-5b":
        places = frames * high * wide // 4
        return model(
            numbers(1, frames, 16, high, wide), numbers(1, 226, 4096), torch.zeros(1, dtype=torch.long),
            image_rotary_emb=(numbers(places, 64), numbers(places, 64)),
        )
    raise ValueError(name)


def kept(row):
    """The bytes that the pass keeps, and those of its largest block."""
    with FakeTensorMode(allow_non_fake_inputs=True):
        model, autocast = model_of(row), Autocast()
        weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}
        saved, begun, blocks = {}, [], [0]

        def save(tensor):
            storage = tensor.untyped_storage()
            if storage._cdata not in weights:
                saved[storage._cdata] = storage
            return tensor

        def total():
            return sum(storage.nbytes() for storage in saved.values()) - autocast.bytes()

        if row["checkpointed"] == "yes":
            model.enable_gradient_checkpointing()
        else:
            for module in model.modules():
                if type(module).__name__ in BLOCKS:
                    module.register_forward_pre_hook(lambda *_: begun.append(total()))
                    module.register_forward_hook(lambda *_: blocks.append(total() - begun.pop()))
        with autocast, torch.autograd.graph.saved_tensors_hooks(save, lambda tensor: tensor):
            output = run(row, model)
        result = total(), max(blocks)
        del output
        return result


def main():
    for text in sys.argv[1:]:
        row = json.loads(text)
        bytes_kept = kept(row)[0]
        if row["checkpointed"] == "yes":
            bytes_kept += kept(row | dict(checkpointed="no"))[1]
        size = [row["side"], row["width"], row["frames"]] if "frames" in row else [row["side"]]
        print(row["model"], *size, row["trains"], row["checkpointed"], f"{bytes_kept / 2**30:.3f}", sep=",", flush=True)


if __name__ == "__main__":
    main()
