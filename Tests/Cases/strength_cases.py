"""Strengths of what is put in the base's place: whole modules, biases."""

import json

import numpy as np

from cases import case
from files import PEFT, Q, language_model, load_file, numbers, pair, peft_folder, share

STRENGTHS = ("0.25", "1", "2", "-1")


def folders():
    base = {
        "model.embed_tokens.weight": numbers(50, 32), f"{Q}.weight": numbers(32, 32), f"{Q}.bias": numbers(32),
        "lm_head.weight": numbers(50, 32),
    }  # fmt: skip
    language_model("base", base)
    bias, head = numbers(32), numbers(50, 32)
    peft_folder("bias", pair(Q) | {f"{PEFT}{Q}.base_layer.bias": bias}, bias="lora_only")
    peft_folder("head", pair(Q) | {f"{PEFT}lm_head.weight": head}, modules_to_save=["lm_head"])
    return base, {"bias": (f"{Q}.bias", bias), "head": ("lm_head.weight", head)}


@case("a bake takes the strength's share of whole modules and biases")
def baked_share(place):
    base, values = folders()
    for adapter, (name, value) in values.items():
        change = value - base[name]
        for strength in STRENGTHS:
            place.run("bake", "base", f"{adapter}@{strength}", "-o", f"{adapter}{strength}").expect(0)
            found = load_file(f"{adapter}{strength}/model.safetensors")[name] - base[name]
            assert abs(share(found, change) - float(strength)) < 1e-5, f"{adapter}@{strength}: {share(found, change)}"
            assert np.allclose(found, float(strength) * change, atol=1e-5)


@case("programs that put modules in whole can be asked for (--compat)")
def whole_by_rule(place):
    base, values = folders()
    for rule in ("peft", "comfy"):
        place.run("bake", "base", "head@0.25", "-o", rule, "--compat", rule).expect(0)
        name, value = values["head"]
        assert np.allclose(load_file(f"{rule}/model.safetensors")[name], value, atol=1e-5)


@case("merge, compare and bake mean the same strength of a bias")
def one_meaning(place):
    base, values = folders()
    place.run("merge", "bias@0.25", "--base", "base", "--format", "kohya", "-o", "m.safetensors").expect(0)
    merged = load_file("m.safetensors")
    name, value = values["bias"]
    found = next(merged[key] for key in merged if key.endswith("diff_b"))
    assert abs(share(found, value - base[name]) - 0.25) < 1e-5
    place.run("bake", "base", "m.safetensors", "-o", "merged").expect(0)
    place.run("bake", "base", "bias@0.25", "-o", "baked").expect(0)
    a, b = (load_file(f"{folder}/model.safetensors")[name] for folder in ("merged", "baked"))
    assert np.allclose(a, b, atol=1e-5)
    for adapter in values:
        run = place.run("compare", f"{adapter}@0.5", f"{adapter}@1", "--base", "base", "--json").expect(0)
        assert all(abs(target["norm_b"] / target["norm_a"] - 2) < 1e-9 for target in json.loads(run.output)["targets"])


@case("matrices that a model stores transposed are put in place as they are")
def transposed_module(place):
    name = "h.0.attn.c_proj.weight"
    base = {"wte.weight": numbers(50, 32), name: numbers(32, 32)}
    language_model("gpt2", base, model_type="gpt2")
    whole = numbers(32, 32)
    peft_folder("a", pair("transformer.h.0.attn.c_attn", 32, 96) | {f"{PEFT}transformer.{name}": whole})
    place.run("bake", "gpt2", "a", "-o", "out", "--allow-unmatched").expect(2)
    assert np.allclose(load_file("out/model.safetensors")[name], whole, atol=1e-5)
