"""Reference numbers for real adapters, from dense float64 matrices.

What it makes
    expected.json beside this script: for every target of the plain LoRA adapters in a folder, the singular values and
    the Frobenius norm of the dense update matrix; for three SD1.5 adapters, the same of a weighted sum; differences
    between pairs of adapters; and cross-talk numbers for a few modules.

How
    Every update is formed as a dense float64 matrix (scale * up @ down, from the stored numbers, which float64 holds
    exactly) and handed to numpy's dense SVD (LAPACK gesdd). No low-rank shortcut is taken anywhere but in one place:
    the Flux adapter's matrices are 3072 x 15360, so its singular values come from float64 QR of both factors and an
    SVD of the small core. `--check-flux` compares that shortcut with the dense SVD on all four Flux targets (under a
    minute on one core; the committed run had it on, and the two agreed to 6.2e-16 * sigma1). The same
    comparison is made on every run on one target of each other adapter.
    Beyond its rank a dense spectrum must be rounding noise: the script stops if any such value reaches
    1e-12 * sigma1 of that target.

    An absolute error of about 1e-15 * sigma1 in each singular value is to be expected from any such computation; a
    comparison should allow for at least 1e-12 * sigma1.

What the fields mean
    shape                (out, in) as the factors have it; base_shape is there where the base is stored (in, out).
    resize_rank2         every target cut to its best rank 2: root of the sum of all squares cut, over total_fro.
    merge                sum of strength * update, target by target; rank4_relative_error is as above with rank 4.
    compare              ||A - B|| / ||A|| and <A, B> / (||A|| ||B||), over all targets together and for each one;
                         spectral_error is sigma1(A - B) / sigma1(A). A target one file lacks counts as zero there.
    crosstalk            output ||A^T B|| / ||B^T B||, input ||A B^T|| / ||B B^T|| (Frobenius), and the cosines of the
                         principal angles between the column spaces (up) and between the row spaces (down).

Library versions that printed the committed numbers (also in the JSON, under "versions")
    Python 3.11, numpy 2.4.6, torch 2.13.0 (CPU build; only to read the files), safetensors 0.8.0.

How to run
    OMP_NUM_THREADS=1 python make.py ADAPTERS_DIR [--check-flux]

No random numbers are used.
"""

import argparse
import json
import math
import pathlib
import platform
import sys

import numpy as np
import safetensors
import torch
from safetensors import safe_open

FILES = [
    "sd15_diffusers_processor_style.safetensors",
    "sd15_diffusers_pokemon.safetensors",
    "sd15_diffusers_unet_prefix.safetensors",
    "sd15_cloneofsimo_rank4.safetensors",
    "sd2_cloneofsimo_list.pt",
    "flux_partial_rank16.safetensors",
    "gpt2_peft_rank8",
]
FACTORED = {"flux_partial_rank16.safetensors"}

MERGE_FILES = [
    "sd15_diffusers_pokemon.safetensors",
    "sd15_diffusers_unet_prefix.safetensors",
    "sd15_diffusers_processor_style.safetensors",
]
MERGE_STRENGTHS = [0.7, 0.5, -0.3]
MERGE_KEPT = 12
MERGE_RANK = 4
RESIZE_RANK = 2

COMPARE_PAIRS = [
    ("sd15_diffusers_pokemon.safetensors", "sd15_diffusers_unet_prefix.safetensors"),
    ("sd15_diffusers_pokemon.safetensors", "sd15_diffusers_processor_style.safetensors"),
]
CROSSTALK_PAIR = ("sd15_diffusers_pokemon.safetensors", "sd15_diffusers_unet_prefix.safetensors")
CROSSTALK_TARGETS = [
    "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q",
    "mid_block.attentions.0.transformer_blocks.0.attn2.to_k",
    "up_blocks.1.attentions.2.transformer_blocks.0.attn1.to_out.0",
]

NOISE = 1e-12

