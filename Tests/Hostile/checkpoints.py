"""Broken base checkpoints: safetensors and GGUF files, and folders of shards whose index lies."""
import json
import os
import struct

from containers import (
    ARRAY, TEXT, Tensor, U32, U64, field, gguf, listing, long_text, safetensors, safetensors_header, safetensors_raw)


def make(files):
    single(files)
    gguf_files(files)
    shards(files)
    configurations(files)


def single(files):
    data = safetensors(files.base_tensors())
    header = struct.unpack("<Q", data[:8])[0]
    lengths = {0, 5, 8, 8 + header, len(data) - 1}
    while len(lengths) < 10:
        lengths.add(files.random.randrange(10, len(data)))
    for length in sorted(lengths):
        files.add("truncated base", f"{length}.safetensors", data[:length], "base")
    tensors = files.base_tensors()
    text, data = safetensors_header(tensors).decode(), b"".join(tensor.data for tensor in tensors)

    def add(name, text, data=data):
        files.add("broken base", name + ".safetensors", safetensors_raw(text, data), "base")

    first = text[1:].split("},")[0] + "}"
    add("tensor-twice", "{" + first + "," + text[1:])
    add("overlap", text.replace(f'"data_offsets":[{len(tensors[0].data)},', '"data_offsets":[4,'))
    add("negative-shape", text.replace("[8,768]", "[-8,768]"))
    add("overflow-behind-zero", text.replace("[8,768]", "[0,4611686018427387904,4]"))
    add("empty-with-overflow", '{"model.diffusion_model.x":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}}', b"")
    add("no-tensors", "{}", b"")
    add("bytes-behind", text, data + b"\0" * 8)
    files.write("broken base/one-of-four/model-00001-of-00004.safetensors", safetensors_raw(text, data))
    files.add("broken base", "one-of-four", role="base", target="broken base/one-of-four/model-00001-of-00004.safetensors")
    coarse = [Tensor(f"m.scale_{n}", "U8", [1, 1], b"\1") for n in range(50_000)]
    files.add("broken base", "coarse-by-the-thousand.safetensors", safetensors(coarse), "base")
    twice = [*tensors, Tensor(tensors[0].name.removeprefix("model."), "F32", tensors[0].shape, tensors[0].data)]
    files.add("broken base", "one-weight-by-two-names.safetensors", safetensors(twice), "base")
    quantised_files(files)
    packed = [files.tensor("model.diffusion_model.input_blocks.0.0.qweight", "F32", [2, 2])]
    files.add("broken base", "quantised.safetensors", safetensors(packed), "base")


