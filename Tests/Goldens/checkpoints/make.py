"""Base checkpoints as torch pickles and GGUF, written by torch and by ggml's own package, and the same as safetensors.

    python make.py

Needs torch, safetensors and gguf; prints their versions, which are in versions.json too (made with torch 2.13.0,
safetensors 0.8.0, gguf 0.19.0). Weights are random, shapes are tiny; nothing can be rendered with them.

model.safetensors          the model that the pickles hold: a few weights of a Stable Diffusion 1 under its authors' names
zip.ckpt, legacy.ckpt      torch.save, in a `state_dict` beside other values, with transposed, sliced, channels-last and
                           shared tensors; in the zip form and in the form before torch 1.6
deflated.ckpt              the zip form, packed again with compression
bare.pth                   the weights without a `state_dict`, some of them Parameters
eight-bit.pt               weights of float8, which torch stores in another way, and the same in eight-bit.safetensors
folder/                    a pipeline of diffusers with .bin files, the text encoder in two shards; folder.safetensors
                           has the same weights, each behind its folder's name
mixed.gguf                 a UNet under its authors' names without prefix, as ComfyUI's converters write it: F32, F16, BF16
                           and Q8_0, one tensor reshaped; mixed.safetensors has what gguf.quants makes of them
q8_0.safetensors           numbers, the blocks that gguf.quants makes of them, and what those stand for
"""

import json
import shutil
import zipfile
from pathlib import Path

import gguf
import numpy as np
import safetensors
import safetensors.torch
import torch

HERE = Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "safetensors": safetensors.__version__,
            "gguf": __import__("importlib.metadata", fromlist=["version"]).version("gguf"), "numpy": np.__version__}
torch.manual_seed(1)

UNET = "model.diffusion_model."
BLOCK = UNET + "input_blocks.1.1."
TEXT = "cond_stage_model.transformer.text_model."


def normal(*shape, dtype=torch.float32):
    return (torch.randn(shape) * 0.1).to(dtype)


def contiguous(tensors):
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def model():
    """Names and tensors; several are views that are not in C order, or share their storage."""
    shared = normal(40, 32, dtype=torch.float16)
    square = normal(32, 32, dtype=torch.float16)
    return {
        UNET + "input_blocks.0.0.weight": normal(32, 4, 3, 3).to(memory_format=torch.channels_last),
        UNET + "input_blocks.0.0.bias": normal(32),
        BLOCK + "proj_in.weight": normal(32, 32, 1, 1, dtype=torch.float16),
        BLOCK + "transformer_blocks.0.attn1.to_q.weight": square.t(),
        BLOCK + "transformer_blocks.0.attn1.to_k.weight": shared[4:36],
        BLOCK + "transformer_blocks.0.attn1.to_v.weight": shared[0:32],
        BLOCK + "transformer_blocks.0.attn2.to_k.weight": normal(64, 64, dtype=torch.bfloat16)[::2],
        BLOCK + "transformer_blocks.0.norm1.weight": normal(64)[1::2],
        TEXT + "encoder.layers.0.self_attn.q_proj.weight": normal(32, 32, dtype=torch.float16),
        TEXT + "embeddings.position_ids": torch.arange(77).unsqueeze(0),
        "model_ema.diffusion_modelinput_blocks00weight": normal(8),
        "model_ema.decay": torch.tensor(0.9999),
        "betas": torch.linspace(0.001, 0.01, 10, dtype=torch.float64),
    }


def pickles():
    weights = model()
    safetensors.torch.save_file(contiguous(weights), HERE / "model.safetensors")
    whole = {"epoch": 3, "global_step": 1000, "state_dict": weights, "hyper": {"rate": 1e-4, "names": ["a", "b"]}}
    torch.save(whole, HERE / "zip.ckpt")
    torch.save(whole, HERE / "legacy.ckpt", _use_new_zipfile_serialization=False)
    with zipfile.ZipFile(HERE / "zip.ckpt") as old, zipfile.ZipFile(
            HERE / "deflated.ckpt", "w", zipfile.ZIP_DEFLATED) as new:
        for entry in old.infolist():
            new.writestr(zipfile.ZipInfo(entry.filename), old.read(entry), zipfile.ZIP_DEFLATED)
    parameters = {name: torch.nn.Parameter(tensor, requires_grad=False) for name, tensor in weights.items()}
    torch.save(parameters, HERE / "bare.pth")
    eight = {UNET + "input_blocks.0.0.weight": normal(8, 4, 3, 3).to(torch.float8_e4m3fn),
             BLOCK + "transformer_blocks.0.attn1.to_q.weight": normal(16, 8).to(torch.float8_e5m2).t(),
             BLOCK + "proj_in.weight": normal(8, 8, 1, 1)}
    torch.save(eight, HERE / "eight-bit.pt")
    safetensors.torch.save_file(contiguous(eight), HERE / "eight-bit.safetensors")


