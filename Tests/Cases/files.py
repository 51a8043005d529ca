"""Small files for cases: random numbers, pairs of factors, PEFT folders, bases of language models."""

import json
import os

import numpy as np
from safetensors.numpy import load_file, save_file

random = np.random.default_rng(0)
PEFT, Q = "base_model.model.", "model.layers.0.self_attn.q_proj"


def numbers(*shape, scale=1.0):
    return (scale * random.standard_normal(shape)).astype(np.float32)


def pair(name, inputs=32, outputs=32, rank=4, prefix=PEFT):
    """Factors of one target under PEFT's names."""
    return {f"{prefix}{name}.lora_A.weight": numbers(rank, inputs), f"{prefix}{name}.lora_B.weight": numbers(outputs, rank)}


def kohya(name, down, up, alpha):
    """Factors of one target under kohya's names."""
    return {
        f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": np.array(alpha, np.float32),
    }  # fmt: skip


def peft_folder(folder, tensors, **configuration):
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, f"{folder}/adapter_model.safetensors")
    usual = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    with open(f"{folder}/adapter_config.json", "w") as file:
        json.dump(usual | configuration, file)


def language_model(folder, tensors, **configuration):
    os.makedirs(folder, exist_ok=True)
    save_file(tensors, f"{folder}/model.safetensors")
    with open(f"{folder}/config.json", "w") as file:
        json.dump({"model_type": "llama"} | configuration, file)


def share(change, whole):
    """How much of `whole` is in `change`: 1 for all of it."""
    change, whole = np.asarray(change, float), np.asarray(whole, float)
    return float((change * whole).sum() / (whole * whole).sum())
