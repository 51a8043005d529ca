"""Two small checkpoints, what numpy says about their difference, and what client libraries make of the extracted adapter.

What it makes (beside this script)
    base.safetensors, tuned.safetensors   five weights of an SD1.x UNet in diffusers' names, float16: three matrices and
                                          a convolution with a decaying spectrum of full rank, and a bias.
    expected.json                         per weight, of the difference of the stored numbers: its singular values
                                          (numpy.linalg.svd, float64, of the matrix out x in*kernel), its norm, and the
                                          rank that keeps 0.9 of its energy.

What is checked here (the script stops at the first failure)
    diffusers  A small UNet and a copy with a rank-4 change in every matrix and convolution. `lathe extract --rank 4`
               with diffusers' names and with kohya's, both as float32; load_lora_adapter and fuse_lora give the tuned
               weights back to 1e-5 of the change's norm. Kohya's file: the plain formula up @ down * alpha / rank and the
               tensors .diff and .diff_b give every tuned weight back, vectors too.
    peft       A small GPT-2 and a copy changed likewise (its Conv1D weights are stored transposed);
               PeftModel.from_pretrained and merge_and_unload give the tuned matrices back.

Library versions that printed the committed numbers
    Python 3.11, torch 2.13.0 (CPU build), numpy 2.4.6, safetensors 0.8.0, diffusers 0.42.1, transformers 5.23.0,
    peft 0.21.2.

How to run
    OMP_NUM_THREADS=1 python make.py LATHE

    Some seconds. All random numbers are seeded; the last digits may depend on the processor.
"""

import copy
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from peft import PeftModel
from safetensors.numpy import save_file as save_numpy
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel

HERE = os.path.dirname(os.path.abspath(__file__))
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0."
SHAPES = {
    "conv_in.weight": (8, 4, 3, 3),
    "down_blocks.0.resnets.0.conv1.weight": (16, 12, 3, 3),
    BLOCK + "attn2.to_k.weight": (20, 768),
    BLOCK + "attn1.to_q.weight": (24, 24),
    BLOCK + "ff.net.0.proj.weight": (96, 12),
    BLOCK + "ff.net.0.proj.bias": (96,),
}


def golden():
    rng = np.random.default_rng(20260)
    base, tuned, expected = {}, {}, {}
    for name, shape in SHAPES.items():
        w = 0.05 * rng.standard_normal(shape)
        flat = (shape[0], int(np.prod(shape[1:], dtype=int)))
        u, _, vt = np.linalg.svd(rng.standard_normal(flat), full_matrices=False)
        d = (u * (0.5 / np.arange(1, u.shape[1] + 1) ** 1.5)) @ vt
        base[name] = w.astype(np.float16)
        tuned[name] = base[name] if name == "conv_in.weight" else (base[name] + d.reshape(shape)).astype(np.float16)
        difference = (tuned[name].astype(np.float64) - base[name].astype(np.float64)).reshape(flat)
        values = np.linalg.svd(difference, compute_uv=False)
        energy = np.cumsum(values**2)
        expected[name] = {
            "shape": list(shape),
            "norm": float(np.linalg.norm(difference)),
            "values": [float(v) for v in values],
            "rank90": int(np.searchsorted(energy, 0.9 * energy[-1]) + 1) if energy[-1] > 0 else 0,
        }
    save_numpy(base, os.path.join(HERE, "base.safetensors"))
    save_numpy(tuned, os.path.join(HERE, "tuned.safetensors"))
    versions = {p: importlib.metadata.version(p) for p in ["torch", "numpy", "safetensors", "diffusers", "transformers", "peft"]}
    with open(os.path.join(HERE, "expected.json"), "w") as file:
        json.dump({"versions": versions, "weights": expected}, file, indent=1)
        file.write("\n")


def changed(model, rank=4):
    """A copy whose matrices and convolutions differ by a product of that rank, and its vectors a little."""
    generator = torch.Generator().manual_seed(3)
    other = copy.deepcopy(model)
    with torch.no_grad():
        for name, p in other.named_parameters():
            if p.ndim >= 2 and "wte" not in name and "wpe" not in name:
                m, n = p.shape[0], p[0].numel()
                r = min(rank, m, n)
                d = torch.randn(m, r, generator=generator) @ torch.randn(r, n, generator=generator)
                p += 0.02 * d.reshape(p.shape)
            elif p.ndim == 1 and isinstance(model, UNet2DConditionModel):
                p += 0.01 * torch.randn(p.shape, generator=generator)
    return other


