"""What do diffusers and PEFT make of a base checkpoint when they fuse adapters into it?

What it makes
    expected.json beside this script: tiny models, adapters for them, and the weights after fusing. No weights are
    stored: every tensor's values follow from its name (below), so that a test can build the same files.

Models
    Built from configurations by the real classes: SD1.5 (UNet, CLIP-L), SDXL (UNet, CLIP-L, CLIP with projection), SD3
    (transformer with a dual attention layer, two CLIPs, T5), Flux.1 (double and single blocks, CLIP-L, T5), GPT-2 and
    Llama. UNets of SD1.5 and SDXL have the real width of the text, which tells their families apart.
    The diffusion models are there in two layouts: the folders of diffusers, and the single file of the original authors.
    The second is made here by inverting diffusers' converters, and checked: the real converter must give the folder's
    state dict back, tensor for tensor. (Flux.1's converter has its width written into it; it runs here with that one
    number replaced, and so does its converter of kohya's adapters.)

Expected weights
    The library loads the adapters from files and fuses them: diffusers by load_lora_weights, set_adapters (a separate
    strength for text encoders where a case has one) and fuse_lora; PEFT by PeftModel.from_pretrained, load_adapter and
    merge_and_unload. Every weight of every network is then compared with dense float64 algebra by the plain formula
    (base + sum of strength * scale * up @ down, put together in the layout that the adapter's names speak of, and
    renamed by diffusers' converter): a target that the library skipped or misread does not pass, nor does a weight that
    changed and should not.
    `oracle` of a case says whose numbers are recorded. It is "dense float64" where no library can be asked:
      - kohya files whose alphas differ from target to target: diffusers gives nearly all attention layers the commonest;
      - kohya files of SD3 and of T5 encoders, which diffusers does not read.
      - kohya files of what Flux.1 has outside its blocks, and of SDXL's text projection, which it leaves aside.
    Of these the script checks that the library does differ or refuse, so the list shrinks when a library learns.

Fields
    formula    element i of a tensor: h = FNV-1a (64 bits) of the tensor's label; s = h + (i + 1) * 0x9e3779b97f4a7c15;
               z = SplitMix64's mixing of s; k = (z >> (64 - bits)) - 2 ** (bits - 1); value = k * 2 ** (exponent + 1 -
               bits). `bits` is 16 for F32, 11 for F16 and 8 for BF16: exact in each.
               Labels: MODEL/FOLDER/NAME for weights in the folder's names, ADAPTER/KEY for an adapter's tensors.
    models     `networks`: `folder`, `file`, `config` (config.json), `weights` (name and shape), and for the single
               file `prefix` and `original`: name, indices of the weights whose rows it holds in order, and `swap`
               (halves of the rows in opposite order) or `transpose`. `extras`: tensors of the single file that belong
               to no network.
    adapters   `tensors`: key, shape, and for scalars the value. `config` makes it a PEFT folder.
    cases      `adapters`: name, strength and, where it differs, the strength for text encoders. `changed`: FOLDER/NAME
               -> `sum` of the fused weight and `norm` of the change (float64), and `sample`: the fused elements
               (k * 7919 + 13) mod count. With `exact` (F16 and BF16 bases) the same elements before rounding, by dense
               float64 algebra. `gap` is how far any element of the library's weights is from those, by its own
               rounding; 0 where the oracle is dense algebra, rounded once. Weights not listed do not change.

Library versions that printed the committed numbers (also in the JSON, under "versions")
    Python 3.11, torch 2.13.0 (CPU build), numpy 2.4.6, safetensors 0.8.0, diffusers 0.42.1, transformers 5.23.0,
    peft 0.21.2.

How to run
    OMP_NUM_THREADS=1 python make.py

    Seconds on one core. The last digits may depend on the processor.
"""

import copy
import importlib.metadata
import inspect
import json
import logging
import math
import os
import pathlib
import platform
import re
import sys
import tempfile
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import diffusers.loaders.lora_pipeline
import numpy as np
import torch
import transformers
from diffusers.loaders import single_file_utils
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent

DTYPES = {"F32": (torch.float32, 16), "F16": (torch.float16, 11), "BF16": (torch.bfloat16, 8)}
BASE_EXPONENT = -2
FACTOR_EXPONENT = -1
# How far the library, which adds in float32, may be from float64 algebra; weights are smaller than 2.
AGREE = 4e-7


def fail(text):
    raise SystemExit(text)


# ---------------------------------------------------------------------------------------------------------------------
# Values from names


def numbers(label, shape, bits, exponent):
    h = 0xCBF29CE484222325
    for byte in label.encode():
        h = (h ^ byte) * 0x100000001B3 % 2**64
    count = math.prod(shape)
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    k = (z >> np.uint64(64 - bits)).astype(np.int64) - 2 ** (bits - 1)
    return (k * 2.0 ** (exponent + 1 - bits)).reshape(shape)


def tensor(label, shape, dtype, exponent):
    torch_dtype, bits = DTYPES[dtype]
    exact = torch.from_numpy(numbers(label, shape, bits, exponent))
    stored = exact.to(torch_dtype)
    assert torch.equal(stored.to(torch.float64), exact)
    return stored


# ---------------------------------------------------------------------------------------------------------------------
# Networks in both layouts


class Network:
    """One network of a model: its weights by the folder's names, and the single file's tensors made of them."""

    def __init__(self, folder, module, config, prefix=None, original=None, convert=None, add_level=False):
        self.folder, self.module, self.config, self.prefix = folder, module, config, prefix
        self.pristine = module
        self.is_transformers = not hasattr(module, "load_lora_adapter")
        self.file = "model.safetensors" if self.is_transformers else "diffusion_pytorch_model.safetensors"
        # Published checkpoints have a level that transformers 5.6 and later leave out of CLIPTextModel.
        self.level = "text_model." if add_level else ""
        self.shapes, seen = {}, set()
        for name, value in module.state_dict(keep_vars=True).items():
            if id(value) not in seen:
                self.shapes[self.level + name] = list(value.shape)
            seen.add(id(value))
        self.names = list(self.shapes)
        self.original = original(self) if original else None  # name -> ([names], operation)
        self.convert = convert

    def compose(self, weights, entry):
        names, operation = entry
        whole = torch.cat([weights[n] for n in names]) if weights[names[0]].ndim else weights[names[0]]
        if operation == "swap":
            whole = torch.cat(list(whole.chunk(2))[::-1])
        return whole.T.contiguous() if operation == "transpose" else whole

    def single(self, weights):
        return {self.prefix + name: self.compose(weights, entry) for name, entry in self.original.items()}

    def load(self, weights):
        state = {name.removeprefix(self.level): value for name, value in weights.items()}
        missing, unexpected = self.module.load_state_dict(state, strict=False)
        # Tied weights are in the state dict twice, and only once in a file.
        assert not unexpected and all(m in TIED for m in missing), (missing, unexpected)

    def fused(self):
        """The weights after fusing."""
        found = {}
        for name, value in self.module.state_dict().items():
            name = self.level + name.replace(".base_layer.", ".")
            if name in self.shapes:
                found[name] = value.detach().clone()
        assert found.keys() == self.shapes.keys()
        return found


TIED = {"lm_head.weight", "encoder.embed_tokens.weight"}


