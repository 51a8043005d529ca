"""What cannot run here: ComfyUI, A1111, sd-scripts, ai-toolkit, OneTrainer. Arithmetic of NumPy, in double precision.

Everything is written after the formulas that those programs are known to follow, and shares nothing with the
scripts that ask libraries. Files of these programs are made here too.
"""

import os

import numpy as np
from safetensors.numpy import save_file

from book import HERE, SHAPES, STRENGTHS

SINGLE = float(np.finfo(np.float32).eps)


def tensors(changed):
    import torch
    return {name: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64)) for name, array in changed.items()}


def kept_norm(weight, axis):
    """The norm over all axes but one, which stays in its place."""
    others = tuple(a for a in range(weight.ndim) if a != axis)
    return np.sqrt((weight ** 2).sum(axis=others, keepdims=True))


def dora(rule, base, both, magnitude):
    """DoRA as ComfyUI and as A1111 read it; `both` is the base and the whole delta."""
    if rule == "comfy":
        out = magnitude.shape[0] == both.shape[0]
        goal = magnitude / (kept_norm(base, 0) + SINGLE if out else kept_norm(both, 1) + SINGLE) * both
    else:
        goal = magnitude * both / kept_norm(both, 1)
    return tensors({name: base + s * (goal - base) for name, s in STRENGTHS.items()})


def cayley(blocks, limit=None, always=False):
    """(I + Q)(I - Q)^-1 of each block's skew part; `limit` bounds the norm over all blocks."""
    skew = blocks - np.swapaxes(blocks, -1, -2)
    norm = np.sqrt((skew ** 2).sum())
    if always:
        skew = skew * (min(norm, limit) + 1e-8) / (norm + 1e-8)
    elif limit and norm + 1e-8 > limit:
        skew = skew * limit / (norm + 1e-8)
    one = np.eye(blocks.shape[-1])
    return (one + skew) @ np.linalg.inv(one - skew)


def turned(rotations, weight):
    """Blocks of rows, each multiplied by its transposed rotation."""
    count, size = rotations.shape[:2]
    assert count * size == len(weight), (rotations.shape, weight.shape)
    flat = weight.reshape(count, size, -1)
    return np.stack([rotations[k].T @ flat[k] for k in range(count)]).reshape(weight.shape)


def comfy_oft(base, blocks, alpha):
    """ComfyUI: the limit is alpha itself, strength enters twice, rescale is not read."""
    one = np.eye(blocks.shape[-1])
    delta = turned(cayley(blocks, alpha) - one, base)
    return tensors({name: base + s * s * delta for name, s in STRENGTHS.items()})


def butterfly(rotations, weight):
    """Each stage takes rows apart by its stride, turns blocks of them, and puts them back."""
    stages, count, size = rotations.shape[:3]
    flat = weight.reshape(weight.shape[0], -1)
    for stage in range(stages):
        stride = 2 ** stage * size // 2
        order = np.arange(len(flat)).reshape(-1, 2, stride).swapaxes(1, 2).reshape(-1)
        mixed = flat[order].reshape(count, size, -1)
        flat = flat.copy()
        flat[order] = np.einsum("bij,bjc->bic", rotations[stage], mixed).reshape(len(order), -1)
    return flat.reshape(weight.shape)


def comfy_boft(base, blocks, alpha, rescale):
    """ComfyUI: the limit is alpha itself, and the whole difference is multiplied by strength again."""
    one, rotations, changed = np.eye(blocks.shape[-1]), cayley(blocks, alpha), {}
    for name, s in STRENGTHS.items():
        whole = butterfly(s * rotations + (1 - s) * one, base)
        changed[name] = base + s * ((whole if rescale is None else rescale * whole) - base)
    return tensors(changed)


def old_glora_delta(weight, a1, a2, b1, b2, scale):
    flat = weight.reshape(weight.shape[0], -1)
    return scale * (b2 @ b1 + flat @ a2 @ a1).reshape(weight.shape)


def packed(vector, size):
    """Skew matrices of the numbers above their diagonals, row by row."""
    made = np.zeros((len(vector), size, size))
    rows, columns = np.triu_indices(size, 1)
    made[:, rows, columns] = vector
    return made - np.swapaxes(made, 1, 2)


def neumann(skew):
    square = skew @ skew
    return np.eye(skew.shape[-1]) + 2 * skew + 2 * square + 2 * square @ skew + square @ square


