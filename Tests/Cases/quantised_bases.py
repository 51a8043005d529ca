"""Toybox as quantised single files, made by other means than Lathe's.

    python quantised_bases.py FOLDER

writes what `gallery.sh` bakes into: scaled fp8 (`fp8.safetensors`), and single precision in rows that
fit the blocks of any format (`wide.gguf`).
"""

import json
import pathlib
import struct
import sys

import numpy as np
import torch
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "Examples" / "Toybox" / "model"
LISTING = ROOT / "Tests" / "Goldens" / "toybox" / "single-file.json"


def toybox():
    """Toybox's tensors under the names of a single file."""
    stems = {"text_encoder": "model"}
    files = {}

    def stored(component, name):
        if component not in files:
            stem = stems.get(component, "diffusion_pytorch_model")
            files[component] = load_file(MODEL / component / f"{stem}.safetensors")
        return files[component][name]

    result = {}
    for entry in json.loads(LISTING.read_text()):
        value = torch.cat([stored(*place) for place in entry["from"]])
        value = value.T if entry.get("transposed") else value
        result[entry["name"]] = value.reshape(entry.get("shape", value.shape)).contiguous()
    return result


def is_matrix(name, value):
    return name.startswith("model.diffusion_model.") and value.ndim == 2 and value.shape[1] % 32 == 0


def q8_0(value):
    """Blocks as ggml makes them, and what they stand for."""
    blocks = value.float().numpy().reshape(-1, 32)
    factor = np.abs(blocks).max(1, keepdims=True) / np.float32(127)
    codes = np.rint(np.divide(blocks, factor, where=factor > 0, out=np.zeros_like(blocks))).astype(np.int8)
    half = factor.astype(np.float16)
    data = np.concatenate([half.view(np.uint8), codes.view(np.uint8)], 1).tobytes()
    return data, (codes.astype(np.float32) * half.astype(np.float32)).reshape(value.shape)


def q4_0(value):
    """Blocks of four bits, and what they stand for."""
    blocks = value.float().numpy().reshape(-1, 32)
    half = (np.abs(blocks).max(1, keepdims=True) / np.float32(7)).astype(np.float16)
    step = half.astype(np.float32)
    codes = np.clip(np.rint(np.divide(blocks, step, where=step > 0, out=np.zeros_like(blocks))), -8, 7).astype(np.int8) + 8
    packed = (codes[:, :16] | codes[:, 16:] << 4).astype(np.uint8)
    data = np.concatenate([half.view(np.uint8), packed], 1).tobytes()
    return data, ((codes.astype(np.float32) - 8) * step).reshape(value.shape)


def plain(value):
    """Numbers in single precision, which stand for themselves."""
    return value.float().numpy().tobytes(), value.float().numpy()


def write_gguf(path, tensors, encode, number, row=None):
    """A GGUF file with matrices in blocks and all else in F32; returns what it stands for. With `row` kernels are in blocks too, and
    what has other rows is stored as rows of that many numbers where it fills them, its shape beside it."""
    wide, listings, data, entries = {}, b"", b"", [(b"general.quantization_version", struct.pack("<II", 4, 2))]
    for name, value in tensors.items():
        shape, is_blocks = value.shape, is_matrix(name, value)
        if row and name.startswith("model.diffusion_model.") and value.ndim > 1 and value.numel() % row == 0:
            is_blocks, shape = True, (value.numel() // row, row)
        if shape != value.shape:
            # An array (9) of 32-bit whole numbers (5).
            extents = struct.pack("<IIQ", 9, 5, value.ndim) + struct.pack(f"<{value.ndim}i", *value.shape)
            entries.append((b"comfy.gguf.orig_shape." + name.encode(), extents))
        if is_blocks:
            (stored, decoded), kind = encode(value), number
            wide[name] = torch.from_numpy(decoded)
        else:
            stored, kind = value.float().numpy().tobytes(), 0
            wide[name] = value.float()
        text = name.encode()
        listings += struct.pack("<Q", len(text)) + text + struct.pack("<I", len(shape))
        listings += b"".join(struct.pack("<Q", extent) for extent in reversed(shape))
        listings += struct.pack("<IQ", kind, len(data))
        data += stored + b"\0" * (-len(stored) % 32)
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(entries))
    head += b"".join(struct.pack("<Q", len(key)) + key + value for key, value in entries) + listings
    with open(path, "wb") as file:
        file.write(head + b"\0" * (-len(head) % 32) + data)
    return wide


def write_scaled(path, tensors, style):
    """Scaled fp8 as ComfyUI has it: with markers, in the header, or under the old names; returns what it stands for."""
    wide, stored, layers = {}, {}, {}
    for name, value in tensors.items():
        wide[name], stored[name] = value.float(), value
        if not is_matrix(name, value):
            continue
        module = name.removesuffix(".weight")
        scale = value.float().abs().max() / 448
        stored[name] = (value.float() / scale).to(torch.float8_e4m3fn)
        wide[name] = stored[name].float() * scale
        if style == "old":
            stored[module + ".scale_weight"] = scale.reshape(1)
            continue
        stored[module + ".weight_scale"] = scale
        stored[module + ".input_scale"] = torch.tensor(0.01)
        layers[module.removeprefix("model.diffusion_model.")] = {"format": "float8_e4m3fn"}
        if style == "markers":
            text = b'{"format": "float8_e4m3fn"}'
            stored[module + ".comfy_quant"] = torch.tensor(list(text), dtype=torch.uint8)
    metadata = {"format": "pt"}
    if style == "old":
        stored["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    if style == "header":
        metadata["_quantization_metadata"] = json.dumps({"format_version": "1.0", "layers": layers})
    save_file(stored, path, metadata)
    return wide


def write_int8(path, tensors):
    """ComfyUI's int8 with a scale for each row; returns what it stands for."""
    wide, stored = {}, {}
    for name, value in tensors.items():
        wide[name], stored[name] = value.float(), value
        if is_matrix(name, value):
            scale = value.float().abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
            stored[name] = (value.float() / scale).round().clamp(-127, 127).to(torch.int8)
            wide[name] = stored[name].float() * scale
            module = name.removesuffix(".weight")
            stored[module + ".weight_scale"] = scale
            stored[module + ".comfy_quant"] = torch.tensor(list(b'{"format": "int8_tensorwise"}'), dtype=torch.uint8)
    save_file(stored, path)
    return wide


def main(folder):
    tensors = toybox()
    write_scaled(folder / "fp8.safetensors", tensors, "markers")
    write_gguf(folder / "wide.gguf", tensors, plain, 0, row=256)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