def quantised_files(files):
    """Codes whose side tensors lie: of wrong shapes, not finite, missing, or declared as something else."""
    name = "model.diffusion_model.input_blocks.4.1.proj_in"

    def tensor(label, kind, shape, data):
        return Tensor(f"{name}.{label}", kind, shape, data)

    def text(label, words):
        return tensor(label, "U8", [len(words)], words)

    def f32(label, shape, *values):
        return tensor(label, "F32", shape, struct.pack(f"<{len(values)}f", *values))

    def add(title, *parts):
        files.add("quantised base", title + ".safetensors", safetensors([*files.base_tensors(), *parts]), "base")

    fp8, int8 = tensor("weight", "F8_E4M3", [8, 8], bytes(range(64))), tensor("weight", "I8", [8, 8], bytes(range(64)))
    nibbles, nan = tensor("weight", "U8", [16, 32], bytes(512)), float("nan")
    marker = {kind: text("comfy_quant", b'{"format": "%s"}' % kind.encode()) for kind in ("float8_e4m3fn", "int8_tensorwise", "nvfp4", "mxfp8")}
    add("scale-of-five", fp8, f32("weight_scale", [5], 1, 2, 3, 4, 5), marker["float8_e4m3fn"])
    add("scale-nan", fp8, f32("weight_scale", [], nan), marker["float8_e4m3fn"])
    add("scale-infinite", fp8, f32("scale_weight", [], float("inf")))
    add("scale-of-columns", fp8, f32("weight_scale", [1, 8], *range(8)))
    add("two-scales", fp8, f32("weight_scale", [], 1), f32("scale_weight", [], 1))
    add("declared-as-e5m2", fp8, f32("weight_scale", [], 1), text("comfy_quant", b'{"format": "float8_e5m2"}'))
    add("declared-as-nothing", fp8, f32("weight_scale", [], 1), text("comfy_quant", b"{}"))
    add("declared-in-no-json", fp8, f32("weight_scale", [], 1), text("comfy_quant", b"{" * 100))
    add("int8-without-scale", int8, marker["int8_tensorwise"])
    add("int8-undeclared", int8, f32("weight_scale", [], 1))
    add("int8-with-zero-point", int8, f32("weight_scale", [], 1), marker["int8_tensorwise"], f32("weight_zero_point", [], 1))
    rotated = b'{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": %d}'
    for group in (0, 3, -4, 8, 1 << 62):
        add(f"rotated-by-{group}", int8, f32("weight_scale", [8, 1], *range(8)), text("comfy_quant", rotated % group))
    add("nvfp4-without-scales", nibbles, f32("weight_scale_2", [], 1), marker["nvfp4"])
    add("nvfp4-few-scales", nibbles, f32("weight_scale_2", [], 1), tensor("weight_scale", "F8_E4M3", [16, 4], bytes(64)), marker["nvfp4"])
    tiles = tensor("weight_scale", "F8_E4M3", [128, 4], bytes(512))
    add("nvfp4-global-nan", nibbles, f32("weight_scale_2", [], nan), tiles, marker["nvfp4"])
    add("nvfp4-undeclared", nibbles, f32("weight_scale_2", [], 1), tiles)
    add("mxfp8-not-padded", fp8, tensor("weight_scale", "U8", [128, 4], bytes(512)), marker["mxfp8"])
    four = tensor("weight", "U8", [32, 1], bytes(32))
    table, maxima = f32("weight.quant_map", [16], *range(16)), f32("weight.absmax", [1], 1)

    def state(**fields):
        usual = {"quant_type": "nf4", "blocksize": 64, "dtype": "float32", "shape": [8, 8]} | fields
        return text("weight.quant_state.bitsandbytes__nf4", json.dumps(usual).encode())

    for title, fields in {
        "huge": {"shape": [1 << 40, 1 << 40]}, "larger": {"shape": [8, 9]}, "negative": {"shape": [-8, -8]}, "texts": {"shape": ["8", "8"]},
        "block-0": {"blocksize": 0}, "block-huge": {"blocksize": 1 << 60}, "other-kind": {"quant_type": "fp4"},
    }.items():  # fmt: skip
        add(f"nf4-{title}", four, table, maxima, state(**fields))
    add("nf4-few-maxima", four, table, f32("weight.absmax", [2], 1, 1), state())
    add("nf4-short-table", four, f32("weight.quant_map", [4], 0, 1, 2, 3), maxima, state())
    add("nf4-no-table", four, maxima, state())
    nested = tensor("weight.absmax", "U8", [1], b"\1")
    add("nf4-nested-without", four, table, nested, state(nested_blocksize=256, nested_offset=0.5))
    add("scb-of-five", int8, f32("SCB", [5], 1, 2, 3, 4, 5))


