"""Files that are not what they seem: pointers, and adapters of other programs."""

import json
import os
import pathlib
import struct

import numpy as np

from cases import case
from files import PEFT, Q, language_model, load_file, numbers, pair, peft_folder, save_file

GOLDENS = pathlib.Path(__file__).resolve().parents[1] / "Goldens" / "llamacpp"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "ab" * 32 + "\nsize 19210776\n"


def gguf(path, texts, tensors):
    """A file of texts and single-precision tensors."""

    def text(value):
        return struct.pack("<Q", len(value)) + value.encode()

    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(texts))
    for key, value in texts.items():
        head += text(key) + struct.pack("<I", 8) + text(value)
    place = 0
    for name, values in tensors.items():
        head += text(name) + struct.pack(f"<I{values.ndim}QIQ", values.ndim, *values.shape[::-1], 0, place)
        place += values.nbytes + -values.nbytes % 32
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32))
        for values in tensors.values():
            file.write(values.tobytes() + bytes(-values.nbytes % 32))


@case("a Git LFS pointer is named as one, whatever it is called")
def pointers(place):
    language_model("base", {Q + ".weight": numbers(32, 32)})
    for name in ("a.safetensors", "a.bin", "a.pt", "a.ckpt", "a.gguf"):
        with open(name, "w") as file:
            file.write(POINTER)
        place.run("inspect", name).expect(65, name, "Git LFS pointer")
        place.run("check", "adapter", name).expect(66)
        peft_folder("adapter", pair(Q))
        place.run("check", "adapter", name).expect(65, name, "Git LFS pointer")
        os.rename("adapter", "adapter." + name)
    os.rename("adapter.a.gguf", "adapter")
    for name in ("adapter/adapter_config.json", "base/config.json"):
        with open(name, "w") as file:
            file.write(POINTER)
        place.run("check", "adapter", "base").expect(65, "Git LFS pointer")
        peft_folder("adapter", pair(Q))


def dense(folder, name, scale):
    """The delta of a target of PEFT's."""
    tensors = load_file(f"{folder}/adapter_model.safetensors")
    return scale * tensors[f"{PEFT}{name}.lora_B.weight"].astype(float) @ tensors[f"{PEFT}{name}.lora_A.weight"]


