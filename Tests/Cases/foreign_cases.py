"""Files that are not what they seem: pointers, and adapters of other programs."""

import json
import os
import struct

from safetensors.numpy import save_file

from cases import case
from files import Q, language_model, numbers, pair, peft_folder

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


@case("an adapter of MLX is named as one")
def mlx(place):
    os.makedirs("mlx")
    save_file({Q + ".lora_a": numbers(32, 8), Q + ".lora_b": numbers(8, 32)}, "mlx/adapters.safetensors")
    with open("mlx/adapter_config.json", "w") as file:
        json.dump({"fine_tune_type": "lora", "lora_parameters": {"rank": 8, "scale": 20.0, "dropout": 0.0}}, file)
    for path in ("mlx", "mlx/adapters.safetensors"):
        place.run("inspect", path).expect(65, "MLX")
        place.run("resize", path, "--rank", 2, "-o", "out").expect(65, "MLX")


@case("an adapter of llama.cpp is named as one, as an adapter and as a base")
def llama(place):
    gguf("a.gguf", {"general.type": "adapter", "adapter.type": "lora"}, {
        "blk.0.attn_q.weight.lora_a": numbers(8, 32), "blk.0.attn_q.weight.lora_b": numbers(32, 8)})  # fmt: skip
    peft_folder("adapter", pair(Q))
    place.run("inspect", "a.gguf").expect(65, "llama.cpp")
    place.run("check", "adapter", "a.gguf").expect(65, "llama.cpp")
    gguf("model.gguf", {"general.architecture": "flux"}, {"double_blocks.0.img_attn.qkv.weight": numbers(8, 32)})
    place.run("inspect", "model.gguf").expect(65, "the weights of a model in GGUF")