class Model:
    def __init__(self, name, networks, extras=(), pipeline=None):
        self.name, self.networks, self.extras, self.pipeline = name, networks, list(extras), pipeline

    def network(self, folder):
        return next(n for n in self.networks if n.folder == folder)

    def weights(self, network, dtype):
        return {
            name: tensor(f"{self.name}/{network.folder}/{name}", shape, dtype, BASE_EXPONENT)
            for name, shape in network.shapes.items()
        }

    def check_layouts(self):
        """The real converter must give the folder's state dict back."""
        single, own = {}, {}
        for network in self.networks:
            if network.original:
                own[network.folder] = self.weights(network, "F32")
                single.update(network.single(own[network.folder]))
        for network in self.networks:
            if not network.original:
                continue
            back = network.convert(dict(single))
            expected = {n: w for n, w in own[network.folder].items() if any(n in e[0] for e in network.original.values())}
            if back.keys() != expected.keys():
                fail(f"{self.name}: {network.folder}: {sorted(back.keys() ^ expected.keys())[:8]}")
            for name, value in expected.items():
                assert torch.equal(back[name], value), (self.name, name)
            print(f"{self.name}: {network.folder}: {len(network.original)} tensors, converted back exactly")


def rewritten(function, old, new):
    """A library's function with one number of its source replaced."""
    source = inspect.getsource(function)
    assert old in source, old
    scope = dict(function.__globals__)
    exec(source.replace(old, new), scope)
    return scope[function.__name__]


def split_name(name, kinds=("weight", "bias")):
    module, _, kind = name.rpartition(".")
    return (module, "." + kind) if kind in kinds else (name, "")


LDM_MODULES = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
LDM_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}


def ldm_module(module, with_attention):
    """An LDM module's name by formats.md, 7.2."""
    if module in LDM_MODULES:
        return LDM_MODULES[module]
    if match := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d)\.(.*)", module):
        kind, place, rest = match.groups()
        return f"middle_block.1.{rest}" if kind == "attentions" else f"middle_block.{2 * int(place)}.{LDM_RESNET[rest]}"
    side, block, kind, layer, rest = re.fullmatch(r"(down|up)_blocks\.(\d)\.(\w+)\.(\d)\.(.*)", module).groups()
    block, layer = int(block), int(layer)
    if kind == "downsamplers":
        return f"input_blocks.{3 * block + 3}.0.op"
    if kind == "upsamplers":
        return f"output_blocks.{3 * block + 2}.{2 if block in with_attention else 1}.conv"
    start = f"input_blocks.{1 + 3 * block + layer}" if side == "down" else f"output_blocks.{3 * block + layer}"
    return f"{start}.1.{rest}" if kind == "attentions" else f"{start}.0.{LDM_RESNET[rest]}"


def ldm_original(network):
    with_attention = {int(n.split(".")[1]) for n in network.names if n.startswith("up_blocks.") and ".attentions." in n}
    entries = {}
    for name in network.names:
        module, kind = split_name(name)
        entries[ldm_module(module, with_attention) + kind] = ([name], "")
    return entries


def same_original(skip=()):
    return lambda network: {name: ([name], "") for name in network.names if name not in skip}


def open_clip_original(network):
    entries = {}
    simple = {
        "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
        "text_model.embeddings.position_embedding.weight": "positional_embedding",
        "text_model.final_layer_norm.weight": "ln_final.weight",
        "text_model.final_layer_norm.bias": "ln_final.bias",
    }
    parts = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "self_attn.out_proj": "attn.out_proj",
             "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}  # fmt: skip
    for name in network.names:
        if name in simple:
            entries[simple[name]] = ([name], "")
        elif name == "text_projection.weight":
            entries["text_projection"] = ([name], "transpose")
        else:
            module, kind = split_name(name)
            layer, part = re.fullmatch(r"text_model\.encoder\.layers\.(\d+)\.(.*)", module).groups()
            start = f"transformer.resblocks.{layer}."
            if part in parts:
                entries[start + parts[part] + kind] = ([name], "")
            elif part == "self_attn.q_proj":
                rows = [name.replace("q_proj", p) for p in ("q_proj", "k_proj", "v_proj")]
                entries[start + "attn.in_proj" + kind.replace(".", "_")] = (rows, "")
    return entries


def table_original(rules):
    """rules(network): (original module, [modules], operation); whole tensors where a name ends in `!`."""

    def original(network):
        entries, used = {}, set()
        for left, rights, operation in rules(network):
            if left.endswith("!"):
                entries[left[:-1]] = (rights, operation)
                used.update(rights)
                continue
            for kind in (".weight", ".bias"):
                names = [r + kind for r in rights]
                if all(n in network.shapes for n in names):
                    entries[left + kind] = (names, operation)
                    used.update(names)
        assert used == set(network.names), sorted(set(network.names) ^ used)[:8]
        return entries

    return original


def sd3_rules(network):
    blocks = 1 + max(int(n.split(".")[1]) for n in network.names if n.startswith("transformer_blocks."))
    yield "pos_embed!", ["pos_embed.pos_embed"], ""
    yield "x_embedder.proj", ["pos_embed.proj"], ""
    yield "context_embedder", ["context_embedder"], ""
    for left, right in [("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder")]:
        yield f"{left}.mlp.0", [f"time_text_embed.{right}.linear_1"], ""
        yield f"{left}.mlp.2", [f"time_text_embed.{right}.linear_2"], ""
    for i in range(blocks):
        joint, block = f"joint_blocks.{i}.", f"transformer_blocks.{i}."
        attentions = [
            ("x_block.attn", "attn", ["to_q", "to_k", "to_v"], "to_out.0", "norm_q", "norm_k"),
            ("context_block.attn", "attn", ["add_q_proj", "add_k_proj", "add_v_proj"], "to_add_out",
             "norm_added_q", "norm_added_k"),
            ("x_block.attn2", "attn2", ["to_q", "to_k", "to_v"], "to_out.0", "norm_q", "norm_k"),
        ]  # fmt: skip
        for left, right, qkv, out, norm_q, norm_k in attentions:
            yield f"{joint}{left}.qkv", [f"{block}{right}.{p}" for p in qkv], ""
            yield f"{joint}{left}.proj", [f"{block}{right}.{out}"], ""
            yield f"{joint}{left}.ln_q", [f"{block}{right}.{norm_q}"], ""
            yield f"{joint}{left}.ln_k", [f"{block}{right}.{norm_k}"], ""
        last = "swap" if i == blocks - 1 else ""
        for side, norm, ff, swap in [("x", "norm1", "ff", ""), ("context", "norm1_context", "ff_context", last)]:
            yield f"{joint}{side}_block.adaLN_modulation.1", [f"{block}{norm}.linear"], swap
            yield f"{joint}{side}_block.mlp.fc1", [f"{block}{ff}.net.0.proj"], ""
            yield f"{joint}{side}_block.mlp.fc2", [f"{block}{ff}.net.2"], ""
    yield "final_layer.linear", ["proj_out"], ""
    yield "final_layer.adaLN_modulation.1", ["norm_out.linear"], "swap"


