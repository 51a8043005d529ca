"""Quantised bases: Toybox in several formats, read, drawn with, judged, and baked into where that can be done."""

import json
import os

import gguf
import numpy as np
import torch
from cases import case
from PIL import Image
from quantised_bases import plain, q4_0, q8_0, toybox, write_gguf, write_int8, write_scaled
from safetensors.torch import load_file, save_file

SMALL = ["--prompt", "a red robot in the city", "--steps", "2", "--size", "64x64", "--quiet"]
FORMATS = {
    "q8.gguf": lambda path, tensors: write_gguf(path, tensors, q8_0, 8),
    "q4.gguf": lambda path, tensors: write_gguf(path, tensors, q4_0, 2),
    "old.safetensors": lambda path, tensors: write_scaled(path, tensors, "old"),
    "markers.safetensors": lambda path, tensors: write_scaled(path, tensors, "markers"),
    "header.safetensors": lambda path, tensors: write_scaled(path, tensors, "header"),
    "int8.safetensors": write_int8,
}


def contents(path):
    with open(path, "rb") as file:
        return file.read()


def pixels(path):
    return np.asarray(Image.open(path))


def adapter(place, name="lumi"):
    return str(place.adapters / f"{name}.safetensors")


@case("a quantised base draws the picture of the numbers it stands for, pixel for pixel, with an adapter too")
def pictures(place):
    tensors = toybox()
    for name, write in FORMATS.items():
        save_file(write(name, tensors), "wide.safetensors")
        for more in [[], [adapter(place)]]:
            for base, out in [(name, "a.png"), ("wide.safetensors", "b.png")]:
                place.run("render", base, *more, *SMALL, "-o", out, "--force").expect(0)
            assert (pixels("a.png") == pixels("b.png")).all(), f"{name}: another picture"


@case("checks, comparisons, extracts and audits take a quantised base for the numbers it stands for")
def verbs(place):
    tensors, lumi = toybox(), adapter(place)
    for name, write in FORMATS.items():
        save_file(write(name, tensors), "wide.safetensors")
        place.run("check", lumi, name).expect(0, "fits")
        place.run("audit", name, "--before", f"{lumi}@1", "--after", f"{lumi}@1", "--weights-only", "--json").expect(0)
        place.run("extract", name, "wide.safetensors", "-o", "none.safetensors", "--rank", 4).expect(65)
        place.run("spectrum", lumi, "--base", name).expect(0)


@case("a bake into scaled fp8 writes the codes in their place and keeps scales and declarations")
def in_place(place):
    tensors, lumi = toybox(), adapter(place)
    for name in ["old.safetensors", "markers.safetensors", "header.safetensors"]:
        FORMATS[name](name, tensors)
        place.run("bake", name, lumi, "-o", "out.safetensors", "--undo", "out.undo", "--force").expect(0)
        before, after = load_file(name), load_file("out.safetensors")
        assert before.keys() == after.keys()

        def bits(value):
            return value.dtype, value.flatten().view(torch.uint8).tolist()

        changed = {k for k in before if bits(before[k]) != bits(after[k])}
        assert changed and all(k.endswith((".weight", "scale", ".scale_weight")) for k in changed), changed
        place.run("unbake", "out.safetensors", "--undo", "out.undo", "-o", "back.safetensors", "--force").expect(0)
        assert contents("back.safetensors") == contents(name)


@case("leaving fp8 drops scales and declarations in both places")
def leaving(place):
    tensors, lumi = toybox(), adapter(place)
    for name in ["old.safetensors", "markers.safetensors", "header.safetensors"]:
        FORMATS[name](name, tensors)
        place.run("bake", name, lumi, "-o", "out.safetensors", "--dtype", "bf16", "--force").expect(0)
        after = load_file("out.safetensors")
        assert after.keys() == tensors.keys(), after.keys() ^ tensors.keys()
        assert b"_quantization_metadata" not in contents("out.safetensors")[:100_000]


