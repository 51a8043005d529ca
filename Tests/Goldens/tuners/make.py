"""Folders of PEFT's smaller types, and the weights that PEFT makes of them.

What it makes (beside this script)
    base.safetensors          a small model's parameters, numbers of single precision
    <case>/                   adapter_config.json and adapter_model.safetensors, saved by PEFT with random numbers
    expected.safetensors      `<case>/<parameter>`: the parameters that merging changed, in double precision
    types.json                the versions, PEFT's name for the type of each case, and all types that this PEFT has

How it is measured
    The folder is read again over the base alone, everything is cast to double precision, and merge_and_unload gives the
    parameters. What casts to single precision inside is kept from it. BEFT merges into biases only.

How to run
    python make.py            half a minute; the same bytes each time with the same versions
"""

import contextlib
import json
import os
import shutil
import warnings
from copy import deepcopy
from importlib.metadata import version

import peft
import torch
from safetensors.torch import save_file
from torch import nn
from transformers.pytorch_utils import Conv1D

HERE = os.path.dirname(os.path.abspath(__file__))
LAYER = "model.layers.0"
LINEAR = [f"{LAYER}.self_attn.q_proj", f"{LAYER}.self_attn.o_proj", f"{LAYER}.mlp.up_proj"]
CONV1D, TABLE, KERNEL = "transformer.h.0.attn.c_attn", "model.embed_tokens", "down_blocks.0.resnets.0.conv1"
BIASED = [LINEAR[0], LINEAR[2]]

CASES = {
    "miss": ("MISS", LINEAR, dict(r=4)),
    "miss-uneven": ("MISS", LINEAR, dict(r=5)),
    "miss-rank-1": ("MISS", LINEAR, dict(r=1)),
    "miss-mini": ("MISS", LINEAR, dict(r=4, init_weights="mini", mini_r=2)),
    "miss-bat": ("MISS", LINEAR, dict(r=4, init_weights="bat")),
    "delora": ("DELORA", LINEAR, dict(r=3, delora_lambda=2)),
    "delora-rank-1": ("DELORA", LINEAR, dict(r=1)),
    "delora-wide": ("DELORA", LINEAR, dict(r=16)),
    "gralora": ("GRALORA", LINEAR, dict(r=4, gralora_k=2, alpha=3)),
    "gralora-hybrid": ("GRALORA", LINEAR, dict(r=2, gralora_k=2, hybrid_r=1, alpha=5)),
    "gralora-one": ("GRALORA", LINEAR, dict(r=2, gralora_k=1, alpha=5)),
    "gralora-turned": ("GRALORA", [CONV1D], dict(r=2, gralora_k=2, alpha=5, fan_in_fan_out=True)),
    "glora": ("GLORA", LINEAR, dict(r=2)),
    "glora-vector": ("GLORA", LINEAR, dict(r=2, config_A_B="vector", config_C="vector", config_D_E="vector")),
    "glora-constant": ("GLORA", LINEAR, dict(r=2, config_A_B="constant", config_C="none", config_D_E="constant")),
    "glora-none": ("GLORA", LINEAR, dict(r=2, config_A_B="none", config_C="vector", config_D_E="none")),
    "hira": ("HIRA", LINEAR, dict(r=2)),
    "hira-turned": ("HIRA", [CONV1D], dict(r=2, fan_in_fan_out=True)),
    "hira-table": ("HIRA", [TABLE], dict(r=2)),
    "hira-kernel": ("HIRA", [KERNEL], dict(r=2)),
    "road-1": ("ROAD", LINEAR, dict(variant="road_1", group_size=4)),
    "road-2": ("ROAD", LINEAR, dict(variant="road_2", group_size=2)),
    "road-4": ("ROAD", LINEAR, dict(variant="road_4", group_size=4)),
    "shira": ("SHIRA", LINEAR, dict(r=2, random_seed=3)),
    "supertuning": ("SUPERTUNING", LINEAR, dict(sparsity=0.8)),
    "supertuning-lora": ("SUPERTUNING", LINEAR, dict(sparsity=0.8, r=2, lora_alpha=3)),
    "c3a": ("C3A", LINEAR, dict(block_size=4)),
    "randlora": ("RANDLORA", LINEAR, dict(r=3, randlora_alpha=7)),
    "randlora-turned": ("RANDLORA", [CONV1D], dict(r=3, randlora_alpha=7, fan_in_fan_out=True)),
    "vblora": ("VBLORA", LINEAR, dict(r=2, num_vectors=6, vector_length=4, topk=3)),
    "vblora-few": ("VBLORA", LINEAR, dict(r=2, num_vectors=6, vector_length=4, topk=2, save_only_topk_weights=True)),
    "pvera": ("PVERA", LINEAR, dict(r=3)),
    "tinylora": ("TINYLORA", LINEAR, dict(r=2, u=5, weight_tying=1.0)),
    "beft": ("BEFT", BIASED, dict()),
    "bdlora": ("LORA", LINEAR, dict(r=4, lora_alpha=3, use_bdlora=peft.tuners.lora.BdLoraConfig(
        target_modules_bd_a=["o_proj"], target_modules_bd_b=["q_proj"], nblocks=2, match_strict=False))),
}