def gguf_files(files):
    names = [tensor.name for tensor in files.base_tensors()][2:]
    data = files.random.randbytes(256) + files.random.randbytes(8 * 768 * 4)
    fields = [field("general.architecture", TEXT, long_text("sd1")), field("general.alignment", U32, struct.pack("<I", 32))]
    listings = [listing(names[0], [8, 8], 0, 0), listing(names[1], [768, 8], 0, 256)]
    whole = gguf(fields, listings, data)

    def add(name, data):
        files.add("GGUF", name + ".gguf", data, "base")

    for number in range(10):
        add(f"cut-off-{number}", whole[: files.random.randrange(5, len(whole) - 1)])
    add("only-the-beginning", b"GGUF")
    add("last-byte", whole[:-1])
    for version in [0, 1, 4, 0x03000000, 0xFFFFFFFF]:
        add(f"version-{version}", gguf(fields, listings, data, version=version))
    for name, value in [("2-63", 1 << 63), ("all-ones", (1 << 64) - 1), ("too-many", 1000), ("million-times-million", 10**12)]:
        add(f"tensors-{name}", gguf(fields, listings, data, tensors_declared=value))
        add(f"fields-{name}", gguf(fields, listings, data, fields_declared=value))
    add("key-without-end", gguf([struct.pack("<Q", 1 << 62) + b"a"], listings, data))
    add("key-not-utf8", gguf([field(b"\xff\xfe", U32, struct.pack("<I", 1))], listings, data))
    add("text-without-end", gguf([field("a", TEXT, struct.pack("<Q", (1 << 64) - 1))], listings, data))
    add("field-of-unknown-type", gguf([field("a", 13, b"\0" * 8)], listings, data))
    add("field-twice", gguf(fields + fields, listings, data))
    add("list-of-unknown-type", gguf([field("a", ARRAY, struct.pack("<IQ", 99, 4) + b"\0" * 8)], listings, data))
    add("list-without-end", gguf([field("a", ARRAY, struct.pack("<IQ", U64, 1 << 61))], listings, data))
    add("lists-in-lists", gguf([field("a", ARRAY, struct.pack("<IQ", ARRAY, 1) * 10_000)], listings, data))
    for name, value in [("0", 0), ("3", 3), ("2-31", 1 << 31)]:
        add(f"alignment-{name}", gguf([field("general.alignment", U32, struct.pack("<I", value))], listings, data))
    add("alignment-a-text", gguf([field("general.alignment", TEXT, long_text("32"))], listings, data))
    add("alignment-a-list", gguf([field("general.alignment", ARRAY, struct.pack("<IQI", U32, 1, 32))], listings, data))

    def changed(name, extents, form=0, offset=256, key=names[1], more=()):
        add(name, gguf([*fields, *more], [listings[0], listing(key, extents, form, offset)], data))

    changed("overlap", [768, 8], offset=224)
    changed("same-place", [8, 8], offset=0)
    changed("beyond-the-end", [768, 9])
    changed("far-beyond-the-end", [768, 8], offset=1 << 40)
    changed("offset-2-63", [768, 8], offset=1 << 63)
    changed("offset-all-ones", [768, 8], offset=-32)
    changed("offset-not-aligned", [768, 7], offset=260)
    changed("extent-2-63", [1 << 63, 1])
    changed("extent-negative", [-8, 8])
    changed("overflow", [1 << 32, 1 << 32])
    changed("overflow-behind-zero", [4, 1 << 62, 0])
    changed("overflow-of-bytes", [1 << 61])
    changed("five-axes", [2, 2, 2, 2, 2])
    changed("axes-without-end", [1] * 1000)
    changed("unknown-format", [768, 8], form=200)
    changed("format-that-is-not-read", [768, 8], form=16)
    changed("blocks-beyond-the-end", [768, 1 << 20], form=12)
    changed("rows-of-half-super-blocks", [384, 16], form=12)
    changed("other-shape-of-blocks", [768, 8], form=2, more=[
        field("comfy.gguf.orig_shape." + names[1], ARRAY, struct.pack("<IQII", 5, 2, 8, 800))])
    changed("rows-of-half-blocks", [24, 8], form=8)
    changed("name-twice", [8, 8], key=names[0])
    changed("name-not-utf8", [768, 8], key=b"\xff\xff")
    changed("other-shape-before", [768, 8], more=[
        field("comfy.gguf.orig_shape." + names[1], ARRAY, struct.pack("<IQII", 5, 2, 8, 769))])
    changed("other-shape-a-text", [768, 8], more=[field("comfy.gguf.orig_shape." + names[1], TEXT, long_text("8,768"))])
    changed("other-shape-negative", [768, 8], more=[
        field("comfy.gguf.orig_shape." + names[1], ARRAY, struct.pack("<IQii", 5, 2, -8, -768))])
    add("no-tensors", gguf(fields, [], b""))
    add("language-model", gguf(fields, [listing("blk.0.attn_q.weight", [8, 8], 0, 0)], data))
    files.add("GGUF", "as-an-adapter.gguf", whole, "adapter")


