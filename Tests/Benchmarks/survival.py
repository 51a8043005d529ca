"""Bakes real adapters of SD1.5 into a base of SD1.5's shapes in Q8_0, Q4_K and scaled fp8, and prints what of them survives.

    python survival.py LATHE ADAPTERS WORK

ADAPTERS is the folder with the real files. The base is random, with the spread that such weights have (each matrix's σ is
0.5 ÷ √inputs, convolutions and linear layers alike): what survives depends on the size of changes beside the steps between codes. 3 GB in WORK.
"""

import json
import pathlib
import re
import subprocess
import sys

import gguf
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

LATHE, ADAPTERS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
FILES = [
    "sd15_diffusers_pokemon.safetensors",
    "sd15_diffusers_processor_style.safetensors",
    "sd15_diffusers_unet_prefix.safetensors",
    "sd15_cloneofsimo_rank4.safetensors",
    "sd15_lycoris_lokr_8.safetensors",
    "sd15_lycoris_lokr_16.safetensors",
]
ROUNDINGS = ["nearest", "stochastic", "shaped"]


def single_file_name(name):
    """The authors' name of a tensor of SD1.5's UNet that diffusers names otherwise."""
    resnets = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
               "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip

    def place(part):
        for pattern, result in [
            (r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)", lambda i, kind, j: f"input_blocks.{3 * i + j + 1}.{kind}"),
            (r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)", lambda i, kind, j: f"output_blocks.{3 * i + j}.{kind}"),
        ]:
            if found := re.match(pattern, part):
                i, kind, j = int(found[1]), 0 if found[2] == "resnets" else 1, int(found[3])
                return result(i, kind, j) + part[found.end() :]
        if found := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv", part):
            return f"input_blocks.{3 * int(found[1]) + 3}.0.op" + part[found.end() :]
        if found := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.conv", part):
            return f"output_blocks.{3 * int(found[1]) + 2}.{1 if found[1] == '0' else 2}.conv" + part[found.end() :]
        if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)", part):
            return f"middle_block.{1 if found[1] == 'attentions' else 2 * int(found[2])}" + part[found.end() :]
        for old, new in [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
                         ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")]:  # fmt: skip
            part = part.replace(old, new)
        return part

    result = place(name)
    if "resnets" in name:
        for old, new in resnets.items():
            result = result.replace("." + old + ".", f".{new}.")
    return "model.diffusion_model." + result


def unet():
    """Random weights of SD1.5's shapes, in half precision."""
    with torch.device("meta"):
        network = UNet2DConditionModel(
            block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8, sample_size=64
        )
    generator, result = torch.Generator().manual_seed(15), {}
    for name, value in network.state_dict().items():
        inputs = value[0].numel() if value.ndim > 1 else 1
        spread = 0.5 / inputs**0.5 if value.ndim > 1 else 0.1
        result[single_file_name(name)] = (spread * torch.randn(value.shape, generator=generator)).half()
    return result


def write_gguf(path, tensors):
    """The same in half precision; what has rows that no block fits is stored in rows of 256, its shape beside it."""
    writer = gguf.GGUFWriter(path, "sd1")
    for name, value in tensors.items():
        if value.ndim > 1 and value.numel() % 256 == 0:
            if value.ndim > 2 or value.shape[-1] % 256:
                writer.add_array(f"comfy.gguf.orig_shape.{name}", list(value.shape))
                value = value.reshape(-1, 256)
            writer.add_tensor(name, value.numpy())
        else:
            writer.add_tensor(name, value.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_fp8(path, tensors):
    """Scaled fp8 as ComfyUI writes it."""
    stored = {}
    for name, value in tensors.items():
        stored[name] = value
        if value.ndim == 2:
            module, scale = name.removesuffix(".weight"), value.float().abs().max() / 448
            stored[name] = (value.float() * (1 / scale)).clamp(-448, 448).to(torch.float8_e4m3fn)
            stored[f"{module}.weight_scale"] = scale
            stored[f"{module}.comfy_quant"] = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    save_file(stored, path)


def lathe(*arguments):
    done = subprocess.run([LATHE, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode in (0, 2), f"lathe {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}"
    return done.stdout


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    tensors, wide = unet(), WORK / "wide.gguf"
    write_gguf(wide, tensors)
    write_fp8(WORK / "fp8.safetensors", tensors)
    bases = {"fp8": WORK / "fp8.safetensors"}
    for label, dtype in {"Q8_0": "q8_0", "Q4_K": "q4_k"}.items():
        bases[label] = WORK / f"{dtype}.gguf"
        nothing = f"{ADAPTERS / FILES[0]}@0"
        lathe("bake", wide, nothing, "-o", bases[label], "--dtype", dtype, "--force", "--allow-unmatched")
    print(f"{'adapter':44} {'base':6} " + " ".join(f"{rounding:>11}" for rounding in ROUNDINGS))
    for file in FILES:
        for label, base in bases.items():
            shares = []
            for rounding in ROUNDINGS:
                out = WORK / f"out{base.suffix}"
                report = lathe("bake", base, ADAPTERS / file, "-o", out, "--rounding", rounding, "--force", "--json", "--allow-unmatched")
                rows = {row["name"]: row["survival"] for row in json.loads(report)["formats"]}
                shares.append(next(share for name, share in rows.items() if name.startswith({"fp8": "f8"}.get(label, label)) or "float8" in name))
            print(f"{file:44} {label:6} " + " ".join(f"{share:11.3f}" for share in shares), flush=True)


if __name__ == "__main__":
    main()