@case("a bake into int8 or blocks moves codes and nothing else, keeps most of the adapter, and is taken back to the byte")
def recoded(place):
    tensors, lumi = toybox(), adapter(place)
    write_int8("int8.safetensors", tensors)
    write_gguf("q8.gguf", tensors, q8_0, 8)
    write_gguf("q4.gguf", tensors, q4_0, 2)
    for name, format, least in [("int8.safetensors", "int8_tensorwise", 0.97), ("q8.gguf", "Q8_0", 0.97), ("q4.gguf", "Q4_0", 0.85)]:
        out = "out." + name.split(".")[1]
        run = place.run("bake", name, lumi, "-o", out, "--undo", "undo", "--force", "--json").expect(0)
        report = json.loads(run.output)
        share = next(row["survival"] for row in report["formats"] if row["name"] == format)
        assert share > least, f"{name}: {share}"
        dry = ["bake", name, lumi, "-o", out, "--dry-run", "--json"]
        foretold = json.loads(place.run(*dry).expect(0).output)
        assert foretold["formats"] == report["formats"] and foretold["blocks"] == report["blocks"], name
        nearest = json.loads(place.run(*dry, "--rounding", "nearest").expect(0).output)
        assert nearest["survival"] < report["survival"], f"{name}: {nearest['survival']}"
        before, after = contents(name), contents(out)
        if name.endswith(".gguf"):
            # The recipe stands in the header; scales, and what nothing is added to, stay.
            assert len(after) - len(before) < 4096 and before[-64:] in after
        else:
            old, new = load_file(name), load_file(out)
            moved = [k for k in old if not torch.equal(old[k], new[k])]
            assert moved and all(old[k].dtype == new[k].dtype for k in old)
            assert any(old[k].dtype == torch.int8 for k in moved) and not any("scale" in k for k in moved)
        place.run("unbake", out, "--undo", "undo", "-o", "back", "--force").expect(0)
        assert contents("back") == before, f"{name}: not restored"
        place.run("render", out, *SMALL, "-o", "a.png", "--force").expect(0)
        place.run("render", name, *SMALL, "-o", "b.png", "--force").expect(0)
        assert (pixels("a.png") != pixels("b.png")).any()


@case("blocks are made anew where that is asked for, and wide weights become blocks of the format that is asked for")
def requantised(place):
    tensors, lumi = toybox(), adapter(place)
    write_gguf("q8.gguf", tensors, q8_0, 8)
    write_gguf("f32.gguf", tensors, plain, 0)
    old = json.loads(place.run("bake", "q8.gguf", lumi, "-o", "new.gguf", "--requantise", "--json").expect(0).output)
    assert old["rounding"] == "nearest"
    place.run("bake", "q8.gguf", lumi, "-o", "a.gguf", "--requantise", "--rounding", "shaped").expect(64, "nearest rounding")
    place.run("bake", "old.safetensors", lumi, "-o", "a.gguf", "--requantise").expect(66)
    for name in ["q8_0", "q4_1", "iq4_nl"]:
        place.run("bake", "f32.gguf", lumi, "-o", f"{name}.gguf", "--undo", "undo", "--dtype", name, "--force").expect(0)
        place.run("unbake", f"{name}.gguf", "--undo", "undo", "-o", "back", "--force").expect(0)
        assert contents("back") == contents("f32.gguf"), name
        place.run("check", lumi, f"{name}.gguf").expect(0, "fits")
        place.run("render", f"{name}.gguf", *SMALL, "-o", "a.png", "--force").expect(0)
    assert not os.path.exists("a.gguf")


@case("codes become plain numbers where a number format is asked for: only those that change")
def widened(place):
    tensors, lumi = toybox(), adapter(place)
    write_int8("int8.safetensors", tensors)
    place.run("bake", "int8.safetensors", lumi, "-o", "out.safetensors", "--undo", "undo", "--dtype", "bf16").expect(0)
    before, after = load_file("int8.safetensors"), load_file("out.safetensors")
    kept = [k for k in before if before[k].dtype == torch.int8 and after[k].dtype == torch.int8]
    wide = [k for k in before if before[k].dtype == torch.int8 and after[k].dtype == torch.bfloat16]
    assert wide and all(torch.equal(before[k], after[k]) for k in kept)
    assert all((k.removesuffix("weight") + "weight_scale" in after) == (k in kept) for k in kept + wide)
    assert all((k.removesuffix("weight") + "comfy_quant" in after) == (k in kept) for k in kept + wide)
    place.run("unbake", "out.safetensors", "--undo", "undo", "-o", "back.safetensors").expect(0)
    assert contents("back.safetensors") == contents("int8.safetensors")
    write_gguf("q4.gguf", tensors, q4_0, 2)
    place.run("bake", "q4.gguf", lumi, "-o", "out.gguf", "--undo", "undo", "--dtype", "f16", "--force").expect(0)
    place.run("check", lumi, "out.gguf").expect(0, "fits")
    place.run("unbake", "out.gguf", "--undo", "undo", "-o", "back.gguf").expect(0)
    assert contents("back.gguf") == contents("q4.gguf")


