"""Writes small adapters and what merge methods make of them, by dense float64 algebra and by PEFT.

    python make.py      # numpy 2.3, torch 2.13.0+cpu, peft 0.21.0, safetensors

Each delta is formed densely here, from the adapters as they are stored. `ties` is peft.utils.merge_utils.ties; the others are written
after the papers' formulas. Shapes: rows x columns, a convolution's kernel points as columns.
"""

import json

import numpy as np
import torch
from peft.utils.merge_utils import ties as peft_ties
from safetensors.numpy import save_file

rng = np.random.default_rng(17)
SHAPES = {
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": ((12, 10), ()),
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_ff_net_2": ((9, 14), ()),
    "lora_unet_down_blocks_0_resnets_0_conv1": ((8, 4), (3, 3)),
    "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q": ((7, 7), ()),
}
RANKS = {"a": 3, "b": 2, "c": 1}
# Only one adapter changes the last.
LACKS = {"b": list(SHAPES)[3:], "c": list(SHAPES)[3:]}


def adapter(label):
    rank, tensors, deltas = RANKS[label], {}, {}
    for name, ((rows, inputs), kernel) in SHAPES.items():
        if name in LACKS.get(label, []):
            continue
        down = rng.normal(size=(rank, inputs) + kernel).astype(np.float32)
        # What adapters have in common: the first input direction.
        down[0] += 1.5 * np.sin(np.arange(down[0].size)).reshape(down[0].shape).astype(np.float32)
        up = rng.normal(size=(rows, rank) + tuple(1 for _ in kernel)).astype(np.float32)
        alpha = np.float32(rank / 2)
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}
        deltas[name] = 0.5 * up.reshape(rows, rank).astype(np.float64) @ down.reshape(rank, -1).astype(np.float64)
    save_file({k: np.asarray(v) for k, v in tensors.items()}, f"{label}.safetensors")
    return deltas


def trim(x, density):
    kept = int(density * x.size)
    order = np.argsort(-np.abs(x).ravel(), kind="stable")
    mask = np.zeros(x.size)
    mask[order[:kept]] = 1
    return x * mask.reshape(x.shape)


def elect(parts, mean):
    parts = np.stack(parts)
    sign = np.sign(parts.sum(0))
    agree = (np.sign(parts) == sign) & (parts != 0)
    total = (parts * agree).sum(0)
    return total / np.maximum(agree.sum(0), 1) if mean else total


def ties(parts, density, mean):
    return elect([trim(p, density) for p in parts], mean)


def by_peft(deltas, strengths, density):
    return peft_ties(
        [torch.tensor(d) for d in deltas], torch.tensor(strengths, dtype=torch.float64), density
    ).numpy()


def slerp(deltas, strengths):
    (d, e), (s, r) = deltas, strengths
    t, longest = abs(r) / (abs(s) + abs(r)), max(abs(s), abs(r))
    x, y = np.sign(s) * d / np.linalg.norm(d), np.sign(r) * e / np.linalg.norm(e)
    angle = np.arccos((x * y).sum())
    arc = (np.sin((1 - t) * angle) * x + np.sin(t * angle) * y) / np.sin(angle)
    return longest * ((1 - t) * np.linalg.norm(d) + t * np.linalg.norm(e)) * arc


def normalised(parts):
    flat = np.stack([p.ravel() for p in parts])
    gram = flat @ flat.T
    return (np.linalg.solve(gram, np.diag(gram)) @ flat).reshape(parts[0].shape)


def svd(x):
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    rank = (s > 1e-10 * s[0]).sum()
    return u[:, :rank], s[:rank], vt[:rank]


def polar(x):
    u, _, vt = np.linalg.svd(x, full_matrices=False)
    return u @ vt


def tsv(parts):
    triples = [svd(p) for p in parts]
    left = polar(np.hstack([t[0] for t in triples]))
    right = polar(np.vstack([t[2] for t in triples]).T)
    return left @ np.diag(np.concatenate([t[1] for t in triples])) @ right.T


def knots(parts, density):
    u, s, vt = svd(np.hstack(parts))
    columns = parts[0].shape[1]
    own = [(s[:, None] * vt)[:, i * columns : (i + 1) * columns] for i in range(len(parts))]
    return u @ ties(own, density, True)


def null_space(parts, protected, strength):
    basis = svd(np.hstack([parts[i] for i in protected]))[0]
    share = strength / (1 + strength)
    return sum(p if i in protected else p - share * basis @ (basis.T @ p) for i, p in enumerate(parts))


deltas = {label: adapter(label) for label in RANKS}
CASES = [
    ("ties", "abc", [1, 1, 1], {"density": 0.5}, lambda d, s: by_peft(d, s, 0.5)),
    ("ties", "abc", [0.6, 0.6, 0.6], {"density": 0.2}, lambda d, s: by_peft(d, s, 0.2)),
    ("ties", "ab", [0.8, -0.5], {"density": 0.5}, lambda d, s: ties([x * y for x, y in zip(d, s)], 0.5, True)),
    ("ties-sum", "abc", [1, 0.7, -0.4], {"density": 0.5}, lambda d, s: ties([x * y for x, y in zip(d, s)], 0.5, False)),
    ("slerp", "ab", [1, 1], {}, slerp),
    ("slerp", "ab", [0.9, 0.3], {}, slerp),
    ("slerp", "ab", [0.5, -0.5], {}, slerp),
    ("normalised", "abc", [1, 1, 1], {}, lambda d, s: normalised([x * y for x, y in zip(d, s)])),
    ("normalised", "abc", [1, 0.5, -0.7], {}, lambda d, s: normalised([x * y for x, y in zip(d, s)])),
    ("tsv", "abc", [1, 1, 1], {}, lambda d, s: tsv([x * y for x, y in zip(d, s)])),
    ("tsv", "ab", [0.8, -0.5], {}, lambda d, s: tsv([x * y for x, y in zip(d, s)])),
    ("knots-ties", "abc", [1, 0.8, 0.6], {"density": 0.5}, lambda d, s: knots([x * y for x, y in zip(d, s)], 0.5)),
    ("null-space", "abc", [1, 0.8, 0.6], {"protect": [1], "strength": 1}, lambda d, s: null_space([x * y for x, y in zip(d, s)], [1], 1)),
    ("null-space", "abc", [1, 0.8, -0.6], {"protect": [1, 2], "strength": 9}, lambda d, s: null_space([x * y for x, y in zip(d, s)], [1, 2], 9)),
]
expected = []
for method, labels, strengths, settings, make in CASES:
    targets = {}
    for name in SHAPES:
        members = [(deltas[label][name], s) for label, s in zip(labels, strengths) if name in deltas[label]]
        merged = make([d for d, _ in members], [s for _, s in members]) if len(members) > 1 else members[0][0] * members[0][1]
        targets[name] = [float(x) for x in merged.ravel()]
    expected.append({"method": method, "adapters": list(labels), "strengths": strengths, "settings": settings, "targets": targets})
with open("expected.json", "w") as file:
    json.dump({"versions": {"numpy": np.__version__, "torch": torch.__version__}, "cases": expected}, file)