def extract(lathe, *arguments):
    run = subprocess.run([lathe, "extract", *arguments, "--json"], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def close(found, base, tuned, what):
    change = torch.linalg.norm((tuned - base).double())
    error = torch.linalg.norm((found - tuned).double())
    assert error <= 1e-5 * change, f"{what}: {float(error / change)}"


def diffusers_client(lathe, folder):
    torch.manual_seed(1)
    base = UNet2DConditionModel(
        sample_size=8, layers_per_block=1, block_out_channels=(32, 64), cross_attention_dim=768,
        attention_head_dim=8, norm_num_groups=8, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"))
    tuned = changed(base)
    for name, model in [("base", base), ("tuned", tuned)]:
        model.save_pretrained(f"{folder}/{name}/unet")
    before, after = base.state_dict(), tuned.state_dict()

    out = f"{folder}/kohya.safetensors"
    extract(lathe, f"{folder}/base", f"{folder}/tuned", "-o", out, "--rank", "4", "--dtype", "f32")
    file = load_file(out)
    used = set()
    for name, weight in before.items():
        module, kind = name.rsplit(".", 1)
        module = "lora_unet_" + module.replace(".", "_")
        key = module + (".diff_b" if kind == "bias" else ".diff")
        if key in file and (kind == "bias" or weight.ndim == 1):
            used.add(key)
            close(weight + file[key], weight, after[name], name)
            continue
        up, down = file[module + ".lora_up.weight"], file[module + ".lora_down.weight"]
        used |= {module + e for e in (".lora_up.weight", ".lora_down.weight", ".alpha")}
        scale = float(file[module + ".alpha"]) / down.shape[0]
        close(weight + scale * (up.flatten(1) @ down.flatten(1)).reshape(weight.shape), weight, after[name], name)
    assert used == set(file)

    # Vectors have no place in diffusers' format: the tool says so and ends with 2.
    out = f"{folder}/diffusers.safetensors"
    run = subprocess.run(
        [lathe, "extract", f"{folder}/base", f"{folder}/tuned", "-o", out, "--rank", "4", "--dtype", "f32",
         "--format", "diffusers", "--json"], capture_output=True, text=True)
    assert run.returncode == 2, run.stderr
    assert len(json.loads(run.stdout)["skipped"]) == sum(w.ndim == 1 for w in before.values())
    model = UNet2DConditionModel.from_pretrained(f"{folder}/base/unet")
    model.load_lora_adapter(load_file(out), prefix="unet")
    model.fuse_lora()
    model.unload_lora()
    for name, weight in model.state_dict().items():
        if weight.ndim >= 2:
            close(weight, before[name], after[name], name)


def peft_client(lathe, folder):
    torch.manual_seed(2)
    base = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=100, n_positions=16))
    tuned = changed(base)
    base.save_pretrained(f"{folder}/gpt-base")
    tuned.save_pretrained(f"{folder}/gpt-tuned")
    out = f"{folder}/gpt-adapter"
    extract(lathe, f"{folder}/gpt-base", f"{folder}/gpt-tuned", "-o", out, "--rank", "4", "--dtype", "f32")
    merged = PeftModel.from_pretrained(GPT2LMHeadModel.from_pretrained(f"{folder}/gpt-base"), out).merge_and_unload()
    before, after = base.state_dict(), tuned.state_dict()
    count = 0
    for name, weight in merged.state_dict().items():
        if torch.equal(before[name], after[name]):
            assert torch.equal(weight, before[name]), name
        else:
            count += 1
            close(weight, before[name], after[name], name)
    assert count == 8, count


if __name__ == "__main__":
    golden()
    with tempfile.TemporaryDirectory() as folder:
        diffusers_client(sys.argv[1], folder)
        peft_client(sys.argv[1], folder)
    print("all clients give the tuned weights back")