@case("an adapter of mlx-lm is read as the PEFT adapter that says the same")
def mlx(place):
    os.makedirs("mlx")
    other, a, b = Q.replace("q_", "v_"), numbers(32, 8), numbers(8, 32)
    save_file({Q + ".lora_a": a, Q + ".lora_b": b, other + ".lora_a": numbers(32, 8), other + ".lora_b": numbers(8, 32)},
              "mlx/adapters.safetensors")  # fmt: skip
    settings = {"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0}}
    with open("mlx/adapter_config.json", "w") as file:
        json.dump(settings, file)
    base = {f"{name}.weight": numbers(32, 32) for name in (Q, other)} | {"model.embed_tokens.weight": numbers(50, 32)}
    language_model("base", base)
    delta = 20 * b.T.astype(float) @ a.T
    for number, path in enumerate(("mlx", "mlx/adapters.safetensors")):
        place.run("inspect", path).expect(0, "mlx-lm", "none found")
        place.run("convert", path, "--to", "peft", "-o", f"peft{number}").expect(0)
        with open(f"peft{number}/adapter_config.json") as file:
            fields = json.load(file)
        assert np.allclose(dense(f"peft{number}", Q, fields["lora_alpha"] / fields["r"]), delta, atol=1e-4)
        place.run("bake", "base", path, "-o", f"baked{number}").expect(0)
        found = load_file(f"baked{number}/model.safetensors")[Q + ".weight"]
        assert np.allclose(found, base[Q + ".weight"] + delta, atol=1e-3)
    # What has no scale, and what has no factors, is refused by name.
    with open("mlx/adapter_config.json", "w") as file:
        json.dump({"fine_tune_type": "lora"}, file)
    place.run("inspect", "mlx").expect(65, "lora_parameters", "scale")
    with open("mlx/adapter_config.json", "w") as file:
        json.dump(settings, file)
    save_file({Q + ".lora_a": numbers(2, 32, 8), Q + ".lora_b": numbers(2, 8, 32)}, "mlx/adapters.safetensors")
    place.run("inspect", "mlx").expect(65, "lora_a", "expected a matrix")


@case("a DoRA of mlx-lm is one")
def mlx_dora(place):
    os.makedirs("mlx")
    a, b, m, weight = numbers(32, 4), numbers(4, 32), numbers(32) ** 2 + 1, numbers(32, 32)
    save_file({Q + ".lora_a": a, Q + ".lora_b": b, Q + ".m": m}, "mlx/adapters.safetensors")
    with open("mlx/adapter_config.json", "w") as file:
        json.dump({"fine_tune_type": "dora", "lora_parameters": {"rank": 4, "scale": 0.5, "dropout": 0.0}}, file)
    language_model("base", {Q + ".weight": weight, "model.embed_tokens.weight": numbers(50, 32)})
    place.run("bake", "base", "mlx", "-o", "baked").expect(0)
    summed = weight.astype(float) + 0.5 * b.T @ a.T
    right = m[:, None] / np.linalg.norm(summed, axis=1, keepdims=True) * summed
    assert np.allclose(load_file("baked/model.safetensors")[Q + ".weight"], right, atol=1e-5)


@case("an adapter of llama.cpp is read under transformers' names, with queries and keys in the model's own order")
def llama(place):
    down, up, other = numbers(4, 32), numbers(32, 4), Q.replace("q_", "v_")
    heads, texts = 4, {"general.type": "adapter", "adapter.type": "lora"}
    # llama.cpp interleaves the halves of each head.
    mixed = up.reshape(heads, 2, 4, 4).swapaxes(1, 2).reshape(32, 4)
    tensors = {
        "blk.0.attn_q.weight.lora_a": down, "blk.0.attn_q.weight.lora_b": mixed,
        "blk.0.attn_v.weight.lora_a": down, "blk.0.attn_v.weight.lora_b": up}  # fmt: skip
    base = {f"{name}.weight": numbers(32, 32) for name in (Q, other)} | {"model.embed_tokens.weight": numbers(50, 32)}
    language_model("base", base, num_attention_heads=heads, num_key_value_heads=heads)
    language_model("silent", base)
    for architecture in ("llama", "qwen3"):
        gguf(f"{architecture}.gguf", texts | {"general.architecture": architecture}, tensors)
        place.run("inspect", f"{architecture}.gguf").expect(0, "llama.cpp", "2:")
        place.run("bake", "base", f"{architecture}.gguf", "-o", architecture).expect(0)
        found = load_file(f"{architecture}/model.safetensors")
        right = {Q: (up if architecture == "llama" else mixed) @ down, other: up @ down}
        for name, delta in right.items():
            assert np.allclose(found[name + ".weight"], base[name + ".weight"] + delta, atol=1e-4), (architecture, name)
    place.run("spectrum", "qwen3.gguf").expect(0)
    place.run("spectrum", "llama.gguf").expect(65, "--base")
    place.run("spectrum", "llama.gguf", "--base", "base").expect(0)
    place.run("bake", "silent", "llama.gguf", "-o", "x").expect(65, "heads")
    gguf("odd.gguf", texts | {"general.architecture": "flux"}, tensors)
    place.run("inspect", "odd.gguf").expect(65, "architecture flux", "qwen3")
    gguf("name.gguf", texts | {"general.architecture": "qwen3"}, tensors | {"blk.0.odd.weight.lora_a": down})
    place.run("bake", "base", "name.gguf", "-o", "x").expect(65, "blk.0.odd.weight.lora_a")
    peft_folder("adapter", pair(Q))
    place.run("check", "adapter", "qwen3.gguf").expect(65, "llama.cpp")
    gguf("model.gguf", {"general.architecture": "flux"}, {"double_blocks.0.img_attn.qkv.weight": numbers(8, 32)})
    place.run("inspect", "model.gguf").expect(65, "the weights of a model in GGUF")


@case("adapters that llama.cpp's own script made of PEFT's are baked as those are")
def converted(place):
    kinds = sorted(file.stem for file in GOLDENS.glob("*.gguf"))
    assert len(kinds) >= 10, kinds
    for kind in kinds:
        base, baked = str(GOLDENS / kind / "base"), []
        for number, adapter in enumerate((f"{GOLDENS / kind}.gguf", GOLDENS / kind / "adapter")):
            output = f"{kind}{number}"
            place.run("bake", base, adapter, "-o", output).expect(0)
            baked.append(load_file(f"{output}/model.safetensors"))
        before = load_file(f"{base}/model.safetensors")
        assert sum(not np.array_equal(before[name], baked[0][name]) for name in before) >= 4, kind
        for name in before:
            assert np.abs(baked[0][name] - baked[1][name]).max() < 1e-6, f"{kind}: {name}"


@case("PEFT's types that cannot be read are refused by name, with the reason")
def refused(place):
    for kind, tensors, words in (
        ("WAVEFT", {"waveft_spectrum": numbers(10)}, ["waveft", "random generator"]),
        ("PSOFT", {"psoft_R.weight": numbers(6)}, ["psoft", "decomposition"]),
        ("PEANUT", {"peanut_A.weight": numbers(8, 4)}, ["peanut", "network of the weights"]),
    ):
        peft_folder(kind, {f"{PEFT}{Q}.{name}": tensor for name, tensor in tensors.items()}, peft_type=kind)
        place.run("inspect", kind).expect(0, *words)
        place.run("resize", kind, "--rank", 2, "-o", "x").expect(65, kind, *words)
    peft_folder("PROMPT_TUNING", {"prompt_embeddings": numbers(8, 32)}, peft_type="PROMPT_TUNING")
    place.run("resize", "PROMPT_TUNING", "--rank", 2, "-o", "x").expect(65, "prompt tuning", "words before the prompt")
    peft_folder("ODD", pair(Q), peft_type="ODD")
    place.run("resize", "ODD", "--rank", 2, "-o", "x").expect(65, "peft_type ODD")
