"""The files that all commands read: Toybox, goldens, real adapters where there are any, and some small files made of these."""

import json
import math
import pathlib
import random
import shutil
import struct

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS, TOYBOX, REAL = ROOT / "Tests" / "Goldens", ROOT / "Examples" / "Toybox", ROOT.parent / "shared" / "adapters"
GOLDEN_FOLDERS = ["dialects", "changes", "families", "checkpoints", "extract", "diffusion/sd1-pipeline", "diffusion/sdxl-pipeline"]
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1."
PRIVATE = {
    "ss_session_id": "1234", "ss_training_comment": "for Ann", "ss_output_name": "mine", "ss_network_dim": "16",
    "ss_sd_model_name": "/home/ann/models/base.safetensors", "ss_dataset_dirs": '{"10_ann": {"n_repeats": 10}}',
    "ss_tag_frequency": '{"10_ann": {"red hat": 3, "robot": 5}}', "modelspec.title": "Sketch",
}  # fmt: skip
TEXTS = {
    "prompts.txt": """
# two scenes
a red robot on the beach
a yellow cat in the snow
""",
    "prompts.yaml": """
negative: hat
seed: 3
size: 64x64
strengths: [0.5, 1]
prompts:
  - a red robot
  - prompt: a lumi owl
    seed: 7
    strengths: [1]
""",
    "merge.yaml": """
adapters:
  - file: sketch.safetensors
    strength: 0.8
  - file: lumi.safetensors
    strength: 0.6
    text_encoder_strength: 0.3
    blocks: {IN04: 0.5, M00: 0}
size: 300kB
dtype: bf16
fair: true
""",
    "bake.yaml": """
adapters:
  - file: lumi.safetensors
    strength: 0.8
    blocks: [1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0.5]
  - file: neon
    strength: 0.4
dtype: f16
rounding: stochastic
seed: 7
""",
    "typo.yaml": """
adapters:
  - file: sketch.safetensors
sizee: 300kB
""",
    "pairs.csv": """
name,base,before,after,prompts
same,model,sketch.safetensors,sketch.safetensors,prompts.yaml
weaker,model,sketch.safetensors;lumi.safetensors@0.5,sketch.safetensors@0.2,
lost,model,sketch.safetensors,none.safetensors,
""",
    "text.safetensors": """
no tensors here
""",
}


def read(path):
    """Metadata and tensors of a safetensors file: name → (format, shape, bytes), in the order of their bytes."""
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + length]), memoryview(data)[8 + length :]
    metadata = header.pop("__metadata__", {})
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    return metadata, {name: (e["dtype"], e["shape"], bytes(body[slice(*e["data_offsets"])])) for name, e in entries}


def write(path, tensors, metadata=None):
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def numbers(name, *shape, scale=0.1):
    """Numbers in single precision that follow from the name."""
    source = random.Random(name)
    return ("F32", list(shape), struct.pack(f"<{math.prod(shape)}f", *(source.gauss(0, scale) for _ in range(math.prod(shape)))))


def pair(name, outputs, inputs, rank=2):
    """Factors of one target under kohya's names."""
    return {f"{name}.lora_up.weight": numbers(name, outputs, rank), f"{name}.lora_down.weight": numbers(name[::-1], rank, inputs)}


def weight_name(cell):
    """The base's name of what a golden changes."""
    if cell.get("named"):
        return cell["named"]
    module = cell["target"].removesuffix(".base_layer")
    for prefix in ("lora_unet_", "oft_unet_", "base_model.model.", "diffusion_model.", "unet.", "transformer."):
        module = module.removeprefix(prefix)
    return module if cell["parameter"] == "itself" else f"{module}.{cell['parameter']}"


def make_bases(folder):
    """For each golden whose change depends on its base, that base."""
    weights, bases = read(folder / "changes" / "weights.safetensors")[1], {}
    for cell in json.loads((folder / "changes" / "cells.json").read_text())["cells"]:
        bases.setdefault(cell["file"].removesuffix(".safetensors"), {})[weight_name(cell)] = weights[cell["base"]]
    for name, tensors in bases.items():
        write(folder / "bases" / name / "base.safetensors", dict(sorted(tensors.items())))


def make_broken(folder):
    """Adapters with faults, each of its own kind."""
    sketch = (folder / "sketch.safetensors").read_bytes()
    (folder / "cut.safetensors").write_bytes(sketch[:-100])
    (folder / "header.safetensors").write_bytes(sketch[:8] + b"?" + sketch[9:])
    tensors = read(folder / "sketch.safetensors")[1]
    name = next(n for n in tensors if n.endswith("lora_up.weight"))
    write(folder / "nan.safetensors", tensors | {name: ("F16", tensors[name][1], b"\0\x7e" + tensors[name][2][2:])})
    down = name.replace("lora_up", "lora_down")
    write(folder / "unpaired.safetensors", {n: t for n, t in tensors.items() if n != down})
    write(folder / "unknown.safetensors", tensors | {"some.other_thing": numbers("other", 3, 3)})


def make_inputs(folder):
    """Fills a new folder."""
    shutil.copytree(TOYBOX / "adapters", folder)
    shutil.copytree(TOYBOX / "model", folder / "model")
    for name in GOLDEN_FOLDERS:
        shutil.copytree(GOLDENS / name, folder / pathlib.Path(name).name)
    if REAL.exists():
        (folder / "real").symlink_to(REAL)
    for name, text in TEXTS.items():
        (folder / name).write_text(text.lstrip())
    make_bases(folder)
    make_broken(folder)
    sketch = read(folder / "sketch.safetensors")[1]
    write(folder / "private.safetensors", sketch, PRIVATE)
    shutil.copytree(folder / "changes" / "peft-modules-to-save", folder / "other-modules")
    other = folder / "other-modules" / "adapter_model.safetensors"
    metadata, tensors = read(other)
    write(other, {name: numbers(name, *shape) for name, (_, shape, _) in tensors.items()}, metadata)
    write(folder / "inversions.safetensors", sketch | {
        "bundle_emb.my style.string_to_param.*": numbers("a", 3, 8), "bundle_emb.other.clip_l": numbers("b", 1, 8),
        "bundle_emb.other.clip_g": numbers("c", 1, 12)})  # fmt: skip
    # For the small checkpoints among the goldens.
    names = [f"lora_unet_{(LAYER + part).replace('.', '_')}" for part in ("to_q", "to_k")]
    write(folder / "tiny.safetensors", pair(names[0], 32, 32) | pair(names[1], 32, 32))
    write(folder / "narrow.safetensors", pair(names[0], 8, 16))
    parts = [{}, {}]
    for index, (name, tensor) in enumerate(read(folder / "checkpoints" / "model.safetensors")[1].items()):
        parts[index % 2][name] = tensor
    index = {name: f"model-0000{number + 1}-of-00002.safetensors" for number, part in enumerate(parts) for name in part}
    for number, part in enumerate(parts):
        write(folder / "shards" / f"model-0000{number + 1}-of-00002.safetensors", part, {"format": "pt"})
    (folder / "shards" / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