def folder():
    root = HERE / "folder"
    shutil.rmtree(root, ignore_errors=True)
    for name in ["unet", "text_encoder"]:
        (root / name).mkdir(parents=True)
    (root / "model_index.json").write_text('{"_class_name": "StableDiffusionPipeline"}\n')
    (root / "unet/config.json").write_text('{"_class_name": "UNet2DConditionModel"}\n')
    (root / "text_encoder/config.json").write_text('{"architectures": ["CLIPTextModel"], "model_type": "clip_text_model"}\n')
    attention = "down_blocks.0.attentions.0."
    unet = {
        "conv_in.weight": normal(32, 4, 3, 3),
        "down_blocks.0.resnets.0.conv1.weight": normal(8, 8, 3, 3),
        attention + "proj_in.weight": normal(32, 32, 1, 1),
        attention + "transformer_blocks.0.attn1.to_q.weight": normal(32, 32, dtype=torch.float16),
    }
    torch.save(unet, root / "unet/diffusion_pytorch_model.bin")
    layer = "text_model.encoder.layers.{}.self_attn.q_proj.weight"
    shards = [{layer.format(0): normal(32, 32)}, {layer.format(1): normal(32, 32)}]
    index = {"metadata": {"total_size": sum(t.nbytes for s in shards for t in s.values())}, "weight_map": {}}
    for number, shard in enumerate(shards, 1):
        name = f"pytorch_model-{number:05}-of-{len(shards):05}.bin"
        torch.save(shard, root / "text_encoder" / name)
        index["weight_map"] |= {key: name for key in shard}
    (root / "text_encoder/pytorch_model.bin.index.json").write_text(json.dumps(index, indent=2) + "\n")
    whole = {f"unet/{name}": tensor for name, tensor in unet.items()}
    for shard in shards:
        whole |= {f"text_encoder/{name}": tensor for name, tensor in shard.items()}
    safetensors.torch.save_file(contiguous(whole), HERE / "folder.safetensors")


def ggml():
    kinds = gguf.GGMLQuantizationType
    block = BLOCK.removeprefix(UNET)
    tensors = [
        ("input_blocks.0.0.weight", normal(32, 4, 3, 3), kinds.F16),
        ("input_blocks.0.0.bias", normal(32), kinds.F32),
        ("input_blocks.1.0.in_layers.2.weight", normal(32, 8, 3, 3), kinds.Q8_0),
        (block + "proj_in.weight", normal(32, 32, 1, 1), kinds.F16),
        (block + "transformer_blocks.0.attn1.to_q.weight", normal(32, 32), kinds.Q8_0),
        (block + "transformer_blocks.0.attn1.to_k.weight", normal(32, 32), kinds.F16),
        (block + "transformer_blocks.0.attn1.to_v.weight", normal(32, 32), kinds.BF16),
        (block + "transformer_blocks.0.attn2.to_k.weight", normal(32, 64), kinds.Q8_0),
        (block + "transformer_blocks.0.norm1.weight", normal(32), kinds.F32),
    ]
    writer = gguf.GGUFWriter(HERE / "mixed.gguf", arch="sd1")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_string("general.name", "a tiny model")
    writer.add_array("example.words", ["one", "two"])
    expected = {}
    for name, tensor, kind in tensors:
        data, shape = tensor.numpy(), tensor.shape
        if kind == kinds.Q8_0 and data.ndim == 4:
            # As ComfyUI's converters do with kernels, whose rows are no whole blocks.
            writer.add_array(f"comfy.gguf.orig_shape.{name}", tuple(int(extent) for extent in shape))
            data = data.reshape(-1, 256)
        stored = gguf.quants.quantize(data, kind)
        writer.add_tensor(name, stored, raw_dtype=kind)
        if kind == kinds.Q8_0:
            values = torch.from_numpy(gguf.quants.dequantize(stored, kind).copy()).reshape(shape)
        elif kind == kinds.BF16:
            values = torch.from_numpy(stored.copy()).view(torch.bfloat16).reshape(shape)
        else:
            values = torch.from_numpy(stored.copy()).reshape(shape)
        expected[name] = values
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    safetensors.torch.save_file(contiguous(expected), HERE / "mixed.safetensors")


def blocks():
    values = normal(24, 64).numpy()
    values[0] = 0
    values[1] *= 1e-9      # factors that a half cannot hold
    values[2] *= 1e-5      # subnormal factors
    values[3] *= 1e5
    values[4, :32] = np.arange(32) - 15.5          # ties
    values[4, 32:] = (np.arange(32) - 16) * 127 / 16
    values[5, 1:] = 0
    values[6] = np.float32(-1e-30)
    stored = gguf.quants.quantize(values, gguf.GGMLQuantizationType.Q8_0)
    numbers = gguf.quants.dequantize(stored, gguf.GGMLQuantizationType.Q8_0)
    safetensors.torch.save_file(
        {"values": torch.from_numpy(values), "blocks": torch.from_numpy(stored.copy()),
         "numbers": torch.from_numpy(numbers.copy())}, HERE / "q8_0.safetensors")


if __name__ == "__main__":
    pickles()
    folder()
    ggml()
    blocks()
    (HERE / "versions.json").write_text(json.dumps(VERSIONS, indent=2) + "\n")
    print(json.dumps(VERSIONS))
