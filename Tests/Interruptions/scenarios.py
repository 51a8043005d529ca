"""Everything that writes: how it is called, on what, and which of its outputs belong together."""

import hashlib
import json
import os
import pathlib
import random
import shutil
import struct

TOYBOX = pathlib.Path(__file__).resolve().parents[2] / "Examples" / "Toybox"
MODEL, ADAPTERS = TOYBOX / "model", TOYBOX / "adapters"


def safetensors(path, tensors, metadata=None):
    """Writes tensors of (format, shape, bytes)."""
    header, offset = {"__metadata__": metadata} if metadata else {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def halves(count, seed):
    """Numbers of some hundredths in half precision."""
    words = random.Random(seed).randbytes(2 * count)
    # Exponents 8 to 11 of 31: about 0.01.
    return bytes(b if i % 2 == 0 else 0x20 | (b & 0x8F) for i, b in enumerate(words[: 1 << 16])) * (2 * count // (1 << 16) + 1)


def matrix(rows, columns, seed):
    return ("F16", [rows, columns], halves(rows * columns, seed)[: 2 * rows * columns])


def make_inputs(folder):
    """The files that all scenarios read."""
    folder.mkdir()
    weights = {f"w{i}.weight": matrix(1024, 1024, i) for i in range(16)}
    safetensors(folder / "base.safetensors", weights)
    safetensors(folder / "style.safetensors", {
        name: value for i in range(16) for name, value in (
            (f"lora_unet_w{i}.lora_up.weight", matrix(1024, 4, 100 + i)),
            (f"lora_unet_w{i}.lora_down.weight", matrix(4, 1024, 200 + i)))})  # fmt: skip
    (folder / "shards").mkdir()
    for shard in range(4):
        safetensors(folder / "shards" / f"model-{shard}.safetensors", {
            n: t for i, (n, t) in enumerate(weights.items()) if i % 4 == shard})  # fmt: skip
    names = {n: f"model-{i % 4}.safetensors" for i, n in enumerate(weights)}
    (folder / "shards" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    (folder / "shards" / "README.md").write_text("a base")
    for name in ("sketch", "lumi", "sepia-r64"):
        shutil.copy(ADAPTERS / f"{name}.safetensors", folder)
    shutil.copytree(ADAPTERS / "neon", folder / "neon")
    shutil.copytree(MODEL, folder / "model")
    (folder / "pairs.csv").write_text(
        "name,base,before,after\n" + "".join(f"row{i},model,sketch.safetensors,sketch.safetensors@0.9{i}\n" for i in range(2)))


def content(path):
    """What a file or folder holds; of a report what it says, but for the time that it took."""
    if path.is_dir():
        if (path / "report.json").exists():
            report = json.loads((path / "report.json").read_text())
            return (sorted(os.listdir(path)), json.dumps(report["recipe"]["after"]), report["verdict"])
        return {str(f.relative_to(path)): content(f) for f in sorted(path.rglob("*")) if not f.is_dir()}
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


class Scenario:
    """A call of the program.

    `arguments` are of the call, in which `in/` and `out/` are folders; `before` of calls that make what is there already, which the
    call replaces. `units` are the outputs, each of which is old or new as a whole; those of `pairs` are so together, but in a process
    that is killed outright. `inputs` may be changed while they are read. `code` is what a call that comes to its end gives.
    """

    def __init__(self, name, arguments, units, before=(), inputs=(), pairs=(), code=0, place=None):
        self.name, self.arguments, self.units, self.before = name, arguments.split(), units, [b.split() for b in before]
        self.inputs, self.pairs, self.code, self.place = inputs, pairs, code, place


def prepare_folder(out):
    """A PEFT folder with somebody's file in it."""
    shutil.copytree(ADAPTERS / "neon", out / "d")
    (out / "d" / "README.md").write_text("mine")


def prepare_file(out):
    shutil.copy(ADAPTERS / "sepia-r64.safetensors", out / "x.safetensors")


SKETCH, LUMI, NEON, STYLE = "in/sketch.safetensors", "in/lumi.safetensors", "in/neon", "in/style.safetensors"
UNET = "unet/diffusion_pytorch_model.safetensors"
AUDIT = "audit in/model --before in/sketch.safetensors --weights-only --threads 1 --after in/sketch.safetensors"
BAKE = "bake in/base.safetensors in/style.safetensors --rounding shaped --threads 2"
SHARDS = "bake in/shards in/style.safetensors --threads 2 -o out/folder --undo out/undo"
SCENARIOS = [
    Scenario("resize", "resize in/sepia-r64.safetensors --rank 8 -o out/r.safetensors", ["r.safetensors"],
             inputs=["sepia-r64.safetensors"]),
    Scenario("resize by a base", "resize in/sepia-r64.safetensors --size 20% --base in/model -o out/r.safetensors", ["r.safetensors"],
             inputs=["sepia-r64.safetensors", "model/unet/diffusion_pytorch_model.safetensors"]),
    Scenario("resize in place", "resize out/x.safetensors --rank 8 -o out/x.safetensors --force", ["x.safetensors"], place=prepare_file),
    Scenario("resize a PEFT folder in place", "resize out/d --rank 4 -o out/d --force", ["d"], place=prepare_folder),
    Scenario("merge", f"merge {SKETCH} {LUMI}@0.5 -o out/m.safetensors --force", ["m.safetensors"],
             before=[f"merge {SKETCH} {LUMI}@0.2 -o out/m.safetensors"], inputs=["sketch.safetensors", "lumi.safetensors"]),
    Scenario("merge into a PEFT folder", f"merge {NEON} {NEON}@0.5 --format peft -o out/d --force", ["d"], place=prepare_folder,
             inputs=["neon/adapter_model.safetensors"]),
    Scenario("convert to PEFT folders", f"convert {SKETCH} --to peft -o out/p", ["p"], inputs=["sketch.safetensors"]),
    Scenario("convert to kohya", f"convert {NEON} --to kohya -o out/k.safetensors", ["k.safetensors"],
             inputs=["neon/adapter_model.safetensors", "neon/adapter_config.json"]),
    Scenario("extract", "extract in/model out/tuned --rank 4 -o out/e.safetensors", ["e.safetensors"],
             before=["bake in/model in/sketch.safetensors -o out/tuned"], inputs=["model/unet/diffusion_pytorch_model.safetensors"]),
    Scenario("extract into a PEFT folder", f"extract in/model/{UNET} out/tuned/{UNET} --rank 4 --format peft -o out/e", ["e"],
             before=["bake in/model in/neon -o out/tuned"], code=2, inputs=["model/unet/diffusion_pytorch_model.safetensors"]),
    Scenario("bake", f"{BAKE} -o out/b.safetensors --undo out/undo", ["undo", "b.safetensors"], pairs=["undo", "b.safetensors"],
             inputs=["base.safetensors", "style.safetensors"]),
    Scenario("bake again", f"{BAKE} -o out/b.safetensors --undo out/undo --force", ["undo", "b.safetensors"],
             before=["bake in/base.safetensors in/style.safetensors@0.5 -o out/b.safetensors --undo out/undo"],
             pairs=["undo", "b.safetensors"], inputs=["base.safetensors", "style.safetensors"]),
    Scenario("bake a folder", SHARDS, ["undo", "folder"], pairs=["undo", "folder"],
             inputs=["shards/model-1.safetensors", "shards/README.md", "style.safetensors"]),
    Scenario("unbake", "unbake out/b.safetensors --undo out/undo -o out/u.safetensors", ["u.safetensors"],
             before=["bake in/base.safetensors in/style.safetensors -o out/b.safetensors --undo out/undo"]),
    Scenario("unbake a folder", "unbake out/folder --undo out/undo -o out/u", ["u"], before=[SHARDS]),
    Scenario("metadata set in place", "metadata set out/x.safetensors title=mine --force", ["x.safetensors"], place=prepare_file),
    Scenario("metadata strip", "metadata strip in/sepia-r64.safetensors --private -o out/s.safetensors --force", ["s.safetensors"],
             before=["resize in/sepia-r64.safetensors --rank 1 -o out/s.safetensors"], inputs=["sepia-r64.safetensors"]),
    Scenario("spectrum's files", f"spectrum {SKETCH} --csv out/s.csv --svg out/s.svg --force", ["s.csv", "s.svg"],
             before=[f"spectrum {LUMI} --csv out/s.csv --svg out/s.svg"], inputs=["sketch.safetensors"]),
    Scenario("render a sheet", f"render in/model {SKETCH} --prompt red --sweep 0,1 --steps 1 --size 64x64 --threads 1 -o out/s.png",
             ["s-01.png", "s-02.png", "s.png"], inputs=["model/unet/diffusion_pytorch_model.safetensors"]),
    Scenario("audit", f"{AUDIT}@0.9 -o out/a", ["a"], code=1, inputs=["model/unet/diffusion_pytorch_model.safetensors"]),
    Scenario("audit again", f"{AUDIT}@0.9 -o out/a --force", ["a"], before=[f"{AUDIT} -o out/a"], code=1,
             inputs=["sketch.safetensors"]),
    Scenario("audit many", "audit --manifest in/pairs.csv --weights-only --threads 1 -o out/many", ["many/row0", "many/row1"], code=1),
]  # fmt: skip