class Maker:
    """Random numbers of single precision, and one file of them."""

    def __init__(self, book, file, seed):
        self.book, self.file, self.random, self.tensors = book, file, np.random.default_rng(seed), {}

    def numbers(self, shape, deviation=0.4, mean=0.0):
        return (self.random.standard_normal(shape) * deviation + mean).astype(np.float32)

    def put(self, target, **named):
        for name, array in named.items():
            self.tensors[f"{target}.{name.replace('__', '.')}"] = np.ascontiguousarray(array)

    def cell(self, target, family, kind, form, base, changed, **more):
        import torch
        self.book.cell(self.file, target, family, kind, form, "arithmetic", torch.from_numpy(base),
                       tensors(changed), **more)

    def straight(self, target, family, kind, form, base, delta, **more):
        wide = base.astype(np.float64)
        delta = delta.astype(np.float64)
        self.cell(target, family, kind, form, base, {n: wide + s * delta for n, s in STRENGTHS.items()}, **more)

    def save(self, metadata=None):
        save_file(self.tensors, os.path.join(HERE, self.file), metadata or {"format": "pt"})


def shape_of(kind, shape):
    return shape + {"linear": (), "point": (1, 1), "conv": (3, 3)}[kind]


def ai_toolkit(book):
    make = Maker(book, "ai-toolkit-dora.safetensors", 1000)
    for seed, (out, width) in enumerate(SHAPES["linear"]):
        target, rank = f"transformer.transformer_blocks.{seed}.attn.to_q", seed + 1
        base, down, up = make.numbers((out, width)), make.numbers((rank, width)), make.numbers((out, rank))
        magnitude = make.numbers(out, 0.3, 1.5)
        make.put(target, lora_A__weight=down, lora_B__weight=up, magnitude=magnitude)
        wide = base.astype(np.float64)
        both = wide + up.astype(np.float64) @ down
        goal = magnitude.astype(np.float64)[:, None] / kept_norm(both, 0) * both
        make.straight(target, "dora", "linear", "magnitude, no alpha, out axis", base, goal - wide)
    make.save()


def old_glora(book):
    make = Maker(book, "old-glora.safetensors", 1100)
    block = 0
    for kind in ("linear", "point"):
        for seed, (out, width) in enumerate(SHAPES[kind]):
            rank, alpha = seed + 1, [2.0, None, 1.5][seed]
            name = "attentions_0_transformer_blocks_0_attn1_to_q" if kind == "linear" else "resnets_0_conv_shortcut"
            target = f"lora_unet_up_blocks_{block}_{name}"
            block += 1
            base = make.numbers(shape_of(kind, (out, width)))
            a1, a2 = make.numbers((rank, width)), make.numbers((width, rank))
            b1, b2 = make.numbers((rank, width)), make.numbers((out, rank))
            make.put(target, a1__weight=a1, a2__weight=a2, b1__weight=b1, b2__weight=b2)
            if alpha is not None:
                make.put(target, alpha=np.array(alpha, dtype=np.float32))
            delta = old_glora_delta(*(array.astype(np.float64) for array in (base, a1, a2, b1, b2)),
                                    1.0 if alpha is None else alpha / rank)
            make.straight(target, "glora", kind, "old form" + (", no alpha" if alpha is None else ""), base, delta)
    make.save()


def comfy_native(book):
    make = Maker(book, "comfy-native.safetensors", 1200)
    for seed, size in enumerate((8, 12, 9)):
        place = f"diffusion_model.blocks.{seed}"
        base, diff = make.numbers((1, 6, size)), make.numbers((1, 6, size), 0.2)
        make.put(f"{place}.modulation", diff=diff)
        make.straight(f"{place}.modulation", "full", "itself", "modulation", base, diff, parameter="itself")
        base, diff = make.numbers(size, 0.3, 1.0), make.numbers(size, 0.2)
        make.put(f"{place}.norm3", diff=diff)
        make.straight(f"{place}.norm3", "full", "norm", "diff", base, diff)
        base, diff = make.numbers(size), make.numbers(size, 0.2)
        make.put(f"{place}.norm3", diff_b=diff)
        make.straight(f"{place}.norm3", "full", "bias", "diff_b of a norm", base, diff, parameter="bias")
        base, diff = make.numbers((size, size + 1)), make.numbers((size, size + 1), 0.2)
        make.put(f"{place}.cross_attn.k", diff=diff)
        make.straight(f"{place}.cross_attn.k", "full", "linear", "diff", base, diff)
        base, diff = make.numbers(size), make.numbers(size, 0.2)
        make.put(f"{place}.cross_attn.k", diff_b=diff)
        make.straight(f"{place}.cross_attn.k", "full", "bias", "diff_b", base, diff, parameter="bias")
        base, value = make.numbers(size), make.numbers(size)
        make.put(f"{place}.self_attn.norm_q", set_weight=value)
        make.cell(f"{place}.self_attn.norm_q", "full", "norm", "replacement, set_weight", base, {"1": value})
    make.save()


