"""Bakes an adapter into quantised weights that other libraries made, and asks these libraries what they read from the result.

    python quantised.py LATHE FOLDER

Weights are normal (σ = 0.03, 512 × 3072), the adapter's changes are of rank 16 and 1 % or 0.3 % of them. For each format and each
rounding the table has, as the library that owns the format sees it, which share of the change is in the weight
(⟨stored change, Δ⟩ ÷ ‖Δ‖²), and what is wrong in the directions that the adapter reads, ÷ ‖Δ‖. Both must be what an implementation
in numpy measured on other numbers, and the share must be what Lathe's report says.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys

import bitsandbytes.functional as bnb
import gguf
import torch
from comfy_kitchen.tensor import get_layout_class
from safetensors.torch import load_file, save_file

LATHE, WORK = sys.argv[1], pathlib.Path(sys.argv[2]) / "quantised"
ROWS, INPUTS, RANK = 512, 3072, 16
SHARES = {"1 %": 0.01, "0.3 %": 0.003}
ROUNDINGS = ["nearest", "stochastic", "shaped"]

# What survives at 1 % and at 0.3 % by the nearest code, at random, and shaped; and the error of the last in the adapter's directions.
# Of 16 codes Lathe's shaping lets more through than the implementation that these are of, which weighs all errors alike.
EXPECTED = {
    "fp8 E4M3, one scale": ([0.36, 0.11], [1.00, 1.00], [0.99, 0.98], [0.014, 0.031]),
    "fp8 E5M2, one scale": ([0.19, 0.06], [1.00, 1.00], [0.99, 0.97], [0.022, 0.047]),
    "mxfp8": ([0.36, 0.11], [1.00, 1.00], [0.99, 0.98], [0.014, 0.031]),
    "int8, a scale each row": ([0.79, 0.00], [1.00, 1.00], [1.00, 0.99], [0.005, 0.020]),
    "int8, ConvRot": ([0.79, 0.00], [1.00, 1.00], [1.00, 0.99], [0.005, 0.020]),
    "int8, one scale": ([0.42, 0.00], [1.00, 1.00], [1.00, 0.98], [0.008, 0.028]),
    "nvfp4": ([0.00, 0.00], [0.94, 0.95], [0.97, 0.92], [0.041, 0.115]),
    "nf4": ([0.00, 0.00], [0.98, 0.98], [0.97, 0.89], [0.051, 0.148]),
    "nf4, nested": ([0.00, 0.00], [0.98, 0.98], [0.97, 0.89], [0.051, 0.148]),
    "Q8_0": ([0.96, 0.12], [0.98, 0.98], [1.00, 0.99], [0.003, 0.012]),
    "Q6_K": ([0.11, 0.00], [0.98, 0.97], [0.99, 0.97], [0.013, 0.042]),
    "Q4_K": ([0.00, 0.00], [0.96, 0.96], [0.96, 0.88], [0.054, 0.161]),
}
COARSE = ["nvfp4", "nf4", "nf4, nested", "Q4_K"]


def lathe(*arguments):
    done = subprocess.run([LATHE, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"lathe {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}"
    return done.stdout


class Kitchen:
    """A layout of comfy-kitchen, as ComfyUI stores it."""

    def __init__(self, layout, options=None, parts={"weight_scale": "scale"}, **marker):
        self.layout, self.options, self.parts, self.marker = get_layout_class(layout), options or {}, parts, marker

    def store(self, module, weight):
        data, self.parameters = self.layout.quantize(weight, **self.options)
        tensors = {key: getattr(self.parameters, field).contiguous() for key, field in self.parts.items()}
        tensors |= {"weight": data, "comfy_quant": torch.tensor(list(json.dumps(self.marker).encode()), dtype=torch.uint8)}
        return {f"{module}.{key}": value for key, value in tensors.items()}

    def read(self, module, tensors):
        scales = {field: tensors[f"{module}.{key}"] for key, field in self.parts.items()}
        parameters = dataclasses.replace(self.parameters, **scales)
        return self.layout.dequantize(tensors[f"{module}.weight"], parameters).float()


class BitsAndBytes:
    """Four bits as bitsandbytes stores them."""

    def __init__(self, kind, nested):
        self.kind, self.nested = kind, nested

    def store(self, module, weight):
        data, state = bnb.quantize_4bit(weight, blocksize=64, compress_statistics=self.nested, quant_type=self.kind)
        parts = {f"weight.{key}": value for key, value in state.as_dict(packed=True).items()}
        return {f"{module}.{key}": value.contiguous() for key, value in ({"weight": data} | parts).items()}

    def read(self, module, tensors):
        prefix = module + ".weight"
        parts = {key.removeprefix(module + "."): value for key, value in tensors.items() if key.startswith(prefix + ".")}
        state = bnb.QuantState.from_dict({key.removeprefix("weight."): value for key, value in parts.items()}, device=torch.device("cpu"))
        return bnb.dequantize_4bit(tensors[prefix], state).float()


TENSORWISE = "int8_tensorwise"
FORMATS = {
    "fp8 E4M3, one scale": Kitchen("TensorCoreFP8Layout", format="float8_e4m3fn"),
    "fp8 E5M2, one scale": Kitchen("TensorCoreFP8Layout", {"dtype": torch.float8_e5m2}, format="float8_e5m2"),
    "mxfp8": Kitchen("TensorCoreMXFP8Layout", format="mxfp8"),
    "int8, a scale each row": Kitchen("TensorWiseINT8Layout", {"per_channel": True}, format=TENSORWISE),
    "int8, ConvRot": Kitchen(
        "TensorWiseINT8Layout", {"per_channel": True, "convrot": True}, format=TENSORWISE, convrot=True, convrot_groupsize=256
    ),
    "int8, one scale": Kitchen("TensorWiseINT8Layout", format=TENSORWISE),
    "nvfp4": Kitchen("TensorCoreNVFP4Layout", parts={"weight_scale": "block_scale", "weight_scale_2": "scale"}, format="nvfp4"),
    "nf4": BitsAndBytes("nf4", nested=False),
    "nf4, nested": BitsAndBytes("nf4", nested=True),
}
BLOCKS = {"Q8_0": "q8_0", "Q6_K": "q6_k", "Q4_K": "q4_k"}


def name(number):
    return f"blocks.{number}.attn.q"


def write_gguf(path, weight):
    writer = gguf.GGUFWriter(path, "flux")
    writer.add_tensor(name(0) + ".weight", weight.numpy())
    # A matrix that nothing is added to.
    writer.add_tensor("img_in.weight", torch.ones(32, 256).numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read_gguf(path):
    tensor = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name(0) + ".weight")
    return torch.from_numpy(gguf.dequantize(tensor.data, tensor.tensor_type)).reshape(ROWS, INPUTS)


def write_adapter(path, sizes, generator):
    """One change for each module, of the given norms; returns them and the directions that they read."""
    tensors, changes = {}, []
    for number, size in enumerate(sizes):
        down = torch.linalg.qr(torch.randn(INPUTS, RANK, generator=generator, dtype=torch.float64))[0].T.float().contiguous()
        up = torch.randn(ROWS, RANK, generator=generator)
        up *= size / torch.linalg.norm(up.double() @ down.double())
        tensors |= {f"diffusion_model.{name(number)}.lora_A.weight": down, f"diffusion_model.{name(number)}.lora_B.weight": up}
        changes.append((up.double() @ down.double(), down.double()))
    save_file(tensors, path)
    return changes


class Table:
    """What was measured, line by line, with what is wrong in it."""

    def __init__(self):
        self.faults = []
        print(f"{'format':24} {'Δ':>6} {'rounding':>11} {'survives':>9} {'expected':>9} {'heard':>7} {'expected':>9}")

    def add(self, format, share, rounding, stored, change, directions, said):
        """`stored`: the change that the library sees; `said`: Lathe's own survival."""
        survival = float((stored * change).sum() / (change * change).sum())
        heard = float(torch.linalg.norm((stored - change) @ directions.T) / torch.linalg.norm(change))
        column = list(SHARES).index(share)
        expected = EXPECTED[format][ROUNDINGS.index(rounding)][column]
        error = EXPECTED[format][3][column] if rounding == "shaped" else None
        # What is drawn is off by some steps ÷ √(numbers) of the delta; and one scale is that of the largest of all numbers.
        tolerance = [0.03, 0.06][column] if rounding == "stochastic" else 0.03 if "one scale" in format else 0.02
        is_better = rounding == "shaped" and format in COARSE
        faults = []
        if not (-tolerance <= survival - expected <= (0.1 if is_better else tolerance)):
            faults.append("survives")
        if error is not None and not (-(0.4 if is_better else 0.2) * error <= heard - error <= 0.2 * error + 0.001):
            faults.append("heard")
        if not abs(survival - said) <= 0.002:
            faults.append(f"Lathe says {said:.3f}")
        marks = "  <- " + ", ".join(faults) if faults else ""
        shown = f"{error:9.3f}" if error is not None else f"{'':9}"
        print(f"{format:24} {share:>6} {rounding:>11} {survival:9.3f} {expected:9.2f} {heard:7.3f} {shown}{marks}")
        self.faults += [f"{format}, {share}, {rounding}: {fault}" for fault in faults]


