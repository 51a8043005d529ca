"""Adapters of llama.cpp, made by its own script of adapters that PEFT saved.

    python make.py LLAMA.CPP      a checkout of llama.cpp; tensors of language models with tiny configurations

What it makes (beside this script), for each kind of model that `LlamaCppNames` knows
    <kind>/base       config.json, and of the weights those that the adapter changes
    <kind>/adapter    PEFT's folder, with random numbers
    <kind>.gguf       the same adapter, by convert_lora_to_gguf.py
    versions.json

The script reads nothing but the base's config.json.
"""

import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version

import peft
import torch
import transformers
from safetensors.torch import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
SMALL = dict(
    hidden_size=16, intermediate_size=12, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=20,
    max_position_embeddings=32)  # fmt: skip
USUAL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
KINDS = {
    "llama": ("Llama", {}, USUAL), "mistral": ("Mistral", {}, USUAL), "granite": ("Granite", {}, USUAL),
    "smollm3": ("SmolLM3", {"pad_token_id": 0}, USUAL), "qwen2": ("Qwen2", {}, USUAL),
    "qwen3": ("Qwen3", {"head_dim": 4}, USUAL),
    "qwen3moe": ("Qwen3Moe", {"head_dim": 4, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 8}, USUAL[:4]),
    "mixtral": ("Mixtral", {"num_local_experts": 2}, USUAL[:4]),
    "gemma": ("Gemma", {"head_dim": 4}, USUAL), "gemma2": ("Gemma2", {"head_dim": 4}, USUAL),
    "gemma3": ("Gemma3", {"head_dim": 4}, USUAL), "olmo2": ("Olmo2", {}, USUAL), "cohere2": ("Cohere2", {"pad_token_id": 0}, USUAL),
    "phi3": ("Phi3", {"pad_token_id": 0, "original_max_position_embeddings": 32}, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]),
    "gpt-oss": ("GptOss", {"head_dim": 4, "num_local_experts": 2, "num_experts_per_tok": 1}, USUAL[:4]),
}  # fmt: skip


def main(llama):
    made = []
    for number, (kind, (name, settings, modules)) in enumerate(KINDS.items()):
        torch.manual_seed(number)
        text = "Gemma3Text" if name == "Gemma3" else name
        config = getattr(transformers, text + "Config")(**SMALL | settings)
        model = getattr(transformers, name + "ForCausalLM")(config)
        base, folder = f"{HERE}/{kind}/base", f"{HERE}/{kind}/adapter"
        shutil.rmtree(f"{HERE}/{kind}", ignore_errors=True)
        model.save_pretrained(base)
        adapted = peft.get_peft_model(model, peft.LoraConfig(
            r=2, lora_alpha=3, target_modules=modules + (["embed_tokens"] if kind in ("llama", "qwen3") else [])))  # fmt: skip
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.copy_(torch.randn_like(parameter) * 0.3)
        adapted.save_pretrained(folder)
        os.remove(f"{folder}/README.md")
        done = subprocess.run(
            [sys.executable, "convert_lora_to_gguf.py", "--base", base, "--outfile", f"{HERE}/{kind}.gguf", folder],
            cwd=llama, capture_output=True, text=True)  # fmt: skip
        if done.returncode != 0:
            print(kind, "llama.cpp refuses:", done.stderr.strip().splitlines()[-1])
            shutil.rmtree(f"{HERE}/{kind}")
            continue
        with open(f"{folder}/adapter_config.json") as file:
            fields = json.load(file)
        fields["target_modules"] = sorted(fields["target_modules"])
        fields["base_model_name_or_path"] = None
        with open(f"{folder}/adapter_config.json", "w") as file:
            json.dump({key: fields[key] for key in sorted(fields)}, file, indent=1)
        # The adapter's weights, as far as the base has them.
        weights = load_file(f"{base}/model.safetensors")
        kept = {key: value for key, value in weights.items() if any(f".{module}." in key for module in modules + ["embed_tokens"])}
        save_file(kept, f"{base}/model.safetensors")
        if os.path.exists(f"{base}/generation_config.json"):
            os.remove(f"{base}/generation_config.json")
        made.append(kind)
        print(kind)
    with open(f"{HERE}/versions.json", "w") as file:
        json.dump({"kinds": made, "llama.cpp": "as in llama-cpp-python 0.3.36", **{
            name: version(name) for name in ("peft", "torch", "transformers", "safetensors", "gguf")}}, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main(sys.argv[1])
