#!/usr/bin/env python3
"""Makes hostile and broken files, and a list of them for verify.py. Standard library only; nothing is downloaded.

    python3 Tests/Hostile/make.py FOLDER [SEED]

Every file is broken by the way it is made, not by what a reader says of it: its container contradicts itself, its numbers
are not finite, it asks for more than it holds, or it is something else altogether.
"""
import json
import os
import random
import sys

import adapters
import checkpoints
import pickles
from containers import Tensor, numbers, safetensors

BASE = "model.diffusion_model.input_blocks."
ATTENTION = BASE + "1.1.transformer_blocks.0."
TARGET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn"


class Collection:
    """Files in a folder, each with what it is made to look like and how it is broken."""

    def __init__(self, folder, generator):
        self.folder, self.random, self.cases = folder, generator, []

    def path(self, name):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)

    def add(self, kind, name, data=None, role="adapter", code=65, target=None, needs_weights=False):
        """A case: `data` is written to `name`, unless it is there already; `target` is what the tool is given.

        needs_weights: whether the fault is in numbers that commands which only read headers never see.
        """
        target = target or f"{kind}/{name}"
        if data is not None:
            self.write(f"{kind}/{name}", data)
        assert target not in [case["file"] for case in self.cases], target
        self.cases.append({"kind": kind, "file": target, "role": role, "code": code, "needs_weights": needs_weights})

    # What good files hold.

    def tensor(self, name, dtype, shape):
        return Tensor(name, dtype, shape, numbers(self.random, dtype, shape))

    def adapter_tensors(self, dtype="F32"):
        tensors = []
        for target, rows, inputs in [("1_to_q", 8, 8), ("2_to_k", 8, 768)]:
            tensors.append(self.tensor(f"{TARGET}{target}.lora_up.weight", dtype, [rows, 2]))
            tensors.append(self.tensor(f"{TARGET}{target}.lora_down.weight", dtype, [2, inputs]))
            tensors.append(Tensor(f"{TARGET}{target}.alpha", "F32", [], b"\0\0\x80\x3f"))
        return tensors

    def base_tensors(self, dtype="F32"):
        return [
            self.tensor(BASE + "0.0.weight", dtype, [8, 4, 3, 3]),
            self.tensor(BASE + "1.0.in_layers.2.weight", dtype, [8, 8, 3, 3]),
            self.tensor(ATTENTION + "attn1.to_q.weight", dtype, [8, 8]),
            self.tensor(ATTENTION + "attn2.to_k.weight", dtype, [8, 768]),
        ]


def main():
    folder, seed = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 20261122
    print(f"seed {seed}")
    collection = Collection(folder, random.Random(seed))
    collection.write("good/adapter.safetensors", safetensors(collection.adapter_tensors(), {"ss_network_dim": "2"}))
    collection.write("good/base.safetensors", safetensors(collection.base_tensors()))
    adapters.make(collection)
    pickles.make(collection)
    checkpoints.make(collection)
    with open(collection.path("cases.json"), "w") as file:
        json.dump(collection.cases, file, indent=1)
    print(f"{len(collection.cases)} files")


if __name__ == "__main__":
    main()