def survivals(report):
    """Of each module, as Lathe's report has it."""
    rows = {row["name"]: row["survival"] for row in json.loads(report)["weights"]}
    return [rows[name(number) + ".weight"] for number in range(len(rows))]


def main():
    WORK.mkdir(parents=True)
    generator = torch.Generator().manual_seed(20261201)
    table = Table()
    wide = [0.03 * torch.randn(ROWS, INPUTS, generator=generator) for _ in FORMATS]
    base = {}
    for number, format in enumerate(FORMATS.values()):
        base |= format.store(name(number), wide[number])
    base["img_in.weight"] = torch.ones(64, 64)
    save_file(base, WORK / "base.safetensors")
    before = [format.read(name(number), base).double() for number, format in enumerate(FORMATS.values())]
    for share, part in SHARES.items():
        changes = write_adapter(WORK / "lora.safetensors", [part * float(torch.linalg.norm(w)) for w in before], generator)
        for rounding in ROUNDINGS:
            out = WORK / f"{rounding}.safetensors"
            arguments = ["bake", WORK / "base.safetensors", WORK / "lora.safetensors", "-o", out, "--force", "--json"]
            said = survivals(lathe(*arguments, "--rounding", rounding, "--undo", WORK / "undo"))
            tensors = load_file(out)
            for number, (label, format) in enumerate(FORMATS.items()):
                after = format.read(name(number), tensors).double()
                table.add(label, share, rounding, after - before[number], *changes[number], said[number])
            lathe("unbake", out, "--undo", WORK / "undo", "-o", WORK / "back.safetensors", "--force")
            assert (WORK / "back.safetensors").read_bytes() == (WORK / "base.safetensors").read_bytes(), "the way back"

    write_gguf(WORK / "wide.gguf", wide[0])
    nothing = WORK / "nothing.safetensors"
    write_adapter(nothing, [1], generator)
    for label, dtype in BLOCKS.items():
        base = WORK / f"{dtype}.gguf"
        lathe("bake", WORK / "wide.gguf", f"{nothing}@0", "-o", base, "--dtype", dtype)
        weight = read_gguf(base).double()
        for share, part in SHARES.items():
            changes = write_adapter(WORK / "lora.safetensors", [part * float(torch.linalg.norm(weight))], generator)
            for rounding in ROUNDINGS:
                out = WORK / "out.gguf"
                arguments = ["bake", base, WORK / "lora.safetensors", "-o", out, "--force", "--json"]
                said = survivals(lathe(*arguments, "--rounding", rounding, "--undo", WORK / "undo"))
                table.add(label, share, rounding, read_gguf(out).double() - weight, *changes[0], said[0])
                lathe("unbake", out, "--undo", WORK / "undo", "-o", WORK / "back.gguf", "--force")
                assert (WORK / "back.gguf").read_bytes() == base.read_bytes(), "the way back"
    if table.faults:
        sys.exit("\n".join(["", *table.faults]))
    print("\ncomfy-kitchen, bitsandbytes and gguf read from these files the changes that Lathe says are in them")


if __name__ == "__main__":
    main()