def kohya_oft(book):
    make = Maker(book, "kohya-oft.safetensors", 1300)
    block = 0
    for alpha in (0.0, 0.05, 10.0):
        for kind, shapes in (("linear", [(8, 12), (12, 9), (10, 10)]), ("conv", [(6, 2), (4, 3), (8, 2)])):
            for seed, shape in enumerate(shapes):
                # The count of blocks is the network's dim.
                count = [2, 4, 2][seed]
                size = shape[0] // count
                name = "attentions_0_transformer_blocks_0_attn1_to_q" if kind == "linear" else "resnets_0_conv1"
                target = f"oft_unet_down_blocks_{block}_{name}"
                block += 1
                base, blocks = make.numbers(shape_of(kind, shape)), make.numbers((count, size, size))
                make.put(target, oft_blocks=blocks, alpha=np.array(alpha, dtype=np.float32))
                limit = float(np.float32(alpha)) * shape[0]
                turn = cayley(blocks.astype(np.float64), limit, always=True) - np.eye(size)
                make.straight(target, "oft", kind, f"kohya, alpha {alpha:g}", base,
                              turned(turn, base.astype(np.float64)))
    make.save({"ss_network_module": "networks.oft"})


def flux_oft(book):
    make = Maker(book, "kohya-flux-oft.safetensors", 1400)
    places = [("double_blocks_0_img_attn_qkv", [6, 6, 6]), ("double_blocks_0_img_attn_proj", [6]),
              ("double_blocks_1_txt_attn_qkv", [8, 8, 8]), ("single_blocks_0_linear1", [4, 4, 4, 16]),
              ("single_blocks_1_linear1", [6, 6, 6, 24])]
    for number, (place, parts) in enumerate(places):
        target, count, width, alpha = f"oft_unet_{place}", 2, parts[0], [0.05, 0.1, 10.0, 0.02, 0.0][number]
        base = make.numbers((sum(parts), width))
        make.put(target, alpha=np.array(alpha, dtype=np.float32))
        start, delta = 0, np.zeros(base.shape)
        for part, rows in enumerate(parts):
            blocks = make.numbers((count, rows // count, rows // count))
            make.put(target, **{f"oft_blocks__{part}": blocks})
            turn = cayley(blocks.astype(np.float64), float(np.float32(alpha)) * rows, always=True)
            turn = turn - np.eye(rows // count)
            delta[start:start + rows] = turned(turn, base[start:start + rows].astype(np.float64))
            start += rows
        make.straight(target, "oft", "linear", f"kohya Flux, {len(parts)} parts, alpha {alpha:g}", base, delta)
    make.save({"ss_network_module": "networks.oft_flux"})


def old_oft(book):
    make = Maker(book, "old-oft-diag.safetensors", 1500)
    block = 0
    for kind, shapes in (("linear", [(8, 12), (12, 9), (10, 10)]), ("conv", [(6, 2), (4, 3), (8, 2)])):
        for seed, shape in enumerate(shapes):
            size = {8: 4, 12: 3, 10: 5, 6: 3, 4: 2}[shape[0]]
            name = "attentions_0_transformer_blocks_0_attn1_to_q" if kind == "linear" else "resnets_0_conv1"
            target = f"lora_unet_mid_block_{block}_{name}"
            block += 1
            base = make.numbers(shape_of(kind, shape))
            turns = make.numbers((shape[0] // size, size, size), 0.2) + np.eye(size, dtype=np.float32)
            make.put(target, oft_diag=turns, alpha=np.array(1.0, dtype=np.float32))
            make.straight(target, "oft", kind, "old oft_diag", base,
                          turned(turns.astype(np.float64) - np.eye(size), base.astype(np.float64)))
    make.save()


def onetrainer_oft(book):
    make = Maker(book, "onetrainer-oft.safetensors", 1600)
    block = 0
    for scaled in (True, False):
        for kind, shapes in (("linear", [(8, 12), (12, 9), (10, 10)]), ("conv", [(4, 4), (3, 5), (5, 2)])):
            for seed, (out, width) in enumerate(shapes):
                name = "attn1.to_q" if kind == "linear" else "conv1"
                place = "attentions.0.transformer_blocks.0" if kind == "linear" else "resnets.0"
                target = f"unet.down_blocks.{block}.{place}.{name}"
                block += 1
                base = make.numbers(shape_of(kind, (out, width)))
                columns = base[0].size
                size = [4, 3, 2][seed] if columns % [4, 3, 2][seed] == 0 else 3
                shared = seed == 2
                vector = make.numbers((1 if shared else columns // size, size * (size - 1) // 2), 0.3)
                make.put(target, oft_R__weight=vector)
                if scaled:
                    make.put(target, oft_R__scaled_oft=np.array(True))
                wide = vector.astype(np.float64) / (2 * np.sqrt(size - 1) if scaled else 1)
                turns = np.repeat(neumann(packed(wide, size)), columns // size if shared else 1, axis=0)
                # Linear layers turn what comes in, convolutions their weight: the other way round.
                rows = base.astype(np.float64).reshape(out, columns // size, size)
                whole = np.einsum("ork,rck->orc" if kind == "linear" else "ork,rkc->orc", rows, turns)
                form = f"OneTrainer{', scaled' if scaled else ''}{', block_share' if shared else ''}"
                make.straight(target, "oft", kind, form, base, whole.reshape(base.shape) - base)
    make.save()