@case("a format that is only read is no place for a change without a number format")
def read_only(place):
    module = "blocks.0.attn.q"
    codes = torch.zeros(16, 64, dtype=torch.uint8)
    save_file({f"{module}.weight": codes, f"{module}.weight_s_rel": torch.ones(16, 8).to(torch.float8_e4m3fn),
               f"{module}.weight_s_channel": torch.ones(16), f"{module}.weight_codebook": torch.arange(16.0),
               f"{module}.comfy_quant": marker('{"format": "asym_w4a8_int8", "convrot_groupsize": 64}'),
               "img_in.weight": torch.ones(8, 8)}, "base.safetensors")  # fmt: skip
    lora = small_adapter("q.safetensors", module, 16, 128)
    place.run("bake", "base.safetensors", lora, "-o", "out.safetensors").expect(65, "asym_w4a8_int8", "--dtype bf16")
    assert not os.path.exists("out.safetensors")
    place.run("bake", "base.safetensors", lora, "-o", "out.safetensors", "--dtype", "bf16").expect(0)


def marker(text):
    return torch.tensor(list(text.encode()), dtype=torch.uint8)


def small_adapter(path, module, rows, inputs):
    save_file(
        {f"diffusion_model.{module}.lora_A.weight": torch.ones(1, inputs), f"diffusion_model.{module}.lora_B.weight": torch.ones(rows, 1)},
        path,
    )
    return path


@case("declarations that contradict each other, or the tensors beside them, are refused by name and never half believed")
def contradictions(place):
    module, rotated = "blocks.0.attn.q", '{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 16}'
    fp8 = torch.ones(16, 32).to(torch.float8_e4m3fn)
    int8, rows = torch.ones(16, 32, dtype=torch.int8), torch.ones(16, 1)
    lora = small_adapter("q.safetensors", module, 16, 32)

    def header(*layers):
        return {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": {n: json.loads(t) for n, t in layers}})}

    plain_fp8, plain_int8 = '{"format": "float8_e4m3fn"}', '{"format": "int8_tensorwise"}'
    for number, (tensors, metadata, word) in enumerate([
        ({"weight": fp8, "scale_weight": torch.tensor(0.01), "comfy_quant": marker(plain_fp8)}, None, "scale_weight"),
        ({"weight": fp8, "weight_scale": torch.tensor(0.01), "scale_weight": torch.tensor(0.01), "comfy_quant": marker(plain_fp8)},
         None, "scale_weight"),
        ({"weight": int8, "weight_scale": rows, "comfy_quant": marker(plain_int8)}, header((module, rotated)), "convrot"),
        ({"weight": int8, "weight_scale": rows, "comfy_quant": marker(rotated.replace("true", "1"))}, None, "convrot"),
        ({"weight": fp8, "weight_scale": torch.tensor(0.01), "comfy_quant": marker(rotated.replace("int8_tensorwise", "float8_e4m3fn"))},
         None, "convrot"),
        ({"weight": int8, "weight_scale": rows}, header((module, plain_int8), ("model.diffusion_model." + module, rotated)), "header"),
        ({"weight._data": int8, "weight._scale": rows, "weight._shift": rows.clone()}, None, "_shift"),
    ]):  # fmt: skip
        name = f"b{number}.safetensors"
        save_file({f"{module}.{label}": tensor for label, tensor in tensors.items()} | {"img_in.weight": torch.ones(8, 8)}, name, metadata)
        for dtype in ([], ["--dtype", "f32"]):
            place.run("bake", name, lora, "-o", "out.safetensors", *dtype).expect(65, word)
            assert not os.path.exists("out.safetensors")
    # The same said twice is no contradiction.
    save_file({f"{module}.weight": int8, f"{module}.weight_scale": rows, f"{module}.comfy_quant": marker(plain_int8)},
              "good.safetensors", header((module, plain_int8)))  # fmt: skip
    place.run("bake", "good.safetensors", lora, "-o", "good-out.safetensors", "--dtype", "f32").expect(0)
    assert torch.equal(load_file("good-out.safetensors")[f"{module}.weight"], torch.full((16, 32), 2.0))
    assert b"_quantization_metadata" not in contents("good-out.safetensors")


@case("a header that speaks of another shard loses what became wide, and what says that fp8 is scaled stays as long as it is true")
def shards(place):
    module, other = "blocks.0.attn.q", "blocks.0.attn.k"
    lora = small_adapter("q.safetensors", module, 16, 32)
    fp8, scale = torch.ones(16, 32).to(torch.float8_e4m3fn), torch.tensor(0.5)
    layers = {module: {"format": "float8_e4m3fn"}, other: {"format": "float8_e4m3fn"}}
    parts = {"model-00001-of-00002.safetensors": {"img_in.weight": torch.ones(8, 8)}, "model-00002-of-00002.safetensors": {
        f"{module}.weight": fp8, f"{module}.weight_scale": scale, f"{other}.weight": fp8.clone(), f"{other}.weight_scale": scale.clone()}}  # fmt: skip
    header = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})}
    for number, (name, tensors) in enumerate(parts.items()):
        save_file(tensors, name, header if number == 0 else None)
    index = {"metadata": {}, "weight_map": {k: name for name, tensors in parts.items() for k in tensors}}
    with open("model.safetensors.index.json", "w") as file:
        json.dump(index, file)
    place.run("bake", "model.safetensors.index.json", lora, "-o", "out", "--dtype", "f32").expect(0)
    written = contents("out/model-00001-of-00002.safetensors")
    assert module.encode() not in written and b"_quantization_metadata" not in written, written[:400]