def flux_rules(network):
    yield "img_in", ["x_embedder"], ""
    yield "txt_in", ["context_embedder"], ""
    for left, right in [("time", "timestep"), ("vector", "text"), ("guidance", "guidance")]:
        yield f"{left}_in.in_layer", [f"time_text_embed.{right}_embedder.linear_1"], ""
        yield f"{left}_in.out_layer", [f"time_text_embed.{right}_embedder.linear_2"], ""
    for i in range(2):
        double, block = f"double_blocks.{i}.", f"transformer_blocks.{i}."
        for side, norm, ff, qkv, out, added in [
            ("img", "norm1", "ff", ["to_q", "to_k", "to_v"], "to_out.0", ""),
            ("txt", "norm1_context", "ff_context", ["add_q_proj", "add_k_proj", "add_v_proj"], "to_add_out", "added_"),
        ]:
            yield f"{double}{side}_mod.lin", [f"{block}{norm}.linear"], ""
            yield f"{double}{side}_attn.qkv", [f"{block}attn.{p}" for p in qkv], ""
            yield f"{double}{side}_attn.proj", [f"{block}attn.{out}"], ""
            yield f"{double}{side}_attn.norm.query_norm.scale!", [f"{block}attn.norm_{added}q.weight"], ""
            yield f"{double}{side}_attn.norm.key_norm.scale!", [f"{block}attn.norm_{added}k.weight"], ""
            yield f"{double}{side}_mlp.0", [f"{block}{ff}.net.0.proj"], ""
            yield f"{double}{side}_mlp.2", [f"{block}{ff}.net.2"], ""
        single, block = f"single_blocks.{i}.", f"single_transformer_blocks.{i}."
        yield f"{single}linear1", [block + p for p in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")], ""
        yield f"{single}linear2", [f"{block}proj_out"], ""
        yield f"{single}modulation.lin", [f"{block}norm.linear"], ""
        yield f"{single}norm.query_norm.scale!", [f"{block}attn.norm_q.weight"], ""
        yield f"{single}norm.key_norm.scale!", [f"{block}attn.norm_k.weight"], ""
    yield "final_layer.linear", ["proj_out"], ""
    yield "final_layer.adaLN_modulation.1", ["norm_out.linear"], "swap"


def clip_network(folder, prefix, projection, width=32, layers=2, skip=(), convert=None, original=None):
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        vocab_size=40, hidden_size=width, intermediate_size=2 * width, num_hidden_layers=layers, num_attention_heads=4,
        max_position_embeddings=12, projection_dim=24 if projection == 24 else width, bos_token_id=0, eos_token_id=1,
    )  # fmt: skip
    module = CLIPTextModelWithProjection(config) if projection else CLIPTextModel(config)
    convert = convert or (lambda c: single_file_utils.convert_ldm_clip_checkpoint(c, prefix))
    name = "CLIPTextModelWithProjection" if projection else "CLIPTextModel"
    return Network(
        folder, module, {"architectures": [name], "model_type": "clip_text_model"}, prefix,
        original or same_original(skip), convert, add_level=not hasattr(module, "text_model"),
    )  # fmt: skip


def t5_network(folder):
    from transformers import T5Config, T5EncoderModel

    module = T5EncoderModel(
        T5Config(vocab_size=40, d_model=24, d_kv=8, d_ff=48, num_layers=1, num_heads=3, feed_forward_proj="gated-gelu")
    )
    return Network(
        folder, module, {"architectures": ["T5EncoderModel"], "model_type": "t5"}, "text_encoders.t5xxl.transformer.",
        same_original(), single_file_utils.convert_sd3_t5_checkpoint_to_diffusers,
    )  # fmt: skip


def unet_network(**settings):
    from diffusers import UNet2DConditionModel

    module = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, layers_per_block=2, norm_num_groups=4, attention_head_dim=4,
        **settings,
    )  # fmt: skip
    return Network(
        "unet", module, {"_class_name": "UNet2DConditionModel"}, "model.diffusion_model.", ldm_original,
        lambda c: single_file_utils.convert_ldm_unet_checkpoint(c, dict(module.config)),
    )  # fmt: skip


def loaded_by_transformers(model, tensors):
    """GPT-2 was published without the `transformer.` that transformers writes now; it reads both."""
    with tempfile.TemporaryDirectory() as folder:
        model.config.save_pretrained(folder)
        save_file(tensors, f"{folder}/model.safetensors", metadata={"format": "pt"})
        loaded = type(model).from_pretrained(folder).state_dict()
    return {name: value for name, value in loaded.items() if name not in TIED}