def shards(files):
    tensors = files.base_tensors()
    halves = [tensors[:2], tensors[2:]]
    shard_names = [f"diffusion_pytorch_model-0000{n}-of-00002.safetensors" for n in (1, 2)]
    right = {tensor.name: shard for half, shard in zip(halves, shard_names) for tensor in half}

    def add(name, index, first=None, second=None, code=65, config=None):
        folder = f"folder/{name}"
        for shard, half, data in zip(shard_names, halves, (first, second)):
            data = safetensors(half) if data is None else data
            if data is not False:
                files.write(f"{folder}/{shard}", data)
        if index is not None:
            text = index if isinstance(index, (str, bytes)) else json.dumps({"weight_map": index})
            files.write(f"{folder}/diffusion_pytorch_model.safetensors.index.json", text)
        files.write(f"{folder}/config.json", config or '{"_class_name":"UNet2DConditionModel"}')
        files.add("folder", name, role="base", target=folder, code=code)

    def moved(place):
        return {**right, tensors[0].name: place}

    text = json.dumps({"weight_map": right})
    add("index-empty", "")
    add("index-a-page", "<!DOCTYPE html><html></html>")
    add("index-cut-off", text[:-20])
    add("index-a-list", "[]")
    add("index-without-map", '{"metadata":{}}')
    add("index-map-a-list", '{"weight_map":[]}')
    add("index-map-empty", '{"weight_map":{}}')
    add("index-of-numbers", moved(1))
    add("index-of-nothing", moved(None))
    add("index-deep", '{"weight_map":' * 100_000)
    add("index-not-utf8", text.encode() + b"\xff")
    add("index-utf16", text.encode("utf-16"))
    add("tensor-in-the-other-shard", {**right, tensors[0].name: shard_names[1]})
    both = safetensors([*halves[0], tensors[2]])
    add("tensor-in-both-shards", right, first=both)
    add("tensor-in-both-shards-and-no-index", {k: v for k, v in right.items() if k != tensors[2].name}, first=both)
    add("shard-with-nul", moved(shard_names[0] + "\0"))
    add("tensor-nowhere", {**right, "not.there": shard_names[0]})
    # An input that is missing has an exit code of its own.
    add("shard-not-there", moved("diffusion_pytorch_model-00003-of-00002.safetensors"), code=66)
    add("shard-absent", right, second=False, code=66)
    add("shard-outside", moved("../../good/base.safetensors"))
    add("shard-absolute", moved(files.path("good/base.safetensors")))
    add("shard-above", moved(".."))
    add("shard-without-name", moved(""))
    add("shard-the-folder", moved("."))
    add("shard-the-index", moved("diffusion_pytorch_model.safetensors.index.json"))
    add("shard-the-configuration", moved("config.json"))
    add("shard-cut-off", right, second=safetensors(halves[1])[:-4])
    add("shard-empty", right, second=b"")
    add("shard-a-page", right, second=b"<!DOCTYPE html><html></html>")
    add("shard-that-runs", right, second=b"PK\3\4" + b"cos\nsystem\n")
    add("shard-zeros", right, second=b"\0" * 1000)
    add("no-weights", None, first=False, second=False)
    folder = files.path("folder/shard-a-link-to-the-outside/x")[:-2]
    add("shard-a-link-to-the-outside", moved("link.safetensors"))
    os.symlink(files.path("good/base.safetensors"), folder + "/link.safetensors")
    add("shard-a-loop", moved("loop.safetensors"), code=66)
    os.symlink("loop.safetensors", files.path("folder/shard-a-loop/loop.safetensors"))
    add("shard-a-pipe", moved("pipe.safetensors"))
    os.mkfifo(files.path("folder/shard-a-pipe/pipe.safetensors"))


def configurations(files):
    weights = safetensors(files.base_tensors())
    for name, config in [
        ("empty", ""), ("page", "<!DOCTYPE html>"), ("list", "[]"), ("cut-off", '{"_class_name":'), ("deep", "[" * 100_000),
        ("not-utf8", b'{"_class_name":"\xff"}'),
    ]:
        folder = f"configuration/{name}"
        files.write(f"{folder}/diffusion_pytorch_model.safetensors", weights)
        files.write(f"{folder}/config.json", config)
        files.add("configuration", name, role="base", target=folder)
