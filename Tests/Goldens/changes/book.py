"""What the other scripts of this folder share: made-up layers, measuring, and the book of cells."""

import contextlib
import hashlib
import json
import os
from collections import Counter

import torch
from safetensors.torch import save_file
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
STRENGTHS = {"0": 0.0, "0.5": 0.5, "1": 1.0, "-0.7": -0.7}

# To keep files small, only the first cell of each sort has all strengths; the others have these in turn.
TURNS = {"straight": [("0", "0.5", "1", "-0.7"), ("1",), ("-0.7",)],
         "bent": [("0", "0.5", "1", "-0.7"), ("1", "-0.7"), ("0.5",)]}

# Shapes (out, in) by kind, one for each of the seeds 1, 2, 3.
SHAPES = {
    "linear": [(8, 12), (12, 9), (10, 10)],
    "point": [(8, 9), (6, 10), (8, 8)],
    "conv": [(4, 3), (3, 5), (4, 4)],
    "conv1d": [(6, 4), (4, 9), (5, 5)],
}


def numbers(generator, shape, deviation=1.0, mean=0.0):
    """Random numbers of single precision, so that files hold them exactly."""
    return (torch.randn(tuple(shape), generator=generator, dtype=torch.float32) * deviation + mean).contiguous()


def layer(kind, shape, generator, bias=False):
    """A layer of single precision with random parameters."""
    if kind == "linear":
        made = nn.Linear(shape[1], shape[0], bias=bias)
    elif kind == "conv1d":
        made = nn.Conv1d(shape[1], shape[0], 3, bias=bias)
    else:
        made = nn.Conv2d(shape[1], shape[0], {"point": 1, "conv": 3}[kind], bias=bias)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(numbers(generator, parameter.shape, 0.5))
    return made.requires_grad_(False)


@contextlib.contextmanager
def double_precision():
    """Lets libraries compute in double precision where they ask for single: `.float()` and new tensors."""
    single = torch.Tensor.float
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = lambda self, *_, **__: self.double()
    try:
        with torch.no_grad():
            yield
    finally:
        torch.Tensor.float = single
        torch.set_default_dtype(torch.float32)


def answers(module, shape):
    """The weight (of `shape`) and the bias of an affine map: its answers to unit impulses and to nothing."""
    if len(shape) == 2:
        impulses = torch.eye(shape[1])
    else:
        impulses = torch.eye(torch.Size(shape[1:]).numel()).reshape(-1, *shape[1:])
    nothing = module(torch.zeros_like(impulses[:1])).reshape(1, -1)
    weight = (module(impulses).reshape(len(impulses), -1) - nothing).T.reshape(tuple(shape))
    return weight.contiguous(), nothing.reshape(-1).contiguous()


def norm_answers(module, plain, sample):
    """The weight and the bias of a normalisation: `plain` is the same one without parameters; channels are axis 1."""
    normal, up, down = plain(sample), module(sample), module(-sample)
    bias = (up + down) / 2
    weight = (up - down) / 2 / normal
    axes = [axis for axis in range(sample.dim()) if axis != 1]
    return weight.mean(axes), bias.mean(axes)


def rows(module, count):
    """The rows of an embedding."""
    return module(torch.arange(count)).contiguous()


def settle(path):
    """Writes metadata in the order of its keys, which the library leaves to chance."""
    with open(path, "rb") as file:
        bits = file.read()
    length = int.from_bytes(bits[:8], "little")
    header = json.loads(bits[8:8 + length])
    if "__metadata__" in header:
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode().ljust(length)
    assert len(text) == length, path
    with open(path, "wb") as file:
        file.write(bits[:8] + text + bits[8 + length:])
    os.chmod(path, 0o644)


class Book:
    """Cells, base parameters and expected parameters; equal tensors are kept once."""

    def __init__(self):
        self.cells, self.weights, self.expected, self.seen, self.sorts = [], {}, {}, {}, Counter()

    def keep(self, tensors, name, tensor):
        tensor = tensor.detach().contiguous()
        bits = hashlib.sha256(repr((id(tensors), tuple(tensor.shape))).encode() + tensor.numpy().tobytes()).digest()
        if bits not in self.seen:
            assert name not in tensors, name
            assert torch.isfinite(tensor).all(), name
            tensors[name] = tensor.clone()
            self.seen[bits] = name
        return self.seen[bits]

    def cell(self, file, target, family, kind, form, producer, base, expected, parameter="weight", rule=None, **more):
        """`expected` holds the changed parameter by strength."""
        number, sort = len(self.cells), (file, family, kind, form, producer, parameter, rule)
        turn = TURNS["bent" if rule else "straight"][self.sorts[sort] % 3]
        self.sorts[sort] += 1
        if len(expected) > 1:
            expected = {strength: tensor for strength, tensor in expected.items() if strength in turn}
        shown = {strength: self.keep(self.expected, f"{number}@{strength}", tensor.double())
                 for strength, tensor in expected.items()}
        for tensor in expected.values():
            assert tuple(tensor.shape) == tuple(base.shape), (file, target, tensor.shape, base.shape)
        self.cells.append(dict(
            file=file, target=target, parameter=parameter, family=family, kind=kind, form=form, producer=producer,
            rule=rule, base=self.keep(self.weights, f"{number}", base.float()), expected=shown, **more))

    def measured(self, rule, base, expected, **cell):
        """A cell under rule null where strength is W + s(W1 - W); otherwise one under `rule` and one under null."""
        base = base.double()
        straight = {name: base + s * (expected["1"] - base) for name, s in STRENGTHS.items()}
        plain = all((straight[name] - tensor).abs().max() < 1e-9 for name, tensor in expected.items())
        if plain:
            self.cell(base=base, expected=expected, **cell)
            return True
        self.cell(base=base, expected=expected, rule=rule, **cell)
        self.cell(base=base, expected={**straight, "1": expected["1"]}, **cell)
        return False

    def save(self, versions):
        save_file(self.weights, os.path.join(HERE, "weights.safetensors"))
        save_file(self.expected, os.path.join(HERE, "expected.safetensors"))
        for folder, _, names in os.walk(HERE):
            for name in names:
                if name.endswith(".safetensors"):
                    settle(os.path.join(folder, name))
        with open(os.path.join(HERE, "cells.json"), "w") as file:
            lines = ",\n  ".join(json.dumps(cell, sort_keys=True) for cell in self.cells)
            file.write(f'{{"made_with": {json.dumps(versions, sort_keys=True)},\n "cells": [\n  {lines}\n ]}}\n')
