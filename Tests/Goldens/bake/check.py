"""Does `lathe bake` give what diffusers and PEFT fuse, at real sizes and with real adapters?

    OMP_NUM_THREADS=2 python check.py LATHE ADAPTERS_DIR WORK_DIR

Not run by the tests: it builds bases of several gigabytes in WORK_DIR (SD1.5's UNet and four blocks of Flux.1 at full
width, GPT-2 small), with random weights, and removes every output after comparing it. Each adapter is baked twice: into
the half-precision base as it is, and with `--dtype f32`, where the library starts from the same base widened to float32.

What must hold (the script stops with 1 otherwise, after printing all rows)
    - Every element is base + strength * delta, computed here in float64, but for one rounding (see Columns).
    - float32: no element further from the library's than 2 ** -22 of the largest of its weight.
    - half precision: no element further from the library's than the library's own roundings (of factors, delta and sum)
      explain.
    - Weights that no target names are the base's, byte for byte, in both.
    - The library changed as many weights as the adapter has targets: none was skipped.

Columns: weights changed, elements that differ from the library's (of those in changed weights), the largest distance
from the library relative to the largest element of the weight, and the largest distance from float64 relative to what
one rounding explains: half a unit of the last place of the format, and what sums of float32 terms may err by.

Library versions: as make.py.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
import transformers
from safetensors import safe_open
from safetensors.torch import save_file

STRENGTH = 0.7


def random_(module, seed):
    """Weights of the size that trained ones have; random, and the same each time."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator).mul_(0.05).to(parameter.dtype)


def write_folder(path, network, file, module, config):
    (path / network).mkdir(parents=True, exist_ok=True)
    state = {name: value.contiguous() for name, value in module.state_dict().items()}
    save_file(state, path / network / file, metadata={"format": "pt"})
    (path / network / "config.json").write_text(json.dumps(config))
    if network:
        (path / "model_index.json").write_text(json.dumps({"_class_name": "DiffusionPipeline"}))


class StableDiffusion:
    name, dtype, network, file = "sd15", torch.float16, "unet", "diffusion_pytorch_model.safetensors"

    def module(self):
        from diffusers import UNet2DConditionModel

        with torch.device("meta"):
            unet = UNet2DConditionModel(
                sample_size=64, in_channels=4, out_channels=4, layers_per_block=2, norm_num_groups=32,
                block_out_channels=(320, 640, 1280, 1280), cross_attention_dim=768, attention_head_dim=8,
                down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
                up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            )  # fmt: skip
        return unet

    config = {"_class_name": "UNet2DConditionModel"}

    def fuse(self, module, adapter):
        oldest = "processor_style" in adapter.name
        module.load_lora_adapter(
            str(adapter.parent), weight_name=adapter.name, prefix=None if oldest else "unet", adapter_name="a"
        )
        module.set_adapters(["a"], [STRENGTH])
        module.fuse_lora(adapter_names=["a"])
        return module


class Flux:
    name, dtype, network, file = "flux", torch.bfloat16, "transformer", "diffusion_pytorch_model.safetensors"
    config = {"_class_name": "FluxTransformer2DModel"}

    def module(self):
        from diffusers import FluxTransformer2DModel

        with torch.device("meta"):
            transformer = FluxTransformer2DModel(num_layers=1, num_single_layers=21, guidance_embeds=True)
        # Of the single blocks only those that the adapter speaks of.
        for place in range(21):
            if place not in (7, 12, 16, 20):
                transformer.single_transformer_blocks[place] = torch.nn.Module()
        return transformer

    def fuse(self, module, adapter):
        module.load_lora_adapter(
            str(adapter.parent), weight_name=adapter.name, prefix="transformer", adapter_name="a"
        )
        module.set_adapters(["a"], [STRENGTH])
        module.fuse_lora(adapter_names=["a"])
        return module


class GPT2:
    name, dtype, network, file = "gpt2", torch.float16, "", "model.safetensors"
    config = {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}

    def module(self):
        from transformers import GPT2Config, GPT2LMHeadModel

        with torch.device("meta"):
            return GPT2LMHeadModel(GPT2Config()).transformer

    def fuse(self, module, adapter):
        from peft import PeftModel
        from peft.tuners.lora import LoraLayer

        model = PeftModel.from_pretrained(self.headed(module), adapter)
        for layer in model.modules():
            if isinstance(layer, LoraLayer):
                layer.scaling = {name: scale * STRENGTH for name, scale in layer.scaling.items()}
        return model.merge_and_unload().transformer

    def headed(self, module):
        """The adapter was trained on the model with its head."""
        from transformers import GPT2Config, GPT2LMHeadModel

        with torch.device("meta"):
            whole = GPT2LMHeadModel(GPT2Config())
        whole.transformer = module
        whole.lm_head.weight = module.wte.weight
        return whole


def filled(base, dtype):
    module = base.module()
    module.to_empty(device="cpu")
    torch.nn.Module.to(module, base.dtype)
    random_(module, 1)
    return torch.nn.Module.to(module, dtype).eval().requires_grad_(False)


