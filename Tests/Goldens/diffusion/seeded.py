"""Tensors too large to store: drawn from whole numbers, so that any language draws the same ones.

Element k (from 0, row-major) of a tensor with seed s:
    z = s + (k + 1) * 0x9e3779b97f4a7c15                     (all modulo 2^64: SplitMix64's k-th state)
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb
    z = z ^ (z >> 31)                                        (SplitMix64's k-th number)
    whole = (z >> 40) - 2^23                                 (from -2^23 to 2^23 - 1)
    x = whole * 2^-23                                        (exact in single precision, uniform in [-1, 1))
    value = offset + scale * x                               (single precision, two roundings, not fused)
"""

import numpy as np
import torch


def numbers(seed, count):
    with np.errstate(over="ignore"):
        k = np.arange(1, count + 1, dtype=np.uint64)
        z = np.uint64(seed) + k * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


class Seeded:
    """Draws tensors and keeps the list of what was drawn, for `seeded.json`."""

    def __init__(self, first_seed):
        self.next_seed = first_seed
        self.entries = []

    def draw(self, name, shape, deviation=1.0, offset=0.0):
        """Uniform with about this standard deviation around `offset`."""
        scale = np.float32(np.sqrt(3.0) * deviation)
        seed, self.next_seed = self.next_seed, self.next_seed + 1
        z = numbers(seed, int(np.prod(shape, dtype=np.int64)))
        x = ((z >> np.uint64(40)).astype(np.int64) - 2**23).astype(np.float32) * np.float32(2.0**-23)
        values = np.float32(offset) + scale * x
        assert values.dtype == np.float32
        # A float as a decimal that reads back as the same float.
        number = lambda value: float(str(np.float32(value)))
        self.entries.append({
            "name": name, "shape": list(shape), "seed": seed, "scale": number(scale), "offset": number(offset),
            "first": [number(v) for v in values[:3]],
        })
        return torch.from_numpy(values.reshape(shape))

    def weights(self, module, prefix):
        """New weights for all of a module's parameters, in the order of their names."""
        norms = (torch.nn.GroupNorm, torch.nn.LayerNorm)
        kinds = {
            f"{n}.{p}" if n else p: m for n, m in module.named_modules() for p, _ in m.named_parameters(recurse=False)
        }
        for name, weight in sorted(module.named_parameters()):
            if name.endswith("bias"):
                drawn = self.draw(prefix + name, weight.shape, 0.1)
            elif isinstance(kinds[name], norms):
                drawn = self.draw(prefix + name, weight.shape, 0.5 / np.sqrt(3.0), 1.0)
            else:
                drawn = self.draw(prefix + name, weight.shape, 1 / np.sqrt(weight[0].numel()))
            weight.data = drawn
        return module.eval()
