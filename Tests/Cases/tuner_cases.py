"""PEFT's smaller types, measured, cut, merged and turned into LoRA, compared with what PEFT itself makes of the results."""

import json

import numpy as np
import peft
import torch
import transformers

from cases import case
from files import load_file, save_file
from peft_cases import llama, train, weights

transformers.utils.logging.set_verbosity_error()

# What has factors without a base, and what needs one to be told how large the weight is.
PLAIN = {
    "delora": lambda: peft.DeloraConfig(r=3, target_modules=["q_proj", "down_proj"], delora_lambda=3),
    "gralora": lambda: peft.GraloraConfig(r=4, gralora_k=2, hybrid_r=1, alpha=5, target_modules=["q_proj", "down_proj"]),
    "c3a": lambda: peft.C3AConfig(block_size=8, target_modules=["q_proj", "down_proj"]),
}  # fmt: skip
SIZED = {
    "miss": lambda: peft.MissConfig(r=4, target_modules=["q_proj", "down_proj"]),
    "mini": lambda: peft.MissConfig(r=4, init_weights="mini", mini_r=4, target_modules=["q_proj", "down_proj"]),
}


def loaded(base, folder):
    """What PEFT makes of an adapter on a base."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    found = peft.PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()
    return {name: tensor.double().numpy() for name, tensor in found.items()}


def check(found, base, right, limit):
    """Deltas within a share of their size."""
    for name, weight in right.items():
        change = np.linalg.norm(weight - base[name])
        error = np.linalg.norm(found[name] - weight)
        assert error <= limit * change + 1e-6, f"{name}: {error / max(change, 1e-9)}"


@case("types whose deltas have factors are cut, merged and converted, and PEFT makes of the LoRA what it makes of them")
def factors(place):
    for name, config in (PLAIN | SIZED).items():
        train(name, llama(), config())
        base, right, needs = weights(f"{name}-base"), weights(f"{name}-merged"), name in SIZED
        option = ["--base", f"{name}-base"] if needs else []
        if needs:
            place.run("spectrum", name).expect(65, "--base")
        place.run("spectrum", name, *option).expect(0)
        place.run("compare", name, name, *option).expect(0)
        commands = [["resize", name, "--max-error", "1e-6"], ["merge", name], ["convert", name, "--to", "peft"]]
        for command in commands[:2] if needs else commands:
            output = f"{name}-{command[0]}"
            place.run(*command, *option, "-o", output).expect(0)
            with open(f"{output}/adapter_config.json") as file:
                assert json.load(file)["peft_type"] == "LORA"
            check(loaded(f"{name}-base", output), base, right, 2e-5)
        place.run("merge", f"{name}@0.5", f"{name}@0.25", *option, "-o", f"{name}-sum").expect(0)
        part = {key: base[key] + 0.75 * (right[key] - base[key]) for key in base}
        check(loaded(f"{name}-base", f"{name}-sum"), base, part, 2e-5)
        place.run("resize", name, "--rank", 1, *option, "-o", f"{name}-1").expect(0)


@case("a zero factor, a rank above the weight's and numbers that are none, in types of PEFT's")
def edges(place):
    train("a", llama(), PLAIN["delora"]())
    tensors = load_file("a/adapter_model.safetensors")
    up = next(name for name in tensors if name.endswith("delora_B"))
    for name, value in (("zero", 0.0), ("nan", np.nan), ("inf", np.inf)):
        (place.folder / name).mkdir()
        (place.folder / name / "adapter_config.json").write_bytes((place.folder / "a/adapter_config.json").read_bytes())
        save_file(tensors | {up: np.full_like(tensors[up], value)}, f"{name}/adapter_model.safetensors")
        wanted = 0 if name == "zero" else 65
        place.run("bake", "a-base", name, "-o", f"{name}-baked").expect(wanted)
        place.run("resize", name, "--rank", 2, "-o", f"{name}-2").expect(wanted)
    train("wide", llama(), peft.DeloraConfig(r=40, target_modules=["q_proj"]))
    place.run("bake", "wide-base", "wide", "-o", "wide-baked").expect(0)
    check(weights("wide-baked"), weights("wide-base"), weights("wide-merged"), 1e-4)
    place.run("resize", "wide", "--rank", 64, "-o", "wide-64").expect(0)