def updates(adapter, names):
    """Weight's name -> float64 update, by the plain formula, and what float32 sums may err by, in units of roundoff."""
    if adapter.is_dir():
        config = json.loads((adapter / "adapter_config.json").read_text())
        scale, transposed = config["lora_alpha"] / config["r"], config["fan_in_fan_out"]
        adapter = adapter / "adapter_model.safetensors"
    else:
        scale, transposed = 1.0, False
    found = {}
    with safe_open(adapter, "pt") as file:
        for key in file.keys():
            for down, up in [("_lora.down", "_lora.up"), (".lora.down", ".lora.up"), (".lora_A", ".lora_B")]:
                if not key.endswith(f"{down}.weight"):
                    continue
                name = key.removesuffix(f"{down}.weight").replace(".processor.", ".")
                if name.endswith(".to_out"):
                    name += ".0"
                for prefix in ("unet.", "transformer.", "base_model.model.transformer."):
                    name = name.removeprefix(prefix)
                a, b = (file.get_tensor(k).to(torch.float64) for k in (key, key.replace(down, up)))
                # The update, and its terms without their signs as often as an unlucky sum rounds.
                pair = [scale * (b @ a), (a.shape[0] + 3) * scale * (b.abs() @ a.abs())]
                found[name + ".weight"] = [p.T for p in pair] if transposed else pair
                break
    assert found.keys() <= set(names), sorted(found.keys() - set(names))[:4]
    return found


def ulp(values, dtype):
    """The distance to the next number of the format, for each value."""
    info = torch.finfo(dtype)
    _, exponent = torch.frexp(values.abs().clamp_min(info.tiny).to(torch.float64))
    return info.eps * torch.exp2((exponent - 1).to(torch.float64))


def compare(label, base_state, library, output, wanted, dtype):
    changed, differing, elements, worst, rounding, faults = 0, 0, 0, 0.0, 0.0, []
    with safe_open(output, "pt") as file:
        if set(file.keys()) != set(base_state):
            faults.append(f"names: {sorted(set(file.keys()) ^ set(base_state))[:4]}")
        for name, base in base_state.items():
            ours, theirs = file.get_tensor(name), library[name]
            if ours.dtype != dtype or ours.shape != base.shape:
                faults.append(f"{name}: {ours.dtype} {tuple(ours.shape)}")
                continue
            if name not in wanted:
                if not torch.equal(ours, base.to(dtype)) or not torch.equal(theirs, base.to(dtype)):
                    faults.append(f"{name}: changed without a target")
                continue
            if torch.equal(theirs, base.to(dtype)):
                faults.append(f"{name}: the library skipped it")
            changed += 1
            delta, size = (STRENGTH * w.reshape(base.shape) for w in wanted[name])
            exact = base.to(torch.float64) + delta
            step = ulp(exact, dtype)
            gap = (ours.to(torch.float64) - theirs.to(torch.float64)).abs()
            own = (ours.to(torch.float64) - exact).abs()
            elements += ours.numel()
            differing += int((ours != theirs).sum())
            worst = max(worst, (gap.max() / exact.abs().max()).item())
            # Half a unit of the last place, and float32 arithmetic on the way there.
            may = step / 2 + 2**-24 * (base.to(torch.float64).abs() + size)
            rounding = max(rounding, (own / may).max().item())
            if not bool((own <= may).all()):
                faults.append(f"{name}: {(own / may).max():.4f} roundings from float64")
            if dtype == torch.float32:
                if not gap.max() <= 2**-22 * exact.abs().max():
                    faults.append(f"{name}: {gap.max():.3e} from the library")
            else:
                eps = torch.finfo(dtype).eps
                theirs_may = step + eps * delta.abs() + eps * size + torch.finfo(dtype).tiny * eps * 64
                if not bool((gap <= theirs_may + may).all()):
                    faults.append(f"{name}: {(gap / step).max():.3f} units from the library")
    if changed != len(wanted):
        faults.append(f"{changed} weights changed of {len(wanted)}")
    print(
        f"{label:44} {changed:4} {differing:9} of {elements:9} {worst:9.2e} {rounding:9.6f}"
        + (f"  WRONG: {faults[:3]} ({len(faults)})" if faults else ""),
        flush=True,
    )
    return not faults


def main():
    parser = argparse.ArgumentParser(description="Compare `lathe bake` with diffusers and PEFT at real sizes.")
    parser.add_argument("lathe", type=pathlib.Path)
    parser.add_argument("adapters", type=pathlib.Path)
    parser.add_argument("work", type=pathlib.Path)
    options = parser.parse_args()
    transformers.utils.logging.set_verbosity_error()
    options.work.mkdir(parents=True, exist_ok=True)
    good = True
    for base, files in [
        (GPT2(), ["gpt2_peft_rank8"]),
        (Flux(), ["flux_partial_rank16.safetensors"]),
        (StableDiffusion(), [f"sd15_diffusers_{n}.safetensors" for n in ("pokemon", "unet_prefix", "processor_style")]),
    ]:
        path = options.work / base.name
        module = filled(base, base.dtype)
        base_state = {name: value.clone() for name, value in module.state_dict().items()}
        write_folder(path, base.network, base.file, module, base.config)
        del module
        for file in files:
            adapter = options.adapters / file
            wanted = updates(adapter, list(base_state))
            for dtype, extra in [(base.dtype, []), (torch.float32, ["--dtype", "f32"])]:
                out = options.work / "out"
                shutil.rmtree(out, ignore_errors=True)
                arguments = [options.lathe, "bake", path, f"{adapter}@{STRENGTH}", "-o", out, "--quiet", *extra]
                started = time.monotonic()
                run = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, check=False)
                seconds = time.monotonic() - started
                label = f"{file.removesuffix('.safetensors')}, {str(dtype).removeprefix('torch.')}, {seconds:.1f} s"
                if run.returncode != 0:
                    print(f"{label}: ended with {run.returncode}: {run.stderr.strip()}")
                    good = False
                    continue
                fused = base.fuse(filled(base, dtype), adapter)
                library = {
                    name.replace(".base_layer.", "."): value
                    for name, value in fused.state_dict().items()
                    if ".lora_" not in name
                }
                good = compare(label, base_state, library, out / base.network / base.file, wanted, dtype) and good
                del fused, library
        shutil.rmtree(path)
        shutil.rmtree(options.work / "out", ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
