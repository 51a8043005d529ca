"""The names, shapes and contents of tiny models in their authors' layout and in diffusers' layout.

What it makes
    expected.json beside this script: for every family of models a tiny one, as `original` (all tensors of the authors'
    layout with their shapes, without the prefix of a single file) and `diffusers` (all tensors of diffusers' or Hugging
    Face's layout with shape and checksum). `unmapped` lists tensors of the authors' layout that the other has not.

Where the names come from
    The right-hand layout is the state dict of the real model class, built from a small configuration. The left-hand
    layout is worked out from it by the renames below. Both are then proved by the library's own converter for single
    files: it gets tensors with known contents in the authors' layout, must consume all of them, and must return exactly
    the names and shapes of the model; the checksums are those of what it returns. Widths that converters hold as
    constants (3072 for Flux.1, Chroma and HunyuanVideo; 2304 and 768 for Lumina2) are replaced by the tiny model's.

    `proof` says which converter it was. Where it says "structure" the library has none, and what is proved is less: the
    renames, which follow the converter scripts of diffusers' repository, yield exactly the names and shapes of the model
    class. The repacked HunyuanVideo is the authors' layout renamed as ComfyUI does, and then converted.

Contents and checksums
    Element k of tensor i (tensors of `original` sorted by name) is mix(i, k), a whole number below 2^16, as float32:
        h = (i * 2654435761 + k * 40503 + 12345) mod 2^32; h = h xor (h >> 15); h = (h * 2246822519) mod 2^32;
        h = h xor (h >> 13); mix = h mod 2^16
    The checksum of a tensor is the sum of (2 k + 1) * element k, modulo 2^32.

How to run
    python make.py    (with the versions that the JSON names; a few seconds; no downloads)
"""

import json
import logging
import os
import pathlib
import platform
import re
import types
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

import diffusers
import numpy as np
import torch
import transformers
from diffusers.loaders import single_file_utils as single_file
from diffusers.pipelines.ltx2.connectors import LTX2TextConnectors

HERE = pathlib.Path(__file__).resolve().parent


# Contents


def contents(index, shape):
    k = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    h = (np.uint64(index) * np.uint64(2654435761) + k * np.uint64(40503) + np.uint64(12345)) & mask
    h ^= h >> np.uint64(15)
    h = (h * np.uint64(2246822519)) & mask
    h ^= h >> np.uint64(13)
    return torch.from_numpy((h & np.uint64(0xFFFF)).astype(np.float32)).reshape(shape)


