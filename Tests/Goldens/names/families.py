"""The modules that an adapter can change in the models that people use, with their true shapes.

What it makes
    families.json beside this script: for every model of diffusers' transformers its linear layers and convolutions. A name with
    `*` for the block's number stands for all blocks; beside it the weight's shape, and how many blocks have it (or their
    numbers, where they do not begin at 0). `family` is the one that Lathe has a map for; models without one are there because
    their names are like those of others, and must not be taken for them. `original` holds the same in the authors' names, where
    make.py beside this has the renames.

Where it comes from
    The real classes, built on torch's meta device with the configurations of the published models (or, where that is
    unknown, the library's defaults), so nothing is downloaded.

How to run
    python families.py      (with the versions that the JSON names; some seconds)
"""

import json
import logging
import os
import pathlib
import platform
import re
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import diffusers
import torch
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

import make

HERE = pathlib.Path(__file__).resolve().parent

FLUX = make.FLUX1
# Name, class, family, what differs from the class's defaults, renames to the authors' names.
MODELS = [
    ("flux1-dev", "FluxTransformer2DModel", "Flux.1", dict(guidance_embeds=True), FLUX),
    ("flux1-fill", "FluxTransformer2DModel", "Flux.1", dict(guidance_embeds=True, in_channels=384, out_channels=64), FLUX),
    ("flux2-dev", "Flux2Transformer2DModel", "Flux.2", {}, make.FLUX2),
    (
        "flux2-klein-9b", "Flux2Transformer2DModel", "Flux.2",
        dict(num_layers=8, num_single_layers=24, num_attention_heads=32, joint_attention_dim=12288, guidance_embeds=False),
        make.FLUX2,
    ),
    (
        "flux2-klein-4b", "Flux2Transformer2DModel", "Flux.2",
        dict(num_layers=5, num_single_layers=20, num_attention_heads=24, joint_attention_dim=7680, guidance_embeds=False),
        make.FLUX2,
    ),
    ("chroma", "ChromaTransformer2DModel", "Chroma", {}, make.CHROMA),
    ("hunyuan-video", "HunyuanVideoTransformer3DModel", "HunyuanVideo", {}, make.HUNYUAN_VIDEO),
    (
        "sd3-medium", "SD3Transformer2DModel", "SD3",
        dict(num_layers=24, num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536), make.SD3,
    ),
    (
        "sd3.5-medium", "SD3Transformer2DModel", "SD3",
        dict(
            num_layers=24, num_attention_heads=24, joint_attention_dim=4096, caption_projection_dim=1536,
            dual_attention_layers=tuple(range(13)), qk_norm="rms_norm",
        ),
        make.SD3,
    ),
    (
        "sd3.5-large", "SD3Transformer2DModel", "SD3",
        dict(
            num_layers=38, num_attention_heads=38, joint_attention_dim=4096, caption_projection_dim=2432, qk_norm="rms_norm"
        ),
        make.SD3,
    ),
    ("wan2.1-14b", "WanTransformer3DModel", "Wan", {}, make.WAN),
    ("wan2.1-1.3b", "WanTransformer3DModel", "Wan", dict(num_attention_heads=12, ffn_dim=8960, num_layers=30), make.WAN),
    (
        "wan2.2-5b", "WanTransformer3DModel", "Wan",
        dict(num_attention_heads=24, ffn_dim=14336, num_layers=30, in_channels=48, out_channels=48), make.WAN,
    ),
    (
        "wan2.1-i2v", "WanTransformer3DModel", "Wan",
        dict(in_channels=36, image_dim=1280, added_kv_proj_dim=5120), make.WAN,
    ),
    ("wan2.1-vace", "WanVACETransformer3DModel", "Wan", {}, make.WAN),
    ("qwen-image", "QwenImageTransformer2DModel", "Qwen-Image", {}, []),
    ("z-image", "ZImageTransformer2DModel", "Z-Image", {}, make.Z_IMAGE),
    ("lumina2", "Lumina2Transformer2DModel", "Lumina2", dict(cap_feat_dim=2304), make.LUMINA2),
    ("ltx-video-2b", "LTXVideoTransformer3DModel", "LTX-Video", {}, make.LTX),
    (
        "ltx-video-13b", "LTXVideoTransformer3DModel", "LTX-Video",
        dict(num_layers=48, attention_head_dim=128, cross_attention_dim=4096), make.LTX,
    ),
    ("ltx-2", "LTX2VideoTransformer3DModel", "LTX-Video", {}, make.LTX),
    (
        "ltx-2.3", "LTX2VideoTransformer3DModel", "LTX-Video",
        dict(gated_attn=True, cross_attn_mod=True, audio_gated_attn=True, audio_cross_attn_mod=True, use_prompt_embeddings=False),
        make.LTX,
    ),
    (
        "pixart-sigma", "PixArtTransformer2DModel", "PixArt",
        dict(caption_channels=4096, use_additional_conditions=False), make.PIXART,
    ),
    (
        "pixart-alpha", "PixArtTransformer2DModel", "PixArt",
        dict(caption_channels=4096, use_additional_conditions=True), make.PIXART,
    ),
    ("sana-1.6b", "SanaTransformer2DModel", "Sana", {}, make.SANA),
    (
        "sana-0.6b", "SanaTransformer2DModel", "Sana",
        dict(num_attention_heads=36, num_layers=28, num_cross_attention_heads=16, cross_attention_head_dim=72, cross_attention_dim=1152),
        make.SANA,
    ),
    ("auraflow", "AuraFlowTransformer2DModel", "AuraFlow", {}, make.AURA_FLOW),
    (
        "cosmos-predict2-2b", "CosmosTransformer3DModel", "Cosmos-Predict2",
        dict(num_attention_heads=16, extra_pos_embed_type=None), make.COSMOS,
    ),
    (
        "cosmos-predict2-14b", "CosmosTransformer3DModel", "Cosmos-Predict2",
        dict(num_attention_heads=40, num_layers=36, extra_pos_embed_type=None), make.COSMOS,
    ),
    # Models of 2025 and 2026
    ("anima", ["CosmosTransformer3DModel", "AnimaTextConditioner"], "Anima", [dict(num_attention_heads=16, extra_pos_embed_type=None), {}], make.ANIMA),
    ("krea2", "Krea2Transformer2DModel", "Krea 2", {}, make.KREA2),
    ("ideogram4", "Ideogram4Transformer2DModel", "Ideogram 4", {}, make.IDEOGRAM4),
    ("minimax-h3", "MiniMaxH3Transformer3DModel", "MiniMax-H3", {}, make.MINIMAX_H3),
    ("framepack", "HunyuanVideoFramepackTransformer3DModel", "HunyuanVideo", dict(has_image_proj=True, has_clean_x_embedder=True), make.HUNYUAN_VIDEO),
    ("hunyuan-video-1.5", "HunyuanVideo15Transformer3DModel", "HunyuanVideo 1.5", {}, make.HUNYUAN_VIDEO_15),
    ("hunyuan-image-2.1", "HunyuanImageTransformer2DModel", "HunyuanImage 2.1", dict(text_embed_2_dim=1472), make.HUNYUAN_IMAGE),
    ("longcat-image", "LongCatImageTransformer2DModel", "LongCat-Image", dict(num_layers=10, num_single_layers=20), make.LONGCAT),
    ("qwen-image-2.1", "QwenImage21Transformer2DModel", "Qwen-Image 2.1", {}, make.QWEN_IMAGE_21),
    ("ernie-image", "ErnieImageTransformer2DModel", "ERNIE-Image", {}, []),
    ("kandinsky-5", "Kandinsky5Transformer3DModel", "Kandinsky 5", {}, []),
    ("ace-step-1.5", "AceStepTransformer1DModel", "ACE-Step 1.5", {}, make.ACE_STEP),
    ("mochi-1", "MochiTransformer3DModel", "Mochi", {}, make.MOCHI),
    ("cogvideox-2b", "CogVideoXTransformer3DModel", "CogVideoX", {}, []),
    ("cogvideox-5b", "CogVideoXTransformer3DModel", "CogVideoX", dict(num_attention_heads=48, num_layers=42), []),
    (
        "hidream-i1", "HiDreamImageTransformer2DModel", "HiDream-I1",
        dict(
            patch_size=2, in_channels=16, num_layers=16, num_single_layers=32, attention_head_dim=128, num_attention_heads=20,
            caption_channels=[4096, 4096], text_emb_dim=2048, num_routed_experts=4, num_activated_experts=2,
        ),
        [],
    ),
    ("wan2.2-animate", "WanAnimateTransformer3DModel", "Wan", dict(added_kv_proj_dim=5120), make.WAN),
    (
        "ltx-2.3-connectors", ["LTX2VideoTransformer3DModel", "LTX2TextConnectors"], "LTX-Video",
        [
            dict(gated_attn=True, cross_attn_mod=True, audio_gated_attn=True, audio_cross_attn_mod=True, use_prompt_embeddings=False),
            dict(per_modality_projections=True, video_gated_attn=True, audio_gated_attn=True),
        ],
        make.LTX,
    ),
    # Models without a map.
    ("cosmos-1-7b", "CosmosTransformer3DModel", None, {}, None),
    ("cogview4", "CogView4Transformer2DModel", None, dict(num_attention_heads=32, attention_head_dim=128, num_layers=28), None),
    ("hunyuan-dit", "HunyuanDiT2DModel", None, dict(in_channels=4, patch_size=2, sample_size=128, num_layers=40, hidden_size=1408, cross_attention_dim=1024, learn_sigma=True), None),
] + [
    (name, name, None, {}, None)
    for name in [
        "AllegroTransformer3DModel", "BriaFibo2Transformer2DModel", "BriaFiboTransformer2DModel", "CogView3PlusTransformer2DModel",
        "DiTTransformer2DModel", "Flux3Transformer2DModel", "GlmImageTransformer2DModel", "JoyImageEditTransformer3DModel",
        "NucleusMoEImageTransformer2DModel", "OvisImageTransformer2DModel", "PRXTransformer2DModel", "SanaVideoTransformer3DModel",
        "SanaWMTransformer3DModel",
    ]
]