# Endings of the tensor keys of the down (first) and up (second) factor, longest first.
ENDINGS = [
    (".lora_A.weight", ".lora_B.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
    (":down", ":up"),
]


class Factors:
    """One target: update = scale * up @ down, all float64."""

    def __init__(self, up, down, scale):
        self.up, self.down, self.scale = up, down, float(scale)
        assert up.ndim == down.ndim == 2 and up.shape[1] == down.shape[0]

    @property
    def rank(self):
        return self.down.shape[0]

    def dense(self):
        return self.scale * (self.up @ self.down)


def float64(tensor):
    return tensor.detach().to(torch.float64).numpy()


def load(folder, name):
    """Module name as the file spells it -> Factors, in the file's order; and whether the base is stored (in, out)."""
    path = folder / name
    fan_in_fan_out = False
    scale = None
    if name.endswith(".pt"):
        items = torch.load(path, map_location="cpu", weights_only=True)
        assert isinstance(items, list) and len(items) % 2 == 0
        targets = {}
        for i in range(0, len(items), 2):
            targets[str(i // 2)] = Factors(float64(items[i]), float64(items[i + 1]), 1.0)
        return targets, False
    if path.is_dir():
        config = json.loads((path / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA"
        assert not config["rank_pattern"] and not config["alpha_pattern"] and not config["use_rslora"]
        fan_in_fan_out = bool(config["fan_in_fan_out"])
        scale = config["lora_alpha"] / config["r"]
        path = path / "adapter_model.safetensors"
    downs, ups = {}, {}
    with safe_open(path, "pt") as handle:
        for key in handle.keys():
            for down_end, up_end in ENDINGS:
                if key.endswith(down_end):
                    downs[key[: -len(down_end)]] = float64(handle.get_tensor(key))
                    break
                if key.endswith(up_end):
                    ups[key[: -len(up_end)]] = float64(handle.get_tensor(key))
                    break
            else:
                raise SystemExit(f"{name}: a tensor that belongs to no target: {key}")
    assert downs.keys() == ups.keys()
    # None of these files carries an alpha tensor; without a config the scale is one.
    return {m: Factors(ups[m], downs[m], 1.0 if scale is None else scale) for m in downs}, fan_in_fan_out


def sigmas(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def sigmas_from_factors(f):
    """Singular values through QR of both factors; `rank` of them."""
    _, r_up = np.linalg.qr(f.up)
    _, r_down = np.linalg.qr(f.down.T)
    return sigmas(f.scale * (r_up @ r_down.T))


def check_noise(values, rank, what):
    if values[0] > 0 and values[rank:].size and values[rank:].max() >= NOISE * values[0]:
        raise SystemExit(f"{what}: singular value beyond the rank is not noise: {values[rank:].max() / values[0]:.3e}")


def check_shortcut(f, dense_values, what):
    short = sigmas_from_factors(f)
    gap = np.abs(short - dense_values[: short.size]).max()
    if gap > NOISE * dense_values[0]:
        raise SystemExit(f"{what}: QR of the factors and the dense SVD disagree: {gap / dense_values[0]:.3e}")
    print(f"  {what}: QR of the factors agrees with the dense SVD to {gap / max(dense_values[0], 1e-300):.1e} sigma1")


def fro(matrix):
    return math.sqrt(math.fsum(np.square(matrix).sum(axis=1)))


def tail(values, keep):
    """Sum of squares of what is cut off when `keep` singular values stay."""
    return math.fsum(v * v for v in values[keep:])


def common_name(module):
    """Diffusers module path without component prefix and without the attention-processor level."""
    if module.startswith("unet."):
        module = module[len("unet."):]
    if ".processor." in module:
        module = module.replace(".processor.", ".")
        if module.endswith(".to_out"):
            module += ".0"
    return module


def ratio(a, b):
    return a / b if b > 0 else 0.0


def describe_file(name, targets, fan_in_fan_out, check_flux):
    out, squares, cut = {}, [], []
    checked = False
    for module, f in targets.items():
        if name in FACTORED:
            values = sigmas_from_factors(f)
            dense = f.dense()
            if check_flux:
                all_values = sigmas(dense)
                check_noise(all_values, f.rank, f"{name} {module}")
                check_shortcut(f, all_values, f"{name} {module}")
                checked = True
        else:
            dense = f.dense()
            if fan_in_fan_out:
                dense = np.ascontiguousarray(dense.T)
            values = sigmas(dense)
            check_noise(values, f.rank, f"{name} {module}")
            if not checked and values[0] > 0:
                check_shortcut(f, values, f"{name} {module}")
                checked = True
        values = values[: f.rank]
        norm = fro(dense)
        assert abs(norm - math.sqrt(tail(values, 0))) <= 1e-12 * max(norm, 1e-300)
        squares.append(norm * norm)
        cut.append(tail(values, RESIZE_RANK))
        entry = {
            "sigma": [float(v) for v in values],
            "fro": norm,
            "shape": [f.up.shape[0], f.down.shape[1]],
            "rank": f.rank,
            "scale": f.scale,
        }
        if fan_in_fan_out:
            entry["base_shape"] = list(dense.shape)
        out[module] = entry
    total = math.fsum(squares)
    return {
        "singular_values_from": "factor QR" if name in FACTORED else "dense SVD",
        "fan_in_fan_out": fan_in_fan_out,
        "total_fro": math.sqrt(total),
        "resize_rank2": {"relative_error": math.sqrt(math.fsum(cut) / total)},
        "targets": out,
    }


def merge(all_targets):
    parts = [{common_name(m): f for m, f in all_targets[name].items()} for name in MERGE_FILES]
    modules = list(parts[0])
    assert all(p.keys() == parts[0].keys() for p in parts)
    out, squares, cut = {}, [], []
    for module in modules:
        total = sum(s * p[module].dense() for s, p in zip(MERGE_STRENGTHS, parts))
        values = sigmas(total)
        rank = sum(p[module].rank for p in parts)
        assert rank == MERGE_KEPT
        check_noise(values, rank, f"merge {module}")
        values = values[:rank]
        norm = fro(total)
        squares.append(norm * norm)
        cut.append(tail(values, MERGE_RANK))
        out[module] = {"sigma": [float(v) for v in values], "fro": norm, "shape": list(total.shape)}
    whole = math.fsum(squares)
    return {
        "adapters": MERGE_FILES,
        "strengths": MERGE_STRENGTHS,
        "total_fro": math.sqrt(whole),
        "rank4_relative_error": math.sqrt(math.fsum(cut) / whole),
        "targets": out,
    }


def compare(all_targets, name_a, name_b):
    a_side = {common_name(m): f for m, f in all_targets[name_a].items()}
    b_side = {common_name(m): f for m, f in all_targets[name_b].items()}
    out = {}
    aa, bb, ab, dd = [], [], [], []
    for module in list(a_side) + [m for m in b_side if m not in a_side]:
        fa, fb = a_side.get(module), b_side.get(module)
        a = fa.dense() if fa is not None else np.zeros_like(fb.dense())
        b = fb.dense() if fb is not None else np.zeros_like(a)
        diff = a - b
        norm_a, norm_b, norm_d = fro(a), fro(b), fro(diff)
        dot = math.fsum((a * b).sum(axis=1))
        aa.append(norm_a**2), bb.append(norm_b**2), dd.append(norm_d**2), ab.append(dot)
        out[module] = {
            "relative_error": ratio(norm_d, norm_a),
            "spectral_error": ratio(float(sigmas(diff)[0]), float(sigmas(a)[0])),
            "cosine": ratio(dot, norm_a * norm_b),
        }
    return {
        "a": name_a,
        "b": name_b,
        "relative_error": math.sqrt(math.fsum(dd) / math.fsum(aa)),
        "cosine": math.fsum(ab) / math.sqrt(math.fsum(aa) * math.fsum(bb)),
        "targets": out,
    }


def crosstalk(all_targets, name_a, name_b, module):
    fa = {common_name(m): f for m, f in all_targets[name_a].items()}[module]
    fb = {common_name(m): f for m, f in all_targets[name_b].items()}[module]
    a, b = fa.dense(), fb.dense()
    ua, sa, va = np.linalg.svd(a, full_matrices=False)
    ub, sb, vb = np.linalg.svd(b, full_matrices=False)
    ra, rb = fa.rank, fb.rank
    # Every direction kept must be a direction of the update and not rounding noise.
    assert sa[ra - 1] > 1e-9 * sa[0] and sb[rb - 1] > 1e-9 * sb[0]
    return {
        "a": name_a,
        "b": name_b,
        "target": module,
        "output": fro(a.T @ b) / fro(b.T @ b),
        "input": fro(a @ b.T) / fro(b @ b.T),
        "up_cosines": [float(v) for v in sigmas(ua[:, :ra].T @ ub[:, :rb])],
        "down_cosines": [float(v) for v in sigmas(va[:ra] @ vb[:rb].T)],
    }


def one_line(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def with_targets(entry):
    """An object whose "targets" go one to a line."""
    head = {k: v for k, v in entry.items() if k != "targets"}
    lines = ",\n".join(f"{one_line(m)}:{one_line(t)}" for m, t in entry["targets"].items())
    return one_line(head)[:-1] + ',"targets":{\n' + lines + "\n}}"


def main():
    parser = argparse.ArgumentParser(description="Dense float64 reference numbers for real adapters.")
    parser.add_argument("adapters", type=pathlib.Path, help="folder that holds the adapters")
    parser.add_argument("--check-flux", action="store_true", help="check the factor QR on the Flux targets, densely")
    options = parser.parse_args()

    versions = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "torch": torch.__version__,
        "safetensors": safetensors.__version__,
    }
    all_targets, files = {}, {}
    for name in FILES:
        targets, transposed = load(options.adapters, name)
        all_targets[name] = targets
        print(f"{name}: {len(targets)} targets", flush=True)
        files[name] = describe_file(name, targets, transposed, options.check_flux)
    print("merge", flush=True)
    merged = merge(all_targets)
    print("compare", flush=True)
    compared = [compare(all_targets, a, b) for a, b in COMPARE_PAIRS]
    talk = [crosstalk(all_targets, *CROSSTALK_PAIR, module) for module in CROSSTALK_TARGETS]

    text = '{"versions":' + one_line(versions) + ',\n"files":{\n'
    text += ",\n".join(f"{one_line(n)}:{with_targets(e)}" for n, e in files.items())
    text += '\n},\n"merge":' + with_targets(merged)
    text += ',\n"compare":[\n' + ",\n".join(with_targets(c) for c in compared)
    text += '\n],\n"crosstalk":[\n' + ",\n".join(one_line(t) for t in talk) + "\n]}\n"
    json.loads(text)
    target = pathlib.Path(__file__).resolve().parent / "expected.json"
    target.write_text(text)
    print(f"{target.name}: {len(text)} characters")


if __name__ == "__main__":
    sys.exit(main())