def numbers(generator, shape, deviation=0.5):
    return torch.randn(tuple(shape), generator=generator, dtype=torch.float32) * deviation


def model():
    """Modules under the names of language models and of one of diffusers."""
    layers = {
        LINEAR[0]: nn.Linear(12, 8), LINEAR[1]: nn.Linear(8, 12, bias=False), LINEAR[2]: nn.Linear(12, 12),
        CONV1D: Conv1D(8, 12), TABLE: nn.Embedding(10, 8), KERNEL: nn.Conv2d(4, 6, 3),
    }
    root, generator = nn.Module(), torch.Generator().manual_seed(1)
    for name, layer in layers.items():
        place = root
        *parents, last = name.split(".")
        for parent in parents:
            if parent not in place._modules:
                place.add_module(parent, nn.Module())
            place = getattr(place, parent)
        place.add_module(last, layer)
        with torch.no_grad():
            for parameter in layer.parameters():
                parameter.copy_(numbers(generator, parameter.shape))
    root.config = {}
    return root.requires_grad_(False)


@contextlib.contextmanager
def double_precision():
    """Casts to single precision inside of the library give double precision."""
    single, to = torch.Tensor.float, torch.Tensor.to
    torch.Tensor.float = lambda self, *_, **__: self.double()
    torch.Tensor.to = lambda self, *arguments, **named: to(
        self, *[torch.float64 if one is torch.float32 else one for one in arguments], **named)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.Tensor.float, torch.Tensor.to = single, to


def main():
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    save_file(model().state_dict(), f"{HERE}/base.safetensors")
    expected, types = {}, {}
    for number, (case, (kind, targets, settings)) in enumerate(CASES.items()):
        types[case] = kind
        torch.manual_seed(number)
        config = peft.mapping.PEFT_TYPE_TO_CONFIG_MAPPING[peft.PeftType[kind]](target_modules=targets, **settings)
        adapted = peft.get_peft_model(model(), config)
        generator = torch.Generator().manual_seed(100 + number)
        with torch.no_grad():
            for name, parameter in adapted.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(numbers(generator, parameter.shape, 0.4))
        folder = f"{HERE}/{case}"
        shutil.rmtree(folder, ignore_errors=True)
        adapted.save_pretrained(folder)
        os.remove(f"{folder}/README.md")
        with open(f"{folder}/adapter_config.json") as file:
            fields = json.load(file)
        # A set, in an order that is left to chance.
        fields["target_modules"] = sorted(fields["target_modules"])
        with open(f"{folder}/adapter_config.json", "w") as file:
            json.dump({name: fields[name] for name in sorted(fields)}, file, indent=1)
        before = model().double().state_dict()
        read = peft.PeftModel.from_pretrained(model(), folder).double()
        with double_precision():
            after = read.merge_and_unload().state_dict()
        changed = [name for name in before if not torch.equal(before[name], after[name])]
        assert changed, case
        for name in changed:
            assert after[name].dtype == torch.float64 and torch.isfinite(after[name]).all(), (case, name)
            expected[f"{case}/{name}"] = after[name].contiguous()
        print(case, len(changed))
    save_file(expected, f"{HERE}/expected.safetensors")
    with open(f"{HERE}/types.json", "w") as file:
        json.dump({
            "made_with": {name: version(name) for name in ("peft", "torch", "transformers", "safetensors")},
            "cases": types, "types": sorted(one.name for one in peft.PeftType),
        }, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