def modules_of(model):
    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    return {name: list(module.weight.shape) for name, module in model.named_modules() if isinstance(module, kinds)}


# Where a pipeline keeps what is part of a single file.
FOLDERS = {"AnimaTextConditioner": "text_conditioner.", "LTX2TextConnectors": "connectors."}


def modules_of_parts(kinds, settings):
    if isinstance(kinds, str):
        kinds, settings = [kinds], [settings]
    modules = {}
    for kind, own in zip(kinds, settings):
        model = (LTX2TextConnectors if kind == "LTX2TextConnectors" else getattr(diffusers, kind))(**own)
        modules |= {FOLDERS.get(kind, "") + name: shape for name, shape in modules_of(model).items()}
    return modules


def authors(modules, rules):
    """The authors' modules: fused ones are as tall as their parts together."""
    shapes = {name + ".weight": shape for name, shape in modules.items()}
    return {name.removesuffix(".weight"): shape for name, shape in make.fused_shapes(shapes, rules).items()}


def folded(modules):
    """The modules of a row of blocks in one entry: its shape, and how many blocks have it."""
    groups = {}
    for name, shape in modules.items():
        number = re.search(r"(?<=\.)\d+(?=\.)", name)
        pattern = name[: number.start()] + "*" + name[number.end() :] if number else name
        groups.setdefault(pattern, []).append((shape, int(number.group()) if number else None))
    result = {}
    for pattern, members in groups.items():
        numbers, shapes = sorted(n for _, n in members if n is not None), {tuple(s) for s, _ in members}
        if len(shapes) > 1 or (members[0][1] is not None and len(members) == 1):
            # A number that is no block's, or blocks of several shapes.
            for shape, number in members:
                result[pattern.replace("*", str(number))] = [shape]
        elif members[0][1] is None:
            result[pattern] = [members[0][0]]
        else:
            result[pattern] = [members[0][0], len(numbers) if numbers == list(range(len(numbers))) else numbers]
    return result


def main():
    models = []
    for name, kind, family, settings, rules in MODELS:
        with torch.device("meta"):
            modules = modules_of_parts(kind, settings)
        model = {"name": name, "class": kind if isinstance(kind, str) else kind[0], "family": family, "diffusers": folded(modules)}
        if rules is not None:
            model["original"] = folded(authors(modules, rules))
        models.append(model)
        print(f"{name:30} {len(modules):5} modules, {len(model['diffusers']):4} entries")
    made = {"python": platform.python_version(), "torch": torch.__version__, "diffusers": diffusers.__version__}
    with open(HERE / "families.json", "w") as file:
        file.write('{"made_with": ' + json.dumps(made) + ',\n"models": [\n')
        file.write(",\n".join(json.dumps(model, separators=(",", ":")) for model in models))
        file.write("\n]}\n")


if __name__ == "__main__":
    main()