def checksum(tensor):
    values = tensor.contiguous().numpy().reshape(-1).astype(np.uint64)
    weights = np.arange(values.size, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    return int((values * weights).sum() & np.uint64(0xFFFFFFFF))


def replacing(function, constants):
    """The same function with other whole numbers in its code."""

    def changed(code):
        values = tuple(
            changed(c) if isinstance(c, types.CodeType) else constants.get(c, c) if type(c) is int else c
            for c in code.co_consts
        )
        return code.replace(co_consts=values)

    return types.FunctionType(changed(function.__code__), function.__globals__, function.__name__, function.__defaults__)


# From diffusers' names to the authors'


def renamed(names, rules):
    """The name each of `names` has in the other layout; several get the same where they are fused there."""
    result = {}
    for name in names:
        other = name
        for pattern, replacement in rules:
            other = re.sub(pattern, replacement, other)
        result[name] = other
    return result


def one_name(name, rules):
    return renamed([name], rules)[name]


def fused_shapes(shapes, rules):
    result = {}
    for name, other in renamed(shapes, rules).items():
        shape = list(shapes[name])
        if other in result:
            assert result[other][1:] == shape[1:], other
            result[other][0] += shape[0]
        else:
            result[other] = shape
    return result


RESNET = [
    (r"\.norm1\.", ".in_layers.0."),
    (r"\.conv1\.", ".in_layers.2."),
    (r"\.time_emb_proj\.", ".emb_layers.1."),
    (r"\.norm2\.", ".out_layers.0."),
    (r"\.conv2\.", ".out_layers.3."),
    (r"\.conv_shortcut\.", ".skip_connection."),
]


def unet_name(name, attention_levels):
    """LDM's name of a UNet's tensor; `attention_levels`: the up blocks with attention."""
    for a, b in [
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
        ("conv_in", "input_blocks.0.0"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
    ]:
        if name.startswith(a + "."):
            return b + name[len(a) :]
    place = re.match(r"(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\.(.*)", name)
    if place:
        side, level, kind, layer, rest = place.groups()
        level, layer = int(level), int(layer)
        if kind == "downsamplers":
            return f"input_blocks.{3 * (level + 1)}.0.op." + rest.removeprefix("conv.")
        if kind == "upsamplers":
            return f"output_blocks.{3 * level + 2}.{2 if level in attention_levels else 1}." + rest
        block = f"input_blocks.{1 + 3 * level + layer}" if side == "down" else f"output_blocks.{3 * level + layer}"
        block += ".0." if kind == "resnets" else ".1."
    else:
        kind, layer, rest = re.match(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name).groups()
        block = "middle_block.1." if kind == "attentions" else f"middle_block.{2 * int(layer)}."
    if kind == "resnets":
        for pattern, replacement in RESNET:
            rest = re.sub(pattern, replacement, "." + rest)[1:]
    return block + rest


VAE = [
    (r"mid_block\.resnets\.0", "mid.block_1"),
    (r"mid_block\.resnets\.1", "mid.block_2"),
    (r"mid_block\.attentions\.0\.group_norm", "mid.attn_1.norm"),
    (r"mid_block\.attentions\.0\.to_([qkv])\.", r"mid.attn_1.\1."),
    (r"mid_block\.attentions\.0\.to_out\.0", "mid.attn_1.proj_out"),
    (r"conv_norm_out", "norm_out"),
    (r"conv_shortcut", "nin_shortcut"),
    (r"down_blocks\.(\d)\.resnets", r"down.\1.block"),
    (r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample"),
]
VAE += [(rf"up_blocks\.{i}\.resnets", f"up.{3 - i}.block") for i in range(4)]
VAE += [(rf"up_blocks\.{i}\.upsamplers\.0", f"up.{3 - i}.upsample") for i in range(4)]

OPEN_CLIP = [
    (r"^text_projection\.weight$", "text_projection"),
    (r"^text_model\.embeddings\.token_embedding", "token_embedding"),
    (r"^text_model\.embeddings\.position_embedding\.weight", "positional_embedding"),
    (r"^text_model\.final_layer_norm", "ln_final"),
    (r"^text_model\.encoder\.layers", "transformer.resblocks"),
    (r"layer_norm(\d)", r"ln_\1"),
    (r"self_attn\.[qkv]_proj\.", "attn.in_proj_"),
    (r"self_attn\.out_proj", "attn.out_proj"),
    (r"fc1", "c_fc"),
    (r"fc2", "c_proj"),
]

SD3 = [
    (r"^pos_embed\.pos_embed$", "pos_embed"),
    (r"^pos_embed\.proj", "x_embedder.proj"),
    (r"^time_text_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_text_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^time_text_embed\.text_embedder\.linear_1", "y_embedder.mlp.0"),
    (r"^time_text_embed\.text_embedder\.linear_2", "y_embedder.mlp.2"),
    (r"^transformer_blocks", "joint_blocks"),
    (r"attn(2?)\.to_[qkv]\.", r"x_block.attn\1.qkv."),
    (r"attn\.add_[qkv]_proj", "context_block.attn.qkv"),
    (r"attn(2?)\.norm_([qk])", r"x_block.attn\1.ln_\2"),
    (r"attn\.norm_added_([qk])", r"context_block.attn.ln_\1"),
    (r"attn(2?)\.to_out\.0", r"x_block.attn\1.proj"),
    (r"attn\.to_add_out", "context_block.attn.proj"),
    (r"norm1\.linear", "x_block.adaLN_modulation.1"),
    (r"norm1_context\.linear", "context_block.adaLN_modulation.1"),
    (r"\.ff\.net\.0\.proj", ".x_block.mlp.fc1"),
    (r"\.ff\.net\.2", ".x_block.mlp.fc2"),
    (r"\.ff_context\.net\.0\.proj", ".context_block.mlp.fc1"),
    (r"\.ff_context\.net\.2", ".context_block.mlp.fc2"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
]

FLUX_BLOCKS = [
    (r"^x_embedder", "img_in"),
    (r"^context_embedder", "txt_in"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^single_transformer_blocks\.(\d+)\.(attn\.to_[qkv]|proj_mlp)\.", r"single_blocks.\1.linear1."),
    (r"^single_transformer_blocks\.(\d+)\.proj_out", r"single_blocks.\1.linear2"),
    (r"^single_transformer_blocks\.(\d+)\.norm\.linear", r"single_blocks.\1.modulation.lin"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_q\.weight", r"single_blocks.\1.norm.query_norm.scale"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_k\.weight", r"single_blocks.\1.norm.key_norm.scale"),
    (r"^transformer_blocks", "double_blocks"),
    (r"^(double_blocks\.\d+)\.attn\.to_[qkv]\.", r"\1.img_attn.qkv."),
    (r"^(double_blocks\.\d+)\.attn\.add_[qkv]_proj", r"\1.txt_attn.qkv"),
    (r"^(double_blocks\.\d+)\.attn\.norm_q\.weight", r"\1.img_attn.norm.query_norm.scale"),
    (r"^(double_blocks\.\d+)\.attn\.norm_k\.weight", r"\1.img_attn.norm.key_norm.scale"),
    (r"^(double_blocks\.\d+)\.attn\.norm_added_q\.weight", r"\1.txt_attn.norm.query_norm.scale"),
    (r"^(double_blocks\.\d+)\.attn\.norm_added_k\.weight", r"\1.txt_attn.norm.key_norm.scale"),
    (r"^(double_blocks\.\d+)\.attn\.to_out\.0", r"\1.img_attn.proj"),
    (r"^(double_blocks\.\d+)\.attn\.to_add_out", r"\1.txt_attn.proj"),
    (r"^(double_blocks\.\d+)\.norm1\.linear", r"\1.img_mod.lin"),
    (r"^(double_blocks\.\d+)\.norm1_context\.linear", r"\1.txt_mod.lin"),
    (r"^(double_blocks\.\d+)\.ff\.(net\.0\.proj|linear_in)", r"\1.img_mlp.0"),
    (r"^(double_blocks\.\d+)\.ff\.(net\.2|linear_out)", r"\1.img_mlp.2"),
    (r"^(double_blocks\.\d+)\.ff_context\.(net\.0\.proj|linear_in)", r"\1.txt_mlp.0"),
    (r"^(double_blocks\.\d+)\.ff_context\.(net\.2|linear_out)", r"\1.txt_mlp.2"),
]

FLUX1 = [
    (r"^time_text_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"^time_text_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
    (r"^time_text_embed\.text_embedder\.linear_1", "vector_in.in_layer"),
    (r"^time_text_embed\.text_embedder\.linear_2", "vector_in.out_layer"),
    (r"^time_text_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
    (r"^time_text_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
] + FLUX_BLOCKS

FLUX2 = [
    (r"^time_guidance_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"^time_guidance_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
    (r"^time_guidance_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
    (r"^time_guidance_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
    (r"_(img|txt)\.linear", r"_\1.lin"),
    (r"^single_stream_modulation\.linear", "single_stream_modulation.lin"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_qkv_mlp_proj", r"single_blocks.\1.linear1"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.to_out", r"single_blocks.\1.linear2"),
] + FLUX_BLOCKS

CHROMA = [
    (r"(distilled_guidance_layer\.layers\.\d+)\.linear_1", r"\1.in_layer"),
    (r"(distilled_guidance_layer\.layers\.\d+)\.linear_2", r"\1.out_layer"),
    (r"(distilled_guidance_layer\.norms\.\d+)\.weight", r"\1.scale"),
] + FLUX_BLOCKS

WAN = [
    (r"^condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"^condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"^condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"^condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"^condition_embedder\.time_proj", "time_projection.1"),
    (r"^condition_embedder\.image_embedder\.norm1", "img_emb.proj.0"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.0\.proj", "img_emb.proj.1"),
    (r"^condition_embedder\.image_embedder\.ff\.net\.2", "img_emb.proj.3"),
    (r"^condition_embedder\.image_embedder\.norm2", "img_emb.proj.4"),
    (r"^scale_shift_table", "head.modulation"),
    (r"^proj_out", "head.head"),
    (r"\.scale_shift_table", ".modulation"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".o."),
    (r"\.add_([kv])_proj\.", r".\1_img."),
    (r"\.norm_added_k\.", ".norm_k_img."),
    (r"(blocks\.\d+)\.norm2\.", r"\1.norm3."),
    (r"^face_adapter\.(\d+)\.q\.", r"face_adapter.fuser_blocks.\1.linear1_q."),
    (r"^face_adapter\.(\d+)\.[kv]\.", r"face_adapter.fuser_blocks.\1.linear1_kv."),
    (r"^face_adapter\.(\d+)\.to_out", r"face_adapter.fuser_blocks.\1.linear2"),
    (r"^face_adapter\.(\d+)\.norm_([qk])", r"face_adapter.fuser_blocks.\1.\2_norm"),
    (r"^face_encoder\.(conv\w+)\.", r"face_encoder.\1.conv."),
    (r"\.ffn\.net\.0\.proj", ".ffn.0"),
    (r"\.ffn\.net\.2", ".ffn.2"),
    (r"^(vace_blocks\.\d+)\.proj_in", r"\1.before_proj"),
    (r"^(vace_blocks\.\d+)\.proj_out", r"\1.after_proj"),
]

HUNYUAN_VIDEO = [
    (r"^x_embedder", "img_in"),
    (r"^time_text_embed\.timestep_embedder\.linear_1", "time_in.mlp.0"),
    (r"^time_text_embed\.timestep_embedder\.linear_2", "time_in.mlp.2"),
    (r"^time_text_embed\.text_embedder\.linear_1", "vector_in.in_layer"),
    (r"^time_text_embed\.text_embedder\.linear_2", "vector_in.out_layer"),
    (r"^time_text_embed\.guidance_embedder\.linear_1", "guidance_in.mlp.0"),
    (r"^time_text_embed\.guidance_embedder\.linear_2", "guidance_in.mlp.2"),
    (r"^context_embedder\.proj_in", "txt_in.input_embedder"),
    (r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_1", "txt_in.t_embedder.mlp.0"),
    (r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_2", "txt_in.t_embedder.mlp.2"),
    (r"^context_embedder\.time_text_embed\.text_embedder", "txt_in.c_embedder"),
    (r"^context_embedder\.token_refiner\.refiner_blocks", "txt_in.individual_token_refiner.blocks"),
    (r"^(txt_in\..*)\.attn\.to_[qkv]\.", r"\1.self_attn_qkv."),
    (r"^(txt_in\..*)\.attn\.to_out\.0", r"\1.self_attn_proj"),
    (r"^(txt_in\..*)\.ff\.net\.0\.proj", r"\1.mlp.fc1"),
    (r"^(txt_in\..*)\.ff\.net\.2", r"\1.mlp.fc2"),
    (r"^(txt_in\..*)\.norm_out\.linear", r"\1.adaLN_modulation.1"),
    (r"^proj_out", "final_layer.linear"),
    (r"^norm_out\.linear", "final_layer.adaLN_modulation.1"),
    (r"^single_transformer_blocks\.(\d+)\.(attn\.to_[qkv]|proj_mlp)\.", r"single_blocks.\1.linear1."),
    (r"^single_transformer_blocks\.(\d+)\.proj_out", r"single_blocks.\1.linear2"),
    (r"^single_transformer_blocks\.(\d+)\.norm\.linear", r"single_blocks.\1.modulation.linear"),
    (r"^single_transformer_blocks\.(\d+)\.attn\.norm_([qk])", r"single_blocks.\1.\2_norm"),
    (r"^transformer_blocks", "double_blocks"),
    (r"^(double_blocks\.\d+)\.attn\.to_[qkv]\.", r"\1.img_attn_qkv."),
    (r"^(double_blocks\.\d+)\.attn\.add_[qkv]_proj", r"\1.txt_attn_qkv"),
    (r"^(double_blocks\.\d+)\.attn\.norm_([qk])\.", r"\1.img_attn_\2_norm."),
    (r"^(double_blocks\.\d+)\.attn\.norm_added_([qk])\.", r"\1.txt_attn_\2_norm."),
    (r"^(double_blocks\.\d+)\.attn\.to_out\.0", r"\1.img_attn_proj"),
    (r"^(double_blocks\.\d+)\.attn\.to_add_out", r"\1.txt_attn_proj"),
    (r"^(double_blocks\.\d+)\.norm1\.linear", r"\1.img_mod.linear"),
    (r"^(double_blocks\.\d+)\.norm1_context\.linear", r"\1.txt_mod.linear"),
    (r"^(double_blocks\.\d+)\.ff\.net\.0\.proj", r"\1.img_mlp.fc1"),
    (r"^(double_blocks\.\d+)\.ff\.net\.2", r"\1.img_mlp.fc2"),
    (r"^(double_blocks\.\d+)\.ff_context\.net\.0\.proj", r"\1.txt_mlp.fc1"),
    (r"^(double_blocks\.\d+)\.ff_context\.net\.2", r"\1.txt_mlp.fc2"),
]

# From the authors' names to ComfyUI's
HUNYUAN_VIDEO_REPACK = [
    (r"^txt_in\.c_embedder\.linear_1", "txt_in.c_embedder.in_layer"),
    (r"^txt_in\.c_embedder\.linear_2", "txt_in.c_embedder.out_layer"),
    (r"^(txt_in\.t_embedder|time_in|guidance_in)\.mlp\.0", r"\1.in_layer"),
    (r"^(txt_in\.t_embedder|time_in|guidance_in)\.mlp\.2", r"\1.out_layer"),
    (r"_mod\.linear", "_mod.lin"),
    (r"\.modulation\.linear", ".modulation.lin"),
    (r"_attn_qkv", "_attn.qkv"),
    (r"_attn_proj", "_attn.proj"),
    (r"mlp\.fc1", "mlp.0"),
    (r"mlp\.fc2", "mlp.2"),
    (r"_attn_q_norm\.weight", "_attn.norm.query_norm.scale"),
    (r"_attn_k_norm\.weight", "_attn.norm.key_norm.scale"),
    (r"\.q_norm\.weight", ".norm.query_norm.scale"),
    (r"\.k_norm\.weight", ".norm.key_norm.scale"),
]

LUMINA2 = [
    (r"^time_caption_embed\.caption_embedder", "cap_embedder"),
    (r"^time_caption_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_caption_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^norm_out\.linear_1", "final_layer.adaLN_modulation.1"),
    (r"^norm_out\.linear_2", "final_layer.linear"),
    (r"\.norm1\.linear", ".adaLN_modulation.1"),
    (r"\.norm1(\.norm)?\.", ".attention_norm1."),
    (r"\.norm2\.", ".attention_norm2."),
    (r"feed_forward\.linear_(\d)", r"feed_forward.w\1"),
    (r"\.attn\.to_[qkv]\.", ".attention.qkv."),
    (r"\.attn\.to_out\.0", ".attention.out"),
    (r"\.attn\.norm_([qk])", r".attention.\1_norm"),
]

Z_IMAGE = [
    (r"^all_x_embedder\.2-1", "x_embedder"),
    (r"^all_final_layer\.2-1", "final_layer"),
    (r"\.attention\.to_[qkv]\.", ".attention.qkv."),
    (r"\.attention\.to_out\.0", ".attention.out"),
    (r"\.attention\.norm_([qk])", r".attention.\1_norm"),
]

LTX = [
    (r"^connectors\.(.*_)?text_proj_in", r"text_embedding_projection.\1aggregate_embed"),
    (r"^connectors\.(video|audio)_connector\.transformer_blocks", r"\1_embeddings_connector.transformer_1d_blocks"),
    (r"^connectors\.(video|audio)_connector", r"\1_embeddings_connector"),
    (r"^proj_in", "patchify_proj"),
    (r"^audio_proj_in", "audio_patchify_proj"),
    (r"^time_embed", "adaln_single"),
    (r"^audio_time_embed", "audio_adaln_single"),
    (r"^(audio_)?prompt_adaln", r"\1prompt_adaln_single"),
    (r"^av_cross_attn_video_scale_shift", "av_ca_video_scale_shift_adaln_single"),
    (r"^av_cross_attn_audio_scale_shift", "av_ca_audio_scale_shift_adaln_single"),
    (r"^av_cross_attn_video_a2v_gate", "av_ca_a2v_gate_adaln_single"),
    (r"^av_cross_attn_audio_v2a_gate", "av_ca_v2a_gate_adaln_single"),
    (r"(video|audio)_a2v_cross_attn_scale_shift_table", r"scale_shift_table_a2v_ca_\1"),
    (r"\.norm_([qk])\.", r".\1_norm."),
]

DIT = [
    (r"^caption_projection\.linear_(\d)", r"y_embedder.y_proj.fc\1"),
    (r"^scale_shift_table", "final_layer.scale_shift_table"),
    (r"^proj_out", "final_layer.linear"),
    (r"^transformer_blocks", "blocks"),
    (r"\.attn1\.to_[qkv]\.", ".attn.qkv."),
    (r"\.attn1\.to_out\.0", ".attn.proj"),
    (r"\.attn2\.to_q\.", ".cross_attn.q_linear."),
    (r"\.attn2\.to_[kv]\.", ".cross_attn.kv_linear."),
    (r"\.attn2\.to_out\.0", ".cross_attn.proj"),
    (r"\.attn1\.norm_([qk])", r".attn.\1_norm"),
    (r"\.attn2\.norm_([qk])", r".cross_attn.\1_norm"),
]

PIXART = [
    (r"^pos_embed\.proj", "x_embedder.proj"),
    (r"^adaln_single\.linear", "t_block.1"),
    (r"^adaln_single\.emb\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^adaln_single\.emb\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^adaln_single\.emb\.resolution_embedder\.linear_1", "csize_embedder.mlp.0"),
    (r"^adaln_single\.emb\.resolution_embedder\.linear_2", "csize_embedder.mlp.2"),
    (r"^adaln_single\.emb\.aspect_ratio_embedder\.linear_1", "ar_embedder.mlp.0"),
    (r"^adaln_single\.emb\.aspect_ratio_embedder\.linear_2", "ar_embedder.mlp.2"),
    (r"\.ff\.net\.0\.proj", ".mlp.fc1"),
    (r"\.ff\.net\.2", ".mlp.fc2"),
] + DIT

SANA = [
    (r"^patch_embed\.proj", "x_embedder.proj"),
    (r"^caption_norm", "attention_y_norm"),
    (r"^time_embed\.linear", "t_block.1"),
    (r"^time_embed\.emb\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_embed\.emb\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"\.ff\.conv_inverted", ".mlp.inverted_conv.conv"),
    (r"\.ff\.conv_depth", ".mlp.depth_conv.conv"),
    (r"\.ff\.conv_point", ".mlp.point_conv.conv"),
] + DIT

AURA_FLOW = [
    (r"^pos_embed\.pos_embed", "positional_encoding"),
    (r"^pos_embed\.proj", "init_x_linear"),
    (r"^context_embedder", "cond_seq_linear"),
    (r"^time_step_proj\.linear_1", "t_embedder.mlp.0"),
    (r"^time_step_proj\.linear_2", "t_embedder.mlp.2"),
    (r"^norm_out\.linear", "modF.1"),
    (r"^proj_out", "final_linear"),
    (r"\.linear_1\.", ".c_fc1."),
    (r"\.linear_2\.", ".c_fc2."),
    (r"\.out_projection\.", ".c_proj."),
    (r"^single_transformer_blocks", "single_layers"),
    (r"^(single_layers\.\d+)\.norm1\.linear", r"\1.modCX.1"),
    (r"^(single_layers\.\d+)\.ff\.", r"\1.mlp."),
    (r"^(single_layers\.\d+)\.attn\.to_([qkv])\.", r"\1.attn.w1\2."),
    (r"^(single_layers\.\d+)\.attn\.to_out\.0", r"\1.attn.w1o"),
    (r"^joint_transformer_blocks", "double_layers"),
    (r"^(double_layers\.\d+)\.norm1\.linear", r"\1.modX.1"),
    (r"^(double_layers\.\d+)\.norm1_context\.linear", r"\1.modC.1"),
    (r"^(double_layers\.\d+)\.ff\.", r"\1.mlpX."),
    (r"^(double_layers\.\d+)\.ff_context\.", r"\1.mlpC."),
    (r"^(double_layers\.\d+)\.attn\.to_([qkv])\.", r"\1.attn.w2\2."),
    (r"^(double_layers\.\d+)\.attn\.to_out\.0", r"\1.attn.w2o"),
    (r"^(double_layers\.\d+)\.attn\.add_([qkv])_proj", r"\1.attn.w1\2"),
    (r"^(double_layers\.\d+)\.attn\.to_add_out", r"\1.attn.w1o"),
]

COSMOS = [
    (r"^time_embed\.t_embedder", "t_embedder.1"),
    (r"^time_embed\.norm", "t_embedding_norm"),
    (r"^patch_embed\.proj", "x_embedder.proj.1"),
    (r"^norm_out\.linear_(\d)", r"final_layer.adaln_modulation.\1"),
    (r"^proj_out", "final_layer.linear"),
    (r"^transformer_blocks", "blocks"),
    (r"\.norm1\.linear_(\d)", r".adaln_modulation_self_attn.\1"),
    (r"\.norm2\.linear_(\d)", r".adaln_modulation_cross_attn.\1"),
    (r"\.norm3\.linear_(\d)", r".adaln_modulation_mlp.\1"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])\.", r".\1_proj."),
    (r"\.to_out\.0\.", ".output_proj."),
    (r"\.norm_([qk])\.", r".\1_norm."),
    (r"\.ff\.net\.0\.proj", ".mlp.layer1"),
    (r"\.ff\.net\.2", ".mlp.layer2"),
]

ANIMA = [(r"^text_conditioner", "llm_adapter")] + [
    # What stands after the start of a name is the transformer's own.
    (r"^(?!llm_adapter)(.+)$", lambda match: one_name(match.group(1), COSMOS))
]

KREA2 = [
    (r"^img_in", "first"),
    (r"^time_embed\.linear_1", "tmlp.0"),
    (r"^time_embed\.linear_2", "tmlp.2"),
    (r"^time_mod_proj", "tproj.1"),
    (r"^txt_in\.norm\.weight", "txtmlp.0.scale"),
    (r"^txt_in\.linear_1", "txtmlp.1"),
    (r"^txt_in\.linear_2", "txtmlp.3"),
    (r"^text_fusion", "txtfusion"),
    (r"^transformer_blocks", "blocks"),
    (r"^final_layer\.linear", "last.linear"),
    (r"^final_layer\.norm\.weight", "last.norm.scale"),
    (r"^final_layer\.scale_shift_table", "last.modulation.lin"),
    (r"\.attn\.to_([qkv])\.", r".attn.w\1."),
    (r"\.attn\.to_out\.0\.", ".attn.wo."),
    (r"\.attn\.to_gate\.", ".attn.gate."),
    (r"\.attn\.norm_([qk])\.weight", r".attn.qknorm.\1norm.scale"),
    (r"\.ff\.", ".mlp."),
    (r"\.norm1\.weight", ".prenorm.scale"),
    (r"\.norm2\.weight", ".postnorm.scale"),
    (r"\.scale_shift_table", ".mod.lin"),
]

IDEOGRAM4 = [(r"\.attention\.to_[qkv]\.", ".attention.qkv."), (r"\.attention\.to_out\.0", ".attention.o")]

MINIMAX_H3 = [
    (r"^proj_in", "video_patch_proj"),
    (r"^audio_proj_in", "audio_patch_proj"),
    (r"^context_embedder", "condition_proj"),
    (r"^time_embedder\.linear_1", "time_embedder.proj_in"),
    (r"^time_embedder\.linear_2", "time_embedder.proj_out"),
    (r"^norm_out\.norm", "final_layer.norm"),
    (r"^norm_out\.linear", "final_layer.adaln_proj.linear"),
    (r"^proj_out", "final_layer.video_out"),
    (r"^audio_proj_out", "final_layer.audio_out"),
    (r"^token_refiner\.refiner_blocks", "token_refiner.blocks"),
    (r"^transformer_blocks", "blocks"),
    (r"\.attn\.to_[qkv]\.", ".attn.qkv_proj."),
    (r"\.attn\.to_out\.0", ".attn.out_proj"),
    (r"\.attn\.norm_([qk])", r".attn.\1_norm"),
    (r"\.ff\.net\.0\.proj", ".mlp.fc1"),
    (r"\.ff\.net\.2", ".mlp.fc2"),
]

# HunyuanVideo 1.5 and HunyuanImage 2.1 as ComfyUI names them.
HUNYUAN_TEXTS = [
    (r"^context_embedder\.proj_in", "txt_in.input_embedder"),
    (r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_1", "txt_in.t_embedder.in_layer"),
    (r"^context_embedder\.time_text_embed\.timestep_embedder\.linear_2", "txt_in.t_embedder.out_layer"),
    (r"^context_embedder\.time_text_embed\.text_embedder\.linear_1", "txt_in.c_embedder.in_layer"),
    (r"^context_embedder\.time_text_embed\.text_embedder\.linear_2", "txt_in.c_embedder.out_layer"),
    (r"^context_embedder\.token_refiner\.refiner_blocks", "txt_in.individual_token_refiner.blocks"),
    (r"^(txt_in\..*)\.attn\.to_[qkv]\.", r"\1.self_attn.qkv."),
    (r"^(txt_in\..*)\.attn\.to_out\.0", r"\1.self_attn.proj"),
    (r"^(txt_in\..*)\.ff\.net\.0\.proj", r"\1.mlp.0"),
    (r"^(txt_in\..*)\.ff\.net\.2", r"\1.mlp.2"),
    (r"^(txt_in\..*)\.norm_out\.linear", r"\1.adaLN_modulation.1"),
    (r"^context_embedder_2\.norm", "byt5_in.layernorm"),
    (r"^context_embedder_2\.linear_(\d)", r"byt5_in.fc\1"),
    (r"^x_embedder", "img_in"),
]

HUNYUAN_VIDEO_15 = (
    HUNYUAN_TEXTS
    + [
        (r"^image_embedder\.norm_in", "vision_in.proj.0"),
        (r"^image_embedder\.linear_1", "vision_in.proj.1"),
        (r"^image_embedder\.linear_2", "vision_in.proj.3"),
        (r"^image_embedder\.norm_out", "vision_in.proj.4"),
        (r"^cond_type_embed\.", "cond_type_embedding."),
        (r"^time_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
        (r"^time_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
        (r"^time_embed\.timestep_embedder_r\.linear_1", "time_r_in.in_layer"),
        (r"^time_embed\.timestep_embedder_r\.linear_2", "time_r_in.out_layer"),
    ]
    + FLUX_BLOCKS
)

HUNYUAN_IMAGE = (
    HUNYUAN_TEXTS
    + [
        (r"^time_guidance_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
        (r"^time_guidance_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
        (r"^time_guidance_embed\.timestep_embedder_r\.linear_1", "time_r_in.in_layer"),
        (r"^time_guidance_embed\.timestep_embedder_r\.linear_2", "time_r_in.out_layer"),
        (r"^time_guidance_embed\.guidance_embedder\.linear_1", "guidance_in.in_layer"),
        (r"^time_guidance_embed\.guidance_embedder\.linear_2", "guidance_in.out_layer"),
    ]
    + FLUX_BLOCKS
)

# From ComfyUI's names of these two to Tencent's.
HUNYUAN_15_AUTHORS = [
    (r"\.in_layer", ".mlp.0"),
    (r"\.out_layer", ".mlp.2"),
    (r"c_embedder\.mlp\.0", "c_embedder.linear_1"),
    (r"c_embedder\.mlp\.2", "c_embedder.linear_2"),
    (r"self_attn\.(qkv|proj)", r"self_attn_\1"),
    (r"(img|txt)_attn\.(proj|qkv)", r"\1_attn_\2"),
    (r"(blocks\.\d+\.(?:img_|txt_)?mlp)\.0", r"\1.fc1"),
    (r"(blocks\.\d+\.(?:img_|txt_)?mlp)\.2", r"\1.fc2"),
    (r"_mod\.lin\.", "_mod.linear."),
    (r"\.modulation\.lin\.", ".modulation.linear."),
    (r"(img|txt)_attn\.norm\.query_norm\.scale", r"\1_attn_q_norm.weight"),
    (r"(img|txt)_attn\.norm\.key_norm\.scale", r"\1_attn_k_norm.weight"),
    (r"\.norm\.query_norm\.scale", ".q_norm.weight"),
    (r"\.norm\.key_norm\.scale", ".k_norm.weight"),
]

LONGCAT = [
    (r"^time_embed\.timestep_embedder\.linear_1", "time_in.in_layer"),
    (r"^time_embed\.timestep_embedder\.linear_2", "time_in.out_layer"),
] + FLUX_BLOCKS

QWEN_IMAGE_21 = [(r"img_mlp\.(gate_layer|proj)\.", "img_mlp.gate_up.")]

ACE_STEP = [
    (r"^proj_in_conv", "proj_in.1"),
    (r"^proj_out_conv", "proj_out.1"),
    (r"_attn\.to_([qkv])\.", r"_attn.\1_proj."),
    (r"_attn\.to_out\.0", "_attn.o_proj"),
    (r"_attn\.norm_([qk])\.", r"_attn.\1_norm."),
    (r"^", "decoder."),
]

MOCHI = [
    (r"^patch_embed\.proj", "x_embedder.proj"),
    (r"^time_embed\.timestep_embedder\.linear_1", "t_embedder.mlp.0"),
    (r"^time_embed\.timestep_embedder\.linear_2", "t_embedder.mlp.2"),
    (r"^time_embed\.pooler", "t5_y_embedder"),
    (r"^time_embed\.caption_proj", "t5_yproj"),
    (r"^norm_out\.linear", "final_layer.mod"),
    (r"^proj_out", "final_layer.linear"),
    (r"^transformer_blocks", "blocks"),
    (r"\.norm1\.linear", ".mod_x"),
    (r"\.norm1_context\.linear(_1)?", ".mod_y"),
    (r"\.attn1\.to_[qkv]\.", ".attn.qkv_x."),
    (r"\.attn1\.add_[qkv]_proj", ".attn.qkv_y"),
    (r"\.attn1\.norm_([qk])\.", r".attn.\1_norm_x."),
    (r"\.attn1\.norm_added_([qk])\.", r".attn.\1_norm_y."),
    (r"\.attn1\.to_out\.0", ".attn.proj_x"),
    (r"\.attn1\.to_add_out", ".attn.proj_y"),
    (r"\.ff\.net\.0\.proj", ".mlp_x.w1"),
    (r"\.ff\.net\.2", ".mlp_x.w2"),
    (r"\.ff_context\.net\.0\.proj", ".mlp_y.w1"),
    (r"\.ff_context\.net\.2", ".mlp_y.w2"),
]

# Models

MODELS = []


def shapes_of(model):
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def add(name, family, component, shapes, original, convert, proof, unmapped=()):
    """Proves a pair of layouts and records it.

    `convert` gets tensors of `original` by name and returns those of the other layout; it must remove or use all.
    """
    names = sorted(original)
    tensors = {n: contents(i, original[n]) for i, n in enumerate(names)}
    result = convert(dict(tensors))
    assert result.keys() == shapes.keys(), (name, sorted(result.keys() ^ shapes.keys())[:8])
    for n, tensor in result.items():
        assert list(tensor.shape) == shapes[n], (name, n, list(tensor.shape), shapes[n])
    used = sum(t.numel() for t in result.values()) + sum(tensors[n].numel() for n in unmapped)
    assert used == sum(t.numel() for t in tensors.values()), (name, "not all tensors were used")
    MODELS.append(
        {
            "name": name,
            "family": family,
            "component": component,
            "proof": proof,
            "unmapped": list(unmapped),
            "original": {n: original[n] for n in names},
            "diffusers": {n: [shapes[n], checksum(result[n])] for n in sorted(result)},
        }
    )


def add_denoiser(name, family, model, rules, converter, extra=None, constants=None, prefix=""):
    shapes = shapes_of(model)
    original = fused_shapes(shapes, rules)
    original |= extra or {}
    function = getattr(single_file, converter)
    function = replacing(function, constants) if constants else function
    add(
        name, family, "denoiser", shapes, original,
        lambda tensors: function({prefix + n: t for n, t in tensors.items()}, config={}), converter, list(extra or {}),
    )


def by_structure(shapes, rules):
    """Cuts tensors as the names say: what is left where the library has no converter."""

    def convert(tensors):
        result, used = {}, {}
        for name, other in renamed(shapes, rules).items():
            start = used.get(other, 0)
            used[other] = start + shapes[name][0]
            result[name] = tensors[other][start : used[other]]
        return result

    return convert


def unets():
    blocks = dict(
        sample_size=8, layers_per_block=2, norm_num_groups=2, attention_head_dim=2, in_channels=4, out_channels=4
    )
    four = dict(
        block_out_channels=(4, 6, 8, 8),
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    )
    xl = dict(
        block_out_channels=(4, 6, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=2,
        projection_class_embeddings_input_dim=18, cross_attention_dim=10,
    )
    refiner = xl | dict(
        block_out_channels=(4, 6, 8, 8),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=2,
    )
    for name, family, config, attention in [
        ("sd15-unet", "SD1.x", four | dict(cross_attention_dim=10), {1, 2, 3}),
        ("sd15-inpaint-unet", "SD1.x", four | dict(cross_attention_dim=10, in_channels=9), {1, 2, 3}),
        ("sd15-pix2pix-unet", "SD1.x", four | dict(cross_attention_dim=10, in_channels=8), {1, 2, 3}),
        ("sd2-unet", "SD2.x", four | dict(cross_attention_dim=10, use_linear_projection=True), {1, 2, 3}),
        ("sdxl-unet", "SDXL", xl | dict(transformer_layers_per_block=(1, 1, 2)), {0, 1}),
        ("sdxl-inpaint-unet", "SDXL", xl | dict(transformer_layers_per_block=(1, 1, 2), in_channels=9), {0, 1}),
        ("sdxl-refiner-unet", "SDXL refiner", refiner, {1, 2}),
    ]:
        model = diffusers.UNet2DConditionModel(**(blocks | config))
        shapes = shapes_of(model)
        original = {unet_name(n, attention): s for n, s in shapes.items()}
        add(
            name, family, "denoiser", shapes, original,
            lambda tensors: single_file.convert_ldm_unet_checkpoint(
                {"model.diffusion_model." + n: t for n, t in tensors.items()}, dict(model.config)
            ),
            "convert_ldm_unet_checkpoint",
        )


def autoencoder():
    model = diffusers.AutoencoderKL(
        block_out_channels=(4, 4, 6, 6), layers_per_block=2, norm_num_groups=2, latent_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    )
    shapes = shapes_of(model)
    original = {
        n: s + [1, 1] if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", n) else s
        for n, s in fused_shapes(shapes, VAE).items()
    }
    add(
        "vae", "unknown", "vae", shapes, original,
        lambda tensors: single_file.convert_ldm_vae_checkpoint(
            {"first_stage_model." + n: t for n, t in tensors.items()}, dict(model.config)
        ),
        "convert_ldm_vae_checkpoint",
    )


def text_encoders():
    config = transformers.CLIPTextConfig(
        vocab_size=7, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=5, projection_dim=6,
    )
    # The converter's names have a first level that this version of the library's plain model has not.
    model = transformers.CLIPTextModelWithProjection(config)
    shapes = {n: s for n, s in shapes_of(model).items() if "position_ids" not in n}
    plain = {n: s for n, s in shapes.items() if n != "text_projection.weight"}
    bare = {n for n in shapes_of(transformers.CLIPTextModel(config)) if "position_ids" not in n}
    assert bare in ({n.removeprefix("text_model.") for n in plain}, set(plain))
    add(
        "clip-l", "unknown", "textEncoder1", plain, plain,
        lambda tensors: single_file.convert_ldm_clip_checkpoint(
            {"cond_stage_model.transformer." + n: t for n, t in tensors.items()}
        ),
        "convert_ldm_clip_checkpoint",
    )
    original = fused_shapes(shapes, OPEN_CLIP)
    original["text_projection"] = original["text_projection"][::-1]
    for name, component, prefix in [
        ("openclip-h", "textEncoder1", "cond_stage_model.model."),
        ("openclip-bigg", "textEncoder2", "conditioner.embedders.1.model."),
    ]:
        # SD2 has no use for the projection, and its converter leaves it out.
        own = {n: s for n, s in original.items() if n != "text_projection" or component == "textEncoder2"}
        add(
            name, "unknown", component, shapes if component == "textEncoder2" else plain, own,
            lambda tensors: single_file.convert_open_clip_checkpoint(
                model, {prefix + n: t for n, t in tensors.items()}, prefix=prefix
            ),
            "convert_open_clip_checkpoint",
        )
    t5 = transformers.T5EncoderModel(
        transformers.T5Config(
            vocab_size=7, d_model=8, d_kv=4, d_ff=12, num_layers=2, num_heads=2, feed_forward_proj="gated-gelu",
            relative_attention_num_buckets=4,
        )
    )
    shapes = {n: s for n, s in shapes_of(t5).items() if n != "encoder.embed_tokens.weight"}
    add(
        "t5", "unknown", "textEncoder3", shapes, shapes,
        lambda tensors: single_file.convert_sd3_t5_checkpoint_to_diffusers(
            {"text_encoders.t5xxl.transformer." + n: t for n, t in tensors.items()}
        ),
        "convert_sd3_t5_checkpoint_to_diffusers",
    )


def transformers_of_diffusers():
    heads = dict(num_attention_heads=2, attention_head_dim=4)
    rope = dict(axes_dims_rope=(2, 2, 4))
    wide = dict(num_attention_heads=2, attention_head_dim=8)
    sd3 = dict(
        sample_size=4, patch_size=2, in_channels=4, out_channels=4, joint_attention_dim=10, caption_projection_dim=8,
        pooled_projection_dim=6, pos_embed_max_size=4, **heads,
    )
    convert = "convert_sd3_transformer_checkpoint_to_diffusers"
    add_denoiser("sd3", "SD3", diffusers.SD3Transformer2DModel(num_layers=2, **sd3), SD3, convert)
    model = diffusers.SD3Transformer2DModel(num_layers=3, dual_attention_layers=(0, 1), qk_norm="rms_norm", **sd3)
    add_denoiser("sd3.5-medium", "SD3", model, SD3, convert)

    flux = dict(
        in_channels=4, num_layers=2, num_single_layers=2, joint_attention_dim=10, attention_head_dim=8,
        num_attention_heads=2,
    )
    for name, guidance in [("flux1-dev", True), ("flux1-schnell", False)]:
        model = diffusers.FluxTransformer2DModel(pooled_projection_dim=6, guidance_embeds=guidance, **flux, **rope)
        add_denoiser(
            name, "Flux.1", model, FLUX1, "convert_flux_transformer_checkpoint_to_diffusers", constants={3072: 16}
        )
    model = diffusers.Flux2Transformer2DModel(timestep_guidance_channels=6, axes_dims_rope=(2, 2, 2, 2), **flux)
    add_denoiser("flux2", "Flux.2", model, FLUX2, "convert_flux2_transformer_checkpoint_to_diffusers")
    model = diffusers.ChromaTransformer2DModel(
        approximator_num_channels=4, approximator_hidden_dim=10, approximator_layers=2, **flux, **rope
    )
    add_denoiser(
        "chroma", "Chroma", model, CHROMA, "convert_chroma_transformer_checkpoint_to_diffusers", constants={3072: 16}
    )

    wan = dict(out_channels=4, text_dim=10, freq_dim=6, ffn_dim=12, num_layers=2, **wide)
    convert = "convert_wan_transformer_to_diffusers"
    add_denoiser("wan-t2v", "Wan", diffusers.WanTransformer3DModel(in_channels=4, **wan), WAN, convert)
    model = diffusers.WanTransformer3DModel(in_channels=9, image_dim=14, added_kv_proj_dim=16, **wan)
    add_denoiser("wan-i2v", "Wan", model, WAN, convert)
    model = diffusers.WanVACETransformer3DModel(in_channels=4, vace_layers=[0, 1], vace_in_channels=6, **wan)
    add_denoiser("wan-vace", "Wan", model, WAN, convert)

    model = diffusers.HunyuanVideoTransformer3DModel(
        in_channels=4, out_channels=4, num_layers=2, num_single_layers=2, num_refiner_layers=2, text_embed_dim=10,
        pooled_projection_dim=6, rope_axes_dim=(2, 2, 4), **wide,
    )
    convert = "convert_hunyuan_video_transformer_to_diffusers"
    add_denoiser("hunyuan-video", "HunyuanVideo", model, HUNYUAN_VIDEO, convert, constants={3072: 16})
    shapes = shapes_of(model)
    authors = fused_shapes(shapes, HUNYUAN_VIDEO)
    repacked = renamed(authors, HUNYUAN_VIDEO_REPACK)
    function = replacing(getattr(single_file, convert), {3072: 16})
    add(
        "hunyuan-video-repacked", "HunyuanVideo", "denoiser", shapes, {repacked[n]: s for n, s in authors.items()},
        lambda tensors: function({n: tensors[repacked[n]] for n in authors}), convert + " after renaming",
    )

    model = diffusers.QwenImageTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, joint_attention_dim=10, **wide, **rope
    )
    add("qwen-image", "Qwen-Image", "denoiser", shapes_of(model), shapes_of(model), dict, "the same names")

    model = diffusers.Lumina2Transformer2DModel(
        in_channels=4, hidden_size=24, num_layers=2, num_refiner_layers=2, num_attention_heads=3, num_kv_heads=1,
        multiple_of=4, cap_feat_dim=10, axes_dim_rope=(2, 2, 4),
    )
    add_denoiser(
        "lumina2", "Lumina2", model, LUMINA2, "convert_lumina2_to_diffusers", {"norm_final.weight": [24]},
        constants={2304: 24, 768: 8},
    )
    model = diffusers.ZImageTransformer2DModel(
        in_channels=4, dim=16, n_layers=2, n_refiner_layers=1, n_heads=2, n_kv_heads=2, cap_feat_dim=10,
        axes_dims=[2, 2, 4], axes_lens=[8, 8, 8],
    )
    add_denoiser(
        "z-image", "Z-Image", model, Z_IMAGE, "convert_z_image_transformer_checkpoint_to_diffusers",
        {"norm_final.weight": [16]},
    )

    model = diffusers.LTXVideoTransformer3DModel(
        in_channels=4, out_channels=4, cross_attention_dim=16, num_layers=2, caption_channels=10, **wide
    )
    add_denoiser("ltx-video", "LTX-Video", model, LTX, "convert_ltx_transformer_checkpoint_to_diffusers")
    model = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4, out_channels=4, cross_attention_dim=16, num_layers=2, caption_channels=10, audio_in_channels=4,
        audio_out_channels=4, audio_num_attention_heads=2, audio_attention_head_dim=4, audio_cross_attention_dim=8,
        **wide,
    )
    add_denoiser("ltx2", "LTX-Video", model, LTX, "convert_ltx2_transformer_to_diffusers")

    for name, size in [("pixart-alpha", True), ("pixart-sigma", False)]:
        model = diffusers.PixArtTransformer2DModel(
            in_channels=4, out_channels=8, num_layers=2, cross_attention_dim=16, caption_channels=10, sample_size=8,
            use_additional_conditions=size, **wide,
        )
        shapes = shapes_of(model)
        add(
            name, "PixArt", "denoiser", shapes, fused_shapes(shapes, PIXART) | {"y_embedder.y_embedding": [3, 10]},
            by_structure(shapes, PIXART), "structure", ["y_embedder.y_embedding"],
        )

    sana = dict(
        in_channels=4, out_channels=4, num_layers=2, num_cross_attention_heads=2, cross_attention_head_dim=8,
        cross_attention_dim=16, caption_channels=10, sample_size=4, **wide,
    )
    add_denoiser(
        "sana", "Sana", diffusers.SanaTransformer2DModel(**sana), SANA, "convert_sana_transformer_to_diffusers",
        {"pos_embed": [1, 16, 16], "y_embedder.y_embedding": [3, 10]},
    )
    shapes = shapes_of(diffusers.SanaTransformer2DModel(qk_norm="rms_norm_across_heads", **sana))
    add(
        "sana-1.5", "Sana", "denoiser", shapes, fused_shapes(shapes, SANA), by_structure(shapes, SANA), "structure"
    )

    model = diffusers.AuraFlowTransformer2DModel(
        sample_size=4, in_channels=4, num_mmdit_layers=2, num_single_dit_layers=2, joint_attention_dim=10,
        caption_projection_dim=16, pos_embed_max_size=4, **wide,
    )
    add_denoiser("auraflow", "AuraFlow", model, AURA_FLOW, "convert_auraflow_transformer_checkpoint_to_diffusers")

    model = diffusers.CosmosTransformer3DModel(
        in_channels=5, out_channels=4, num_layers=2, mlp_ratio=2.0, text_embed_dim=10, adaln_lora_dim=6,
        extra_pos_embed_type=None, concat_padding_mask=True, num_attention_heads=1, attention_head_dim=16,
    )
    add_denoiser(
        "cosmos-predict2", "Cosmos-Predict2", model, COSMOS, "convert_cosmos_transformer_checkpoint_to_diffusers",
        prefix="net.",
    )


def transformers_of_2026():
    """Models whose authors' layout diffusers' converters know, or whose renames its scripts and ComfyUI's models have."""
    wide = dict(num_attention_heads=2, attention_head_dim=8)

    def structured(name, family, model, rules, more=None, swapped=""):
        """By the renames alone, with queries before keys before values, and halves changed in what begins with `swapped`."""
        order = ["to_q", "add_q", "to_k", "add_k", "to_v", "add_v"]
        place = lambda item: next((i for i, word in enumerate(order) if "." + word in item[0]), len(order))
        shapes = dict(sorted((shapes_of(model) | (more or {})).items(), key=place))

        def convert(tensors):
            result = by_structure(shapes, rules)(tensors)
            for n in result:
                if swapped and n.startswith(swapped):
                    result[n] = torch.cat(result[n].chunk(2)[::-1])
            return result

        add(name, family, "denoiser", shapes, fused_shapes(shapes, rules), convert, "structure")

    def same(name, family, model, proof="the same names"):
        add(name, family, "denoiser", shapes_of(model), shapes_of(model), dict, proof)

    def below(prefix, model):
        return {prefix + name: shape for name, shape in shapes_of(model).items()}

    model = diffusers.CosmosTransformer3DModel(
        in_channels=5, out_channels=4, num_layers=2, mlp_ratio=2.0, text_embed_dim=10, adaln_lora_dim=6,
        extra_pos_embed_type=None, concat_padding_mask=True, num_attention_heads=1, attention_head_dim=16,
    )
    reader = diffusers.AnimaTextConditioner(
        source_dim=6, target_dim=10, model_dim=8, num_layers=2, num_attention_heads=2, target_vocab_size=5
    )
    structured("anima", "Anima", model, ANIMA, below("text_conditioner.", reader))

    model = diffusers.Krea2Transformer2DModel(
        in_channels=4, num_layers=2, attention_head_dim=6, num_attention_heads=4, num_key_value_heads=1,
        intermediate_size=64, timestep_embed_dim=6, text_hidden_dim=10, num_text_layers=3, text_num_attention_heads=2,
        text_num_key_value_heads=2, text_intermediate_size=8, num_layerwise_text_blocks=1, num_refiner_text_blocks=1,
        axes_dims_rope=(2, 2, 2),
    )
    shapes = shapes_of(model)
    function = single_file.convert_krea2_transformer_checkpoint_to_diffusers
    # Tables are flat in the authors' layout, which is the same numbers in the same order.
    add(
        "krea2", "Krea 2", "denoiser", shapes, fused_shapes(shapes, KREA2), lambda tensors: function(tensors),
        "convert_krea2_transformer_checkpoint_to_diffusers",
    )
    model = diffusers.Ideogram4Transformer2DModel(
        in_channels=4, num_layers=2, attention_head_dim=8, num_attention_heads=2, intermediate_size=24, adaln_dim=6,
        llm_features_dim=10, mrope_section=(2, 1, 1),
    )
    structured("ideogram4", "Ideogram 4", model, IDEOGRAM4)
    model = diffusers.MiniMaxH3Transformer3DModel(
        num_attention_heads=2, attention_head_dim=12, hidden_size=18, num_layers=2, num_refiner_layers=1, ffn_dim=48,
        in_channels=2, audio_in_channels=3, text_dim=10, freq_dim=6, time_embed_hidden_dim=8, time_embed_dim=4,
        rope_freq_dim=2,
    )
    add_denoiser(
        "minimax-h3", "MiniMax-H3", model, MINIMAX_H3, "convert_minimax_h3_transformer_checkpoint_to_diffusers"
    )
    model = diffusers.HunyuanVideo15Transformer3DModel(
        in_channels=5, out_channels=4, num_layers=2, num_refiner_layers=1, text_embed_dim=10, text_embed_2_dim=6,
        image_embed_dim=12, rope_axes_dim=(2, 2, 4), use_meanflow=True, **wide,
    )
    structured("hunyuan-video-1.5", "HunyuanVideo 1.5", model, HUNYUAN_VIDEO_15, swapped="norm_out.linear")
    shapes = shapes_of(model)
    rules = HUNYUAN_VIDEO_15 + HUNYUAN_15_AUTHORS
    # Tencent's projections of attention in the blocks are not joined.
    apart = [(r"^transformer_blocks\.(\d+)\.attn\.to_([qkv])\.", r"double_blocks.\1.img_attn_\2."),
             (r"^transformer_blocks\.(\d+)\.attn\.add_([qkv])_proj\.", r"double_blocks.\1.txt_attn_\2.")] + rules
    structured("hunyuan-video-1.5-authors", "HunyuanVideo 1.5", model, apart, swapped="norm_out.linear")
    model = diffusers.HunyuanImageTransformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, num_single_layers=2, num_refiner_layers=1, guidance_embeds=True,
        text_embed_dim=10, text_embed_2_dim=6, rope_axes_dim=(4, 4), use_meanflow=True, **wide,
    )
    structured("hunyuan-image-2.1", "HunyuanImage 2.1", model, HUNYUAN_IMAGE, swapped="norm_out.linear")
    structured("hunyuan-image-2.1-authors", "HunyuanImage 2.1", model, HUNYUAN_IMAGE + HUNYUAN_15_AUTHORS, swapped="norm_out.linear")
    model = diffusers.ErnieImageTransformer2DModel(
        hidden_size=16, num_attention_heads=2, num_layers=2, ffn_hidden_size=24, in_channels=4, out_channels=4,
        text_in_dim=10, rope_axes_dim=(2, 2, 4),
    )
    same("ernie-image", "ERNIE-Image", model)
    model = diffusers.HiDreamImageTransformer2DModel(
        patch_size=2, in_channels=4, num_layers=1, num_single_layers=1, caption_channels=[10, 6], text_emb_dim=8,
        num_routed_experts=2, num_activated_experts=1, axes_dims_rope=(4, 4), llama_layers=[0, 1], **wide,
    )
    same("hidream-i1", "HiDream-I1", model)
    model = diffusers.AceStepTransformer1DModel(
        hidden_size=16, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1,
        head_dim=8, in_channels=6, audio_acoustic_hidden_dim=4,
    )
    structured("ace-step", "ACE-Step 1.5", model, ACE_STEP)
    model = diffusers.Kandinsky5Transformer3DModel(
        in_visual_dim=4, in_text_dim=10, in_text_dim2=6, time_dim=8, out_visual_dim=4, model_dim=16, ff_dim=24,
        num_text_blocks=1, num_visual_blocks=2, axes_dims=(2, 2, 4),
    )
    same("kandinsky5", "Kandinsky 5", model)
    model = diffusers.LongCatImageTransformer2DModel(
        in_channels=4, num_layers=2, num_single_layers=2, joint_attention_dim=10, pooled_projection_dim=10,
        axes_dims_rope=(2, 2, 4), **wide,
    )
    structured("longcat-image", "LongCat-Image", model, LONGCAT, swapped="norm_out.linear")
    model = diffusers.QwenImage21Transformer2DModel(
        in_channels=4, out_channels=4, num_layers=2, context_in_dim=10, axes_dims_rope=(2, 2, 4), **wide
    )
    add_denoiser(
        "qwen-image-2.1", "Qwen-Image 2.1", model, QWEN_IMAGE_21,
        "convert_qwen_image21_transformer_checkpoint_to_diffusers",
    )
    model = diffusers.CogVideoXTransformer3DModel(
        in_channels=4, out_channels=4, time_embed_dim=6, ofs_embed_dim=6, text_embed_dim=10, num_layers=2,
        sample_width=4, sample_height=4, sample_frames=4, max_text_seq_length=4, use_rotary_positional_embeddings=True,
        **wide,
    )
    same("cogvideox", "CogVideoX", model)
    model = diffusers.MochiTransformer3DModel(
        num_attention_heads=2, attention_head_dim=6, num_layers=48, pooled_projection_dim=6, in_channels=2,
        text_embed_dim=8, time_embed_dim=4, max_sequence_length=4,
    )
    add_denoiser("mochi", "Mochi", model, MOCHI, "convert_mochi_transformer_checkpoint_to_diffusers")

    model = diffusers.WanAnimateTransformer3DModel(
        in_channels=12, latent_channels=4, out_channels=4, text_dim=10, freq_dim=6, ffn_dim=12, num_layers=2, image_dim=14,
        motion_encoder_channel_sizes={"4": 2, "8": 2}, motion_encoder_size=8, motion_style_dim=6, motion_dim=2,
        motion_encoder_dim=6, face_encoder_hidden_dim=4, face_encoder_num_heads=2, inject_face_latents_blocks=1, **wide,
    )
    # What finds movements in faces is no part of the transformer that anybody trains.
    shapes = {n: s for n, s in shapes_of(model).items() if not n.startswith("motion_encoder.")}
    add(
        "wan-animate", "Wan", "denoiser", shapes, fused_shapes(shapes, WAN), single_file.convert_wan_transformer_to_diffusers,
        "convert_wan_transformer_to_diffusers",
    )

    model = diffusers.LTX2VideoTransformer3DModel(
        in_channels=4, out_channels=4, cross_attention_dim=16, num_layers=1, caption_channels=10, audio_in_channels=4,
        audio_out_channels=4, audio_num_attention_heads=2, audio_attention_head_dim=4, audio_cross_attention_dim=8,
        gated_attn=True, cross_attn_mod=True, audio_gated_attn=True, audio_cross_attn_mod=True,
        use_prompt_embeddings=False, **wide,
    )
    settings = dict(
        caption_channels=6, text_proj_in_factor=2, video_connector_num_attention_heads=2,
        video_connector_attention_head_dim=4, video_connector_num_layers=1, video_connector_num_learnable_registers=2,
        audio_connector_num_attention_heads=2, audio_connector_attention_head_dim=4, audio_connector_num_layers=1,
        audio_connector_num_learnable_registers=2,
    )
    plain = LTX2TextConnectors(**settings)
    gated = LTX2TextConnectors(
        per_modality_projections=True, video_gated_attn=True, audio_gated_attn=True, video_hidden_dim=8,
        audio_hidden_dim=4, **settings,
    )
    structured("ltx-2.3", "LTX-Video", model, LTX, below("connectors.", gated) | {
        name: shape for name, shape in below("connectors.", plain).items() if "text_proj_in" in name
    })


def main():
    torch.manual_seed(0)
    unets()
    autoencoder()
    text_encoders()
    transformers_of_diffusers()
    transformers_of_2026()
    versions = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "numpy": np.__version__,
    }
    compact = dict(separators=(",", ":"))
    lines = ",\n".join(json.dumps(model, **compact) for model in MODELS)
    text = '{"versions":' + json.dumps(versions, **compact) + ',\n"models":[\n' + lines + "\n]}\n"
    (HERE / "expected.json").write_text(text)
    for model in MODELS:
        same = set(model["original"]) & set(model["diffusers"])
        print(f"{model['name']}: {len(model['original'])} and {len(model['diffusers'])} tensors, {len(same)} alike")


if __name__ == "__main__":
    main()