@case("a number that blocks of eight bits cannot hold is bad data, and no file")
def overflowing(place):
    value = torch.ones(8, 32)
    value[0, 0] = 1e7
    write_gguf("b.gguf", {"blocks.0.attn.q.weight": value, "img_in.weight": value}, None, 0)
    lora = small_adapter("q.safetensors", "blocks.0.attn.q", 8, 32)
    place.run("bake", "b.gguf", lora, "-o", "out.gguf", "--dtype", "q8_0").expect(65, "q.weight")
    assert not os.path.exists("out.gguf")


@case("an adapter of PEFT goes into a language model of llama.cpp, whose names are others, and out of it to the byte")
def language_model(place):
    generator, hidden, wide = torch.Generator().manual_seed(11), 64, 96
    shapes = {"attn_q": (hidden, hidden), "attn_output": (hidden, hidden), "ffn_gate": (wide, hidden), "ffn_down": (hidden, wide)}
    ours = {"attn_q": "self_attn.q_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_down": "mlp.down_proj"}
    writer = gguf.GGUFWriter("base.gguf", "qwen3")
    writer.add_block_count(2)
    tensors, wanted = {}, {}
    for layer in range(2):
        writer.add_tensor(f"blk.{layer}.attn_norm.weight", np.ones(hidden, dtype=np.float32))
        for name, (rows, inputs) in shapes.items():
            weight = 0.05 * torch.randn(rows, inputs, generator=generator)
            down, up = torch.randn(4, inputs, generator=generator), 0.01 * torch.randn(rows, 4, generator=generator)
            stored = gguf.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
            writer.add_tensor(f"blk.{layer}.{name}.weight", stored, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
            module = f"base_model.model.model.layers.{layer}.{ours[name]}"
            tensors |= {f"{module}.lora_A.weight": down, f"{module}.lora_B.weight": up}
            decoded = torch.from_numpy(gguf.dequantize(stored, gguf.GGMLQuantizationType.Q8_0)).reshape(rows, inputs)
            wanted[f"blk.{layer}.{name}.weight"] = decoded, 2 * 0.5 * up @ down
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.mkdir("lora")
    save_file(tensors, "lora/adapter_model.safetensors")
    with open("lora/adapter_config.json", "w") as file:
        json.dump({"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": list(ours.values())}, file)
    place.run("check", "lora", "base.gguf").expect(0, "fits")
    place.run("bake", "base.gguf", "lora@0.5", "-o", "out.gguf", "--undo", "undo").expect(0)
    found = {tensor.name: tensor for tensor in gguf.GGUFReader("out.gguf").tensors}
    for name, (before, delta) in wanted.items():
        after = torch.from_numpy(gguf.dequantize(found[name].data, found[name].tensor_type)).reshape(before.shape)
        share = float(((after - before) * delta).sum() / delta.square().sum())
        assert 0.95 < share < 1.03, f"{name}: {share}"
    assert np.array_equal(found["blk.1.attn_norm.weight"].data, np.ones(hidden, dtype=np.float32))
    place.run("unbake", "out.gguf", "--undo", "undo", "-o", "back.gguf").expect(0)
    assert contents("back.gguf") == contents("base.gguf")
    place.run("bake", "base.gguf", "lora@0.5", "-o", "out.safetensors").expect(64, "llama.cpp's", ".gguf")
    assert not os.path.exists("out.safetensors")
    place.run("render", "base.gguf", "--prompt", "an owl", "-o", "owl.png").expect(65, "found a language model\n")
    # What a dry run would write without a name is of the base's own kind.
    report = json.loads(place.run("bake", "base.gguf", "lora@0.5", "--dry-run", "--json").expect(0).output)
    assert [row["name"] for row in report["formats"]] == ["Q8_0"], report["formats"]