def make_models():
    from diffusers import (
        DDIMScheduler,
        EulerDiscreteScheduler,
        FlowMatchEulerDiscreteScheduler,
        FluxPipeline,
        FluxTransformer2DModel,
        SD3Transformer2DModel,
        StableDiffusion3Pipeline,
        StableDiffusionPipeline,
        StableDiffusionXLPipeline,
    )
    from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

    def sd15_pipeline(n):
        return StableDiffusionPipeline(
            vae=None, text_encoder=n["text_encoder"], tokenizer=None, unet=n["unet"],
            scheduler=DDIMScheduler(steps_offset=1, clip_sample=False), safety_checker=None, feature_extractor=None,
            requires_safety_checker=False,
        )  # fmt: skip

    sd15 = Model(
        "sd15",
        [
            unet_network(
                block_out_channels=(8, 16, 24, 24), cross_attention_dim=768,
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            ),
            clip_network("text_encoder", "cond_stage_model.transformer.", 0),
        ],
        [
            ["cond_stage_model.transformer.text_model.embeddings.position_ids", "I64", [1, 12]],
            ["alphas_cumprod", "F32", [10]],
            ["first_stage_model.decoder.conv_in.weight", "F32", [8, 4, 3, 3]],
            ["model_ema.decay", "F32", []],
        ],
        sd15_pipeline,
    )  # fmt: skip

    def sdxl_pipeline(n):
        return StableDiffusionXLPipeline(
            vae=None, tokenizer=None, tokenizer_2=None, scheduler=EulerDiscreteScheduler(), **n
        )

    sdxl = Model(
        "sdxl",
        [
            unet_network(
                block_out_channels=(8, 16, 24), cross_attention_dim=2048, use_linear_projection=True,
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 1, 2), addition_embed_type="text_time", addition_time_embed_dim=4,
                projection_class_embeddings_input_dim=48,
            ),
            clip_network("text_encoder", "conditioner.embedders.0.transformer.", 0),
            clip_network(
                "text_encoder_2", "conditioner.embedders.1.model.", 24, original=open_clip_original,
                convert=lambda c: single_file_utils.convert_open_clip_checkpoint(
                    None, c, prefix="conditioner.embedders.1.model."
                ),
            ),
        ],
        [["conditioner.embedders.1.model.logit_scale", "F32", []]],
        sdxl_pipeline,
    )  # fmt: skip

    def sd3_pipeline(n):
        n = dict(n)
        return StableDiffusion3Pipeline(
            vae=None, tokenizer=None, tokenizer_2=None, tokenizer_3=None, scheduler=FlowMatchEulerDiscreteScheduler(), **n
        )

    sd3_transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=4, num_layers=3, attention_head_dim=8, num_attention_heads=4,
        joint_attention_dim=24, caption_projection_dim=32, pooled_projection_dim=20, out_channels=4,
        pos_embed_max_size=6, dual_attention_layers=(0,), qk_norm="rms_norm",
    )  # fmt: skip
    sd3 = Model(
        "sd3",
        [
            Network(
                "transformer", sd3_transformer, {"_class_name": "SD3Transformer2DModel"}, "model.diffusion_model.",
                table_original(sd3_rules), single_file_utils.convert_sd3_transformer_checkpoint_to_diffusers,
            ),
            clip_network("text_encoder", "text_encoders.clip_l.transformer.", 1, skip={"text_projection.weight"}),
            clip_network("text_encoder_2", "text_encoders.clip_g.transformer.", 1, width=48),
            t5_network("text_encoder_3"),
        ],
        [],
        sd3_pipeline,
    )  # fmt: skip

    flux_transformer = FluxTransformer2DModel(
        patch_size=1, in_channels=12, num_layers=2, num_single_layers=2, attention_head_dim=8, num_attention_heads=2,
        joint_attention_dim=24, pooled_projection_dim=20, guidance_embeds=True, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    flux_converter = rewritten(
        single_file_utils.convert_flux_transformer_checkpoint_to_diffusers, "inner_dim = 3072", "inner_dim = 16"
    )
    diffusers.loaders.lora_pipeline._convert_kohya_flux_lora_to_diffusers = rewritten(
        diffusers.loaders.lora_pipeline._convert_kohya_flux_lora_to_diffusers,
        "dims=[3072, 3072, 3072, 12288]",
        "dims=[16, 16, 16, 64]",
    )

    def flux_pipeline(n):
        return FluxPipeline(
            vae=None, tokenizer=None, tokenizer_2=None, scheduler=FlowMatchEulerDiscreteScheduler(), **n
        )

    flux = Model(
        "flux",
        [
            Network(
                "transformer", flux_transformer, {"_class_name": "FluxTransformer2DModel"}, "model.diffusion_model.",
                table_original(flux_rules),
                lambda c: flux_converter({k: v for k, v in c.items() if k.startswith("model.diffusion_model.")}),
            ),
            clip_network("text_encoder", "text_encoders.clip_l.transformer.", 0),
            t5_network("text_encoder_2"),
        ],
        [],
        flux_pipeline,
    )  # fmt: skip

    gpt2 = GPT2LMHeadModel(
        GPT2Config(vocab_size=40, n_positions=12, n_embd=24, n_layer=2, n_head=3, bos_token_id=0, eos_token_id=1)
    )
    llama = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=40, hidden_size=32, intermediate_size=56, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=32, tie_word_embeddings=False, bos_token_id=0, eos_token_id=1,
        )
    )  # fmt: skip
    return [
        sd15,
        sdxl,
        sd3,
        flux,
        Model(
            "gpt2",
            [
                Network(
                    "", gpt2, {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "",
                    lambda network: {n.removeprefix("transformer."): ([n], "") for n in network.names},
                    lambda c: loaded_by_transformers(gpt2, c),
                )
            ],
        ),
        Model("llama", [Network("", llama, {"architectures": ["LlamaForCausalLM"], "model_type": "llama"})]),
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Adapters


class Target:
    def __init__(self, network, weight, up, down, scale, is_original=False, is_transposed=False):
        self.network, self.weight, self.up, self.down, self.scale = network, weight, up, down, scale
        self.is_original, self.is_transposed = is_original, is_transposed


class Adapter:
    """An adapter file: keys with shapes (and values of scalars), and what they mean."""

    def __init__(self, name, model, dtype="F32", metadata=None, config=None):
        self.name, self.model, self.dtype = name, model, dtype
        self.metadata, self.config = metadata or {}, config
        self.tensors, self.targets = [], []

    def add(self, folder, weight, rank, keys, scale=1.0, alpha=None, is_original=False, is_transposed=False):
        """keys: of the down and the up factor."""
        network = self.model.network(folder)
        if is_original:
            shape = list(network.single_shapes[weight])
        else:
            shape = network.shapes[weight]
        if is_transposed:
            shape = shape[::-1]
        kernel = shape[2:]
        self.tensors.append([keys[0], [rank, *shape[1:]]])
        self.tensors.append([keys[1], [shape[0], rank] + [1] * len(kernel)])
        if alpha is not None:
            self.tensors.append([keys[2], [], alpha])
            scale = alpha / rank
        self.targets.append(Target(network, weight, keys[1], keys[0], scale, is_original, is_transposed))
        return self

    def values(self):
        torch_dtype, _ = DTYPES[self.dtype]
        return {
            key: torch.tensor(rest[0], dtype=torch_dtype)
            if rest
            else tensor(f"{self.name}/{key}", shape, self.dtype, FACTOR_EXPONENT)
            for key, shape, *rest in self.tensors
        }

    def write(self, folder):
        if self.config is None:
            path = folder / f"{self.name}.safetensors"
            save_file(self.values(), path, metadata=self.metadata or None)
            return path
        path = folder / self.name
        path.mkdir(exist_ok=True)
        save_file(self.values(), path / "adapter_model.safetensors", metadata={"format": "pt"})
        (path / "adapter_config.json").write_text(json.dumps(self.config))
        return path

    def delta(self):
        """FOLDER/NAME -> update in float64, by formats.md, 3.1."""
        values = {key: value.to(torch.float64) for key, value in self.values().items()}
        found, originals = {}, {}
        for target in self.targets:
            up, down = values[target.up], values[target.down]
            update = target.scale * (up.reshape(up.shape[0], -1) @ down.reshape(down.shape[0], -1))
            if target.is_transposed:
                update = update.T
            network = target.network
            if target.is_original:
                if network not in originals:
                    zeros = {n: torch.zeros(s, dtype=torch.float64) for n, s in network.shapes.items()}
                    originals[network] = network.single(zeros)
                place = originals[network][network.prefix + target.weight]
                place += update.reshape(place.shape)
            else:
                name = f"{network.folder}/{target.weight}"
                assert name not in found
                found[name] = update.reshape(network.shapes[target.weight])
        for network, single in originals.items():
            for name, update in network.convert(single).items():
                if update.abs().max() > 0:
                    assert f"{network.folder}/{name}" not in found
                    found[f"{network.folder}/{name}"] = update
        return found


UNET_BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0."
SD15_TARGETS = [UNET_BLOCK + m for m in (
    "attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0", "attn2.to_q", "attn2.to_k", "attn2.to_v",
    "attn2.to_out.0", "ff.net.0.proj", "ff.net.2",
)] + [
    "down_blocks.0.attentions.0.proj_in", "down_blocks.0.attentions.0.proj_out", "down_blocks.1.resnets.0.conv1",
    "down_blocks.1.resnets.0.conv2", "down_blocks.1.resnets.0.conv_shortcut", "down_blocks.1.resnets.0.time_emb_proj",
    "down_blocks.1.downsamplers.0.conv", "down_blocks.2.attentions.1.transformer_blocks.0.attn2.to_v",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_k", "mid_block.resnets.1.conv2",
    "up_blocks.0.upsamplers.0.conv", "up_blocks.0.resnets.2.conv_shortcut", "up_blocks.1.upsamplers.0.conv",
    "up_blocks.3.attentions.2.transformer_blocks.0.attn1.to_v", "conv_in", "conv_out", "time_embedding.linear_1",
]  # fmt: skip
SDXL_TARGETS = [
    "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q", "down_blocks.1.attentions.0.proj_in",
    "down_blocks.2.attentions.1.transformer_blocks.1.attn2.to_k", "down_blocks.2.attentions.1.proj_out",
    "down_blocks.2.attentions.0.transformer_blocks.0.ff.net.0.proj", "down_blocks.0.resnets.1.conv1",
    "down_blocks.1.resnets.0.conv_shortcut", "down_blocks.1.resnets.0.time_emb_proj", "down_blocks.0.downsamplers.0.conv",
    "mid_block.attentions.0.transformer_blocks.1.attn1.to_out.0", "mid_block.resnets.0.conv2",
    "up_blocks.0.attentions.2.transformer_blocks.0.attn2.to_v", "up_blocks.0.upsamplers.0.conv",
    "up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_k", "up_blocks.2.resnets.2.conv_shortcut",
    "up_blocks.1.upsamplers.0.conv", "conv_in", "conv_out", "time_embedding.linear_2", "add_embedding.linear_1",
    "add_embedding.linear_2",
]  # fmt: skip
SD3_TARGETS = [
    "transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.add_k_proj", "transformer_blocks.0.attn.to_out.0",
    "transformer_blocks.0.attn.to_add_out", "transformer_blocks.0.attn2.to_v", "transformer_blocks.0.attn2.to_out.0",
    "transformer_blocks.0.norm1.linear", "transformer_blocks.0.norm1_context.linear", "transformer_blocks.1.attn.to_k",
    "transformer_blocks.1.ff.net.0.proj", "transformer_blocks.1.ff_context.net.2", "transformer_blocks.2.attn.to_v",
    "transformer_blocks.2.attn.add_q_proj", "transformer_blocks.2.norm1_context.linear",
    "transformer_blocks.2.norm1.linear", "norm_out.linear", "proj_out", "context_embedder", "pos_embed.proj",
    "time_text_embed.timestep_embedder.linear_1", "time_text_embed.text_embedder.linear_2",
]  # fmt: skip
SD3_ORIGINAL = [
    "joint_blocks.0.x_block.attn.qkv", "joint_blocks.0.x_block.attn2.qkv", "joint_blocks.0.x_block.attn2.proj",
    "joint_blocks.0.context_block.attn.qkv", "joint_blocks.0.context_block.attn.proj",
    "joint_blocks.0.context_block.adaLN_modulation.1", "joint_blocks.1.x_block.mlp.fc1",
    "joint_blocks.1.context_block.mlp.fc2", "joint_blocks.2.x_block.adaLN_modulation.1",
    "joint_blocks.2.context_block.adaLN_modulation.1", "joint_blocks.2.context_block.attn.qkv", "final_layer.linear",
    "final_layer.adaLN_modulation.1", "context_embedder", "t_embedder.mlp.0", "y_embedder.mlp.2", "x_embedder.proj",
]  # fmt: skip
FLUX_TARGETS = [
    "transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_v", "transformer_blocks.0.attn.add_k_proj",
    "transformer_blocks.0.attn.to_out.0", "transformer_blocks.0.attn.to_add_out", "transformer_blocks.1.norm1.linear",
    "transformer_blocks.1.norm1_context.linear", "transformer_blocks.1.ff.net.0.proj",
    "transformer_blocks.1.ff_context.net.2", "single_transformer_blocks.0.attn.to_k",
    "single_transformer_blocks.0.proj_mlp", "single_transformer_blocks.1.proj_out",
    "single_transformer_blocks.1.norm.linear", "x_embedder", "context_embedder",
    "time_text_embed.guidance_embedder.linear_1", "time_text_embed.text_embedder.linear_2", "proj_out",
]  # fmt: skip
FLUX_ORIGINAL = [
    "double_blocks.0.img_attn.qkv", "double_blocks.0.txt_attn.qkv", "double_blocks.0.img_attn.proj",
    "double_blocks.0.txt_attn.proj", "double_blocks.1.img_mlp.0", "double_blocks.1.txt_mlp.2",
    "double_blocks.1.img_mod.lin", "double_blocks.1.txt_mod.lin", "single_blocks.0.linear1", "single_blocks.1.linear1",
    "single_blocks.1.linear2", "single_blocks.0.modulation.lin",
]  # fmt: skip
FLUX_OUTER = [
    "img_in", "txt_in", "guidance_in.in_layer", "time_in.out_layer", "vector_in.in_layer", "final_layer.linear",
    "final_layer.adaLN_modulation.1",
]  # fmt: skip


def clip_targets(layers):
    return [
        f"text_model.encoder.layers.{i}.{part}"
        for i in layers
        for part in (*(f"self_attn.{p}_proj" for p in ("q", "k", "v", "out")), "mlp.fc1", "mlp.fc2")
    ]


def kohya_keys(prefix, module):
    name = f"lora_{prefix}_{module.replace('.', '_')}"
    return f"{name}.lora_down.weight", f"{name}.lora_up.weight", f"{name}.alpha"


def old_keys(component, module):
    """diffusers 0.15 to 0.22 for attention, 0.22 to 0.25 for the rest."""
    parent, _, part = module.rpartition(".")
    if component == "text_encoder":
        if ".self_attn." in module:
            part = {"q_proj": "to_q", "k_proj": "to_k", "v_proj": "to_v", "out_proj": "to_out"}[part]
            return tuple(f"{component}.{parent}.{part}_lora.{d}.weight" for d in ("down", "up"))
        return tuple(f"{component}.{module}.lora_linear_layer.{d}.weight" for d in ("down", "up"))
    if re.search(r"\.attn[12]\.", module):
        parent, part = re.fullmatch(r"(.*\.attn[12])\.(to_q|to_k|to_v|to_out)(?:\.0)?", module).groups()
        return tuple(f"{component}.{parent}.processor.{part}_lora.{d}.weight" for d in ("down", "up"))
    return tuple(f"{component}.{module}.lora.{d}.weight" for d in ("down", "up"))


def peft_keys(prefix, module):
    return f"{prefix}.{module}.lora_A.weight", f"{prefix}.{module}.lora_B.weight"


def peft_value(module, patterns, default):
    """PEFT's get_pattern_key: the first pattern that matches the end of the name behind a dot."""
    for pattern, value in patterns.items():
        if re.fullmatch(rf"(.*\.)?({pattern})", module):
            return value
    return default


def peft_adapter(name, model, folder, modules, config, dtype="F32"):
    full = {
        "peft_type": "LORA", "base_model_name_or_path": None, "bias": "none", "fan_in_fan_out": False,
        "inference_mode": True, "lora_dropout": 0.0, "use_rslora": False, "rank_pattern": {}, "alpha_pattern": {},
        "target_modules": sorted(set(modules)), **config,
    }  # fmt: skip
    adapter = Adapter(name, model, dtype, config=full)
    for module in modules:
        rank = peft_value(module, full["rank_pattern"], full["r"])
        alpha = peft_value(module, full["alpha_pattern"], full["lora_alpha"])
        scale = alpha / math.sqrt(rank) if full["use_rslora"] else alpha / rank
        transposed = full["fan_in_fan_out"]
        adapter.add(
            folder, module + ".weight", rank, peft_keys("base_model.model", module), scale, is_transposed=transposed
        )
    return adapter


def make_adapters(models):
    sd15, sdxl, sd3, flux, gpt2, llama = models
    adapters = []

    def new(name, model, **options):
        adapters.append(Adapter(name, model, **options))
        return adapters[-1]

    # SD1.5
    for name, dtype, rank, alpha in [
        ("sd15_kohya", "F32", 4, 3.0), ("sd15_kohya_f16", "F16", 4, 3.0), ("sd15_kohya_bf16", "BF16", 4, 3.0)
    ]:  # fmt: skip
        a = new(name, sd15, dtype=dtype, metadata={"ss_network_dim": str(rank), "ss_network_alpha": str(alpha)})
        for module in SD15_TARGETS if dtype == "F32" else SD15_TARGETS[::3]:
            a.add("unet", module + ".weight", rank, kohya_keys("unet", module), alpha=alpha)
        for module in clip_targets([0, 1] if dtype == "F32" else [1]):
            a.add("text_encoder", module + ".weight", rank, kohya_keys("te", module), alpha=alpha)
    # Convolutions have their own rank and alpha, as kohya's conv_dim and conv_alpha, and alphas vary besides.
    a = new("sd15_kohya_mixed", sd15)
    for i, module in enumerate(SD15_TARGETS[::2]):
        is_conv = len(sd15.network("unet").shapes[module + ".weight"]) == 4
        rank, alpha = (2, 1.0) if is_conv else (4 + i % 3, 1.0 + i % 4)
        a.add("unet", module + ".weight", rank, kohya_keys("unet", module), alpha=alpha)
    for i, module in enumerate(clip_targets([0])):
        a.add("text_encoder", module + ".weight", 3, kohya_keys("te", module), alpha=0.5 + i)
    for name, dtype in [("sd15_diffusers", "F32"), ("sd15_diffusers_f16", "F16"), ("sd15_diffusers_bf16", "BF16")]:
        a = new(name, sd15, dtype=dtype)
        for i, module in enumerate(SD15_TARGETS[1::2] if dtype == "F32" else SD15_TARGETS[::6]):
            rank = 3 if i % 4 else 5
            a.add("unet", module + ".weight", rank, peft_keys("unet", module))
        for module in clip_targets([1]):
            a.add("text_encoder", module + ".weight", 3, peft_keys("text_encoder", module))
    a = new("sd15_older", sd15)
    for module in [m for m in SD15_TARGETS if ".attn" in m or "ff.net" in m or "attentions.0.proj" in m]:
        a.add("unet", module + ".weight", 3, old_keys("unet", module))
    for module in clip_targets([0]):
        a.add("text_encoder", module + ".weight", 3, old_keys("text_encoder", module))
    fields = {"r": 3, "lora_alpha": 5, "rank_pattern": {"mid_block.resnets.1.conv2": 2},
              "alpha_pattern": {"to_v": 7}, "use_rslora": True}  # fmt: skip
    metadata = {f"unet.{k}": v for k, v in {**fields, "target_modules": SD15_TARGETS[2::3]}.items()}
    a = new("sd15_metadata", sd15, metadata={"format": "pt", "lora_adapter_metadata": json.dumps(metadata)})
    for module in SD15_TARGETS[2::3]:
        rank = peft_value(module, fields["rank_pattern"], 3)
        scale = peft_value(module, fields["alpha_pattern"], 5) / math.sqrt(rank)
        a.add("unet", module + ".weight", rank, peft_keys("unet", module), scale)
    adapters.append(
        peft_adapter(
            "sd15_peft", sd15, "unet", SD15_TARGETS[::2],
            {"r": 4, "lora_alpha": 6, "use_rslora": True, "rank_pattern": {"conv1": 2, "attn2.to_q": 6},
             "alpha_pattern": {r"down_blocks\.0\..*ff.net.2": 3, "conv_in": 1}},
        )
    )  # fmt: skip

    # SDXL: kohya's names are those of the single file.
    a = new("sdxl_kohya", sdxl)
    for module in SDXL_TARGETS:
        name = ldm_module(module, {0, 1})
        a.add("unet", name + ".weight", 4, kohya_keys("unet", name), alpha=2.0, is_original=True)
    for module in clip_targets([0]):
        a.add("text_encoder", module + ".weight", 4, kohya_keys("te1", module), alpha=2.0)
    for module in clip_targets([1]):
        a.add("text_encoder_2", module + ".weight", 4, kohya_keys("te2", module), alpha=2.0)
    a = new("sdxl_projection", sdxl)
    a.add("text_encoder_2", "text_projection.weight", 4, kohya_keys("te2", "text_projection"), alpha=2.0)
    a = new("sdxl_diffusers", sdxl)
    for module in SDXL_TARGETS[::2]:
        a.add("unet", module + ".weight", 3, peft_keys("unet", module))
    for component in ("text_encoder", "text_encoder_2"):
        for module in clip_targets([0]):
            a.add(component, module + ".weight", 3, peft_keys(component, module))

    # SD3
    a = new("sd3_diffusers", sd3)
    for i, module in enumerate(SD3_TARGETS):
        a.add("transformer", module + ".weight", 3 + i % 2, peft_keys("transformer", module))
    for component in ("text_encoder", "text_encoder_2"):
        for module in clip_targets([1]):
            a.add(component, module + ".weight", 3, peft_keys(component, module))
    a = new("sd3_kohya", sd3)
    for i, name in enumerate(SD3_ORIGINAL):
        a.add("transformer", name + ".weight", 4, kohya_keys("unet", name), alpha=1.0 + i % 3, is_original=True)
    for component, prefix in [("text_encoder", "te1"), ("text_encoder_2", "te2")]:
        for module in clip_targets([0]):
            a.add(component, module + ".weight", 4, kohya_keys(prefix, module), alpha=2.0)
    for module in t5_targets():
        a.add("text_encoder_3", module + ".weight", 4, kohya_keys("te3", module), alpha=2.0)

    # Flux.1
    a = new("flux_diffusers", flux)
    for i, module in enumerate(FLUX_TARGETS + ["norm_out.linear"]):
        a.add("transformer", module + ".weight", 3 + i % 2, peft_keys("transformer", module))
    for module in clip_targets([1]):
        a.add("text_encoder", module + ".weight", 3, peft_keys("text_encoder", module))
    a = new("flux_kohya", flux)
    for i, name in enumerate(FLUX_ORIGINAL):
        a.add("transformer", name + ".weight", 4, kohya_keys("unet", name), alpha=1.0 + i % 3, is_original=True)
    for module in clip_targets([0]):
        a.add("text_encoder", module + ".weight", 4, kohya_keys("te1", module), alpha=2.0)
    a = new("flux_kohya_outer", flux)
    for i, name in enumerate(FLUX_OUTER):
        a.add("transformer", name + ".weight", 4, kohya_keys("unet", name), alpha=1.0 + i % 3, is_original=True)
    for module in t5_targets():
        a.add("text_encoder_2", module + ".weight", 4, kohya_keys("te3", module), alpha=2.0)

    # Language models
    gpt2_modules = [f"transformer.h.{i}.{m}" for i in (0, 1) for m in ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")]
    adapters.append(
        peft_adapter("gpt2_peft", gpt2, "", gpt2_modules, {"r": 4, "lora_alpha": 6, "fan_in_fan_out": True})
    )
    llama_modules = [
        f"model.layers.{i}.{m}"
        for i in (0, 1)
        for m in (*(f"self_attn.{p}_proj" for p in "qkvo"), *(f"mlp.{p}_proj" for p in ("gate", "up", "down")))
    ]
    adapters.append(
        peft_adapter(
            "llama_peft", llama, "", llama_modules + ["lm_head"],
            {"r": 4, "lora_alpha": 8, "rank_pattern": {"q_proj": 2, r"layers\.1\.mlp.up_proj": 6},
             "alpha_pattern": {"down_proj": 3}},
        )
    )  # fmt: skip
    adapters.append(
        peft_adapter(
            "llama_rslora", llama, "", llama_modules[::2],
            {"r": 4, "lora_alpha": 3, "use_rslora": True, "rank_pattern": {"layers.0.self_attn.v_proj": 2}},
        )
    )  # fmt: skip
    return {a.name: a for a in adapters}


def t5_targets():
    layer = "encoder.block.0.layer."
    return [f"{layer}0.SelfAttention.{p}" for p in "qkvo"] + [
        f"{layer}1.DenseReluDense.{p}" for p in ("wi_0", "wi_1", "wo")
    ]


# ---------------------------------------------------------------------------------------------------------------------
# Libraries


class Complaints(logging.Handler):
    """Warnings that a library logs or raises."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())

    def __enter__(self):
        self.caught = warnings.catch_warnings(record=True)
        self.raised = self.caught.__enter__()
        warnings.simplefilter("always")
        self.printing = {}
        for name in ("diffusers", "transformers", "peft"):
            logger = logging.getLogger(name)
            self.printing[logger], logger.handlers = logger.handlers, [self]
        return self

    def __exit__(self, *error):
        for logger, handlers in self.printing.items():
            logger.handlers = handlers
        self.said += [str(w.message) for w in self.raised if issubclass(w.category, UserWarning)]
        return self.caught.__exit__(*error)


class Misread(Exception):
    pass


def is_harmless(warning, latest):
    """Files without targets in some network; a second adapter, whose file of course has no factors of the first."""
    if "LOAD REPORT" in warning:
        return "UNEXPECTED" not in warning and f".{latest}." not in warning
    return "No LoRA keys associated to" in warning or "having multiple adapters" in warning


def strength_of(use, folder):
    return use[2] if len(use) > 2 and folder.startswith("text_encoder") else use[1]


def fuse_diffusers(model, base, uses, adapters, scratch, dtype):
    nets = {n.folder: n.module for n in model.networks}
    for network in model.networks:
        torch.nn.Module.to(network.module, dtype)
        network.load(base[network.folder])
    pipeline = model.pipeline(nets)
    names, strengths = [], []
    with Complaints() as complaints:
        for place, use in enumerate(uses):
            adapter = adapters[use[0]]
            path = adapter.write(scratch)
            name = f"a{place}"
            try:
                pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name=name)
            except (ValueError, KeyError, AssertionError) as error:
                raise Misread(str(error)) from error
            names.append(name)
            parts = {t.network.folder for t in adapter.targets} & set(pipeline._lora_loadable_modules)
            strengths.append({p: strength_of(use, p) for p in parts})
        try:
            pipeline.set_adapters(names, strengths)
            # Flux.1's default is the transformer alone.
            parts = [p for p in pipeline._lora_loadable_modules if p in nets]
            pipeline.fuse_lora(components=parts, adapter_names=names)
        except ValueError as error:
            raise Misread(str(error)) from error
    said = [s for s in complaints.said if not is_harmless(s, names[-1])]
    if said:
        raise Misread("; ".join(said))
    loaded = sum(p.ndim > 0 for n in nets.values() for k, p in n.named_parameters() if ".lora_" in k)
    stored = sum(len(adapters[u[0]].targets) * 2 for u in uses)
    fused = {n.folder: n.fused() for n in model.networks}
    return fused, None if loaded >= stored else f"{stored - loaded} of {stored} factors not loaded"


def fuse_peft(model, base, uses, adapters, scratch, dtype):
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    folder = adapters[uses[0][0]].targets[0].network.folder
    network = model.network(folder)
    torch.nn.Module.to(network.module, dtype)
    network.load(base[folder])
    with Complaints() as complaints:
        names = []
        for place, use in enumerate(uses):
            path, name = adapters[use[0]].write(scratch), f"a{place}"
            if place == 0:
                peft = PeftModel.from_pretrained(network.module, path, adapter_name=name)
            else:
                peft.load_adapter(path, name)
            names.append(name)
        peft.base_model.set_adapter(names)
        for place, use in enumerate(uses):
            for layer in peft.modules():
                if isinstance(layer, LoraLayer) and names[place] in layer.scaling:
                    layer.scaling[names[place]] *= use[1]
        loaded = sum("lora_" in k for k, _ in peft.named_parameters())
        network.module = peft.merge_and_unload(adapter_names=names)
    if complaints.said:
        raise Misread("; ".join(complaints.said))
    assert loaded == sum(len(adapters[u[0]].targets) * 2 for u in uses)
    fused = {n.folder: base[n.folder] for n in model.networks}
    fused[folder] = network.fused()
    return fused, None


# ---------------------------------------------------------------------------------------------------------------------
# Cases


class Case:
    def __init__(self, name, model, uses, library="diffusers", dtype="F32", dense=None):
        self.name, self.model, self.uses, self.library, self.dtype = name, model, uses, library, dtype
        self.dense = dense  # why the library's numbers are not taken


CASES = [
    Case("SD1.5, kohya names", "sd15", [["sd15_kohya", 0.7, 0.4]]),
    Case("SD1.5, kohya and diffusers names", "sd15", [["sd15_kohya", 0.7], ["sd15_diffusers", -0.3]]),
    Case("SD1.5, older diffusers names", "sd15", [["sd15_older", 1.0]]),
    Case("SD1.5, diffusers names with a configuration", "sd15", [["sd15_metadata", 0.6]]),
    Case("SD1.5, PEFT folder", "sd15", [["sd15_peft", 0.5]], library="peft"),
    Case("SD1.5, kohya names, alphas that differ", "sd15", [["sd15_kohya_mixed", 0.8, -0.5]],
         dense="diffusers gives most targets the commonest alpha"),
    Case("SD1.5 in F16", "sd15", [["sd15_kohya_f16", 0.7], ["sd15_diffusers_f16", -0.3]], dtype="F16"),
    Case("SD1.5 in BF16", "sd15", [["sd15_kohya_bf16", 0.7], ["sd15_diffusers_bf16", -0.3]], dtype="BF16"),
    Case("SDXL, kohya names", "sdxl", [["sdxl_kohya", 0.7, 1.2]]),
    Case("SDXL, kohya and diffusers names", "sdxl", [["sdxl_kohya", 0.7], ["sdxl_diffusers", -0.3, 0.5]]),
    Case("SDXL, the second encoder's projection", "sdxl", [["sdxl_projection", 0.9]],
         dense="diffusers does not read adapters of the projection"),
    Case("SD3, diffusers names", "sd3", [["sd3_diffusers", 0.7, -0.3]]),
    Case("SD3, kohya and diffusers names", "sd3", [["sd3_kohya", 0.7, 0.4], ["sd3_diffusers", -0.3]],
         dense="diffusers reads no kohya names of SD3"),
    Case("Flux.1, diffusers names", "flux", [["flux_diffusers", 0.7, -0.3]]),
    Case("Flux.1, kohya names", "flux", [["flux_kohya", 0.7, 0.4]]),
    Case("Flux.1, kohya and diffusers names", "flux", [["flux_kohya", 0.7], ["flux_diffusers", -0.3]]),
    Case("Flux.1, kohya names outside the blocks", "flux", [["flux_kohya_outer", 0.8]],
         dense="diffusers leaves them aside, and T5 encoders too"),
    Case("GPT-2, PEFT folder", "gpt2", [["gpt2_peft", 0.7]], library="peft"),
    Case("Llama, two PEFT folders", "llama", [["llama_peft", 0.7], ["llama_rslora", -0.3]], library="peft"),
]  # fmt: skip


def places(count, samples):
    return (np.arange(samples) * 7919 + 13) % count


def short(value):
    """A float32 in as few digits as it needs."""
    return float(np.format_float_scientific(np.float32(value), unique=True))


def run(case, model, adapters, scratch):
    base = {n.folder: model.weights(n, case.dtype) for n in model.networks}
    exact = {f"{f}/{n}": w.to(torch.float64) for f, weights in base.items() for n, w in weights.items()}
    pristine = {name: w.clone() for name, w in exact.items()}
    changed = set()
    for use in case.uses:
        for name, delta in adapters[use[0]].delta().items():
            assert delta.abs().max() > 0
            exact[name] += strength_of(use, name) * delta
            changed.add(name)
    torch_dtype, _ = DTYPES[case.dtype]
    fuse = fuse_peft if case.library == "peft" else fuse_diffusers
    fused, differing, problem, worst = {}, [], None, 0.0
    try:
        found, problem = fuse(model, base, case.uses, adapters, scratch, torch_dtype)
        fused = {f"{f}/{n}": w for f, weights in found.items() for n, w in weights.items()}
        for name, weight in fused.items():
            gap = (weight.to(torch.float64) - exact[name]).abs().max().item() if weight.numel() else 0.0
            # Half precision: the library rounds each adapter's update, and the sum after each.
            limit = AGREE if case.dtype == "F32" else 4 * len(case.uses) * torch.finfo(torch_dtype).eps / 2
            if not gap <= limit:
                differing.append(name)
            else:
                worst = max(worst, gap)
    except Misread as error:
        problem = str(error)
    entry = {"name": case.name, "model": case.model, "dtype": case.dtype, "adapters": case.uses}
    if case.dense:
        if not (problem or differing):
            fail(f"{case.name}: {case.library} reads this now")
        entry["oracle"] = "dense float64"
        entry["because"] = case.dense
        note = f"not asked: {case.library} {problem or f'differs in {len(differing)} weights'}"
    else:
        if problem or differing:
            fail(f"{case.name}: {problem}: {differing[:6]} differ ({len(differing)})")
        entry["oracle"] = case.library
        note = f"{worst:.1e} from dense float64"
    lines = []
    samples = 24 if case.dtype == "F32" else 12
    gap = 0.0
    for name in sorted(changed):
        where = places(exact[name].numel(), samples)
        rounded = exact[name].to(torch_dtype) if case.dense else fused[name]
        flat = rounded.to(torch.float64).numpy().reshape(-1)
        change = flat - pristine[name].numpy().reshape(-1)
        weight = {
            "sum": math.fsum(flat),
            "norm": math.sqrt(math.fsum(change * change)),
            "sample": [short(v) for v in flat[where]],
        }
        true = exact[name].numpy().reshape(-1)
        if case.dtype != "F32":
            weight["exact"] = [float(v) for v in true[where]]
        if not case.dense:
            gap = max(gap, np.abs(flat - true).max())
        lines.append(f"{compact(name)}:{compact(weight)}")
    entry["gap"] = gap
    print(f"{case.name}: {len(changed)} weights, {note}", flush=True)
    return compact(entry)[:-1] + ',"changed":{\n' + ",\n".join(lines) + "\n}}"


def describe_model(model):
    networks = []
    for network in model.networks:
        place = {name: i for i, name in enumerate(network.names)}
        entry = {"folder": network.folder, "file": network.file, "config": json.dumps(network.config)}
        if network.original:
            entry["prefix"] = network.prefix
        head = compact(entry)[:-1]
        weights = ",\n".join(compact([n, network.shapes[n]]) for n in network.names)
        text = f'{head},"weights":[\n{weights}\n]'
        if network.original:
            original = ",\n".join(
                compact([n, [place[p] for p in parts]] + ([operation] if operation else []))
                for n, (parts, operation) in network.original.items()
            )
            text += f',"original":[\n{original}\n]'
        networks.append(text + "}")
    return f'{compact(model.name)}:{{"extras":{compact(model.extras)},"networks":[\n' + ",\n".join(networks) + "\n]}"


def describe_adapter(adapter):
    entry = {"dtype": adapter.dtype, "metadata": adapter.metadata}
    if adapter.config is not None:
        entry["config"] = json.dumps(adapter.config)
    tensors = ",\n".join(compact(t) for t in adapter.tensors)
    return f'{compact(adapter.name)}:{compact(entry)[:-1]},"tensors":[\n{tensors}\n]}}'


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def main():
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    models = make_models()
    for model in models:
        for network in model.networks:
            if network.original:
                zeros = {n: torch.zeros(s) for n, s in network.shapes.items()}
                network.single_shapes = {n: network.compose(zeros, e).shape for n, e in network.original.items()}
        model.check_layouts()
    adapters = make_adapters(models)
    cases = []
    with tempfile.TemporaryDirectory() as scratch:
        for case in CASES:
            # Fused models are spent: each case has new ones.
            model = next(m for m in models if m.name == case.model)
            for network in model.networks:
                network.module = copy.deepcopy(network.pristine)
            cases.append(run(case, model, adapters, pathlib.Path(scratch)))
    versions = {"python": platform.python_version()}
    for package in ["torch", "numpy", "safetensors", "diffusers", "transformers", "peft"]:
        versions[package] = importlib.metadata.version(package)
    formula = {"base_exponent": BASE_EXPONENT, "factor_exponent": FACTOR_EXPONENT,
               "bits": {name: bits for name, (_, bits) in DTYPES.items()}}  # fmt: skip
    text = (
        f'{{"versions":{compact(versions)},\n"formula":{compact(formula)},\n"models":{{\n'
        + ",\n".join(describe_model(m) for m in models)
        + '\n},\n"adapters":{\n'
        + ",\n".join(describe_adapter(a) for a in adapters.values())
        + '\n},\n"cases":[\n'
        + ",\n".join(cases)
        + "\n]}\n"
    )
    json.loads(text)
    (HERE / "expected.json").write_text(text, encoding="utf-8")
    print(f"expected.json: {len(text)} characters")


if __name__ == "__main__":
    sys.exit(main())
