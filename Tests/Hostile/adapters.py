"""Broken adapters: safetensors files, folders of PEFT, and what is no adapter at all."""
import gzip
import json
import os
import struct

from containers import SIZES, Tensor, archive, count, field, gguf, listing, long_text, numbers, safetensors, safetensors_header, safetensors_raw, view

MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def make(files):
    truncated(files)
    flipped(files)
    headers(files)
    places(files)
    shapes(files)
    not_finite(files)
    duplicates(files)
    something_else(files)
    folders(files)
    algorithms(files)
    tuners(files)
    forms(files)
    names(files)


def is_sound(data, names):
    """Whether the header is what the format says, and names just these tensors: a strict reader of its own."""
    try:
        length = struct.unpack("<Q", data[:8])[0]
        header = data[8 : 8 + length]
        if length > len(data) - 8:
            return False
        place, parsed = 0, json.loads(header.decode(), object_pairs_hook=lambda pairs: pairs)
        entries = [(key, dict(value)) for key, value in parsed if key != "__metadata__"]
        if sorted(key for key, _ in entries) != sorted(names) or len(set(map(lambda pair: pair[0], parsed))) != len(parsed):
            return False
        for key, value in sorted(entries, key=lambda entry: entry[1]["data_offsets"]):
            begin, end = value["data_offsets"]
            if begin != place or end - begin != count(value["shape"]) * SIZES[value["dtype"]]:
                return False
            place = end
        return place == len(data) - 8 - length
    except (ValueError, KeyError, TypeError, struct.error):
        return False


def truncated(files):
    data = safetensors(files.adapter_tensors())
    header = struct.unpack("<Q", data[:8])[0]
    lengths = {0, 1, 7, 8, 9, 8 + header, len(data) - 1, len(data) - 4}
    while len(lengths) < 16:
        lengths.add(files.random.randrange(10, len(data)))
    for length in sorted(lengths):
        files.add("truncated adapter", f"{length}.safetensors", data[:length])


def flipped(files):
    tensors = files.adapter_tensors()
    data, names = safetensors(tensors), [tensor.name for tensor in tensors]
    assert is_sound(data, names)
    end, number = 8 + struct.unpack("<Q", data[:8])[0], 0
    while number < 30:
        # Every third hits the length field, or the first bytes behind it.
        place = files.random.randrange(12 if number % 3 == 0 else end)
        bit = files.random.randrange(8)
        damaged = bytearray(data)
        damaged[place] ^= 1 << bit
        if not is_sound(bytes(damaged), names):
            files.add("flipped bit", f"{number:02}-byte-{place}-bit-{bit}.safetensors", bytes(damaged))
            number += 1


def headers(files):
    def add(name, header, data=b"", length=None):
        files.add("header", name + ".safetensors", safetensors_raw(header, data, length))

    good = files.adapter_tensors()
    text, data = safetensors_header(good).decode(), b"".join(tensor.data for tensor in good)
    for name, length in [
        ("length-all-ones", (1 << 64) - 1), ("length-2-63", 1 << 63), ("length-above-limit", 100_000_001),
        ("length-at-limit", 100_000_000), ("length-4-gigabytes", 1 << 32), ("length-too-long-by-one", len(text) + len(data) + 1),
        ("length-too-short-by-one", len(text) - 1), ("length-zero", 0),
    ]:
        add(name, text, data, length)
    # A hundred megabytes that are not there: the file has a hole.
    for name, first in [("hole-of-zeros", b"\0"), ("hole-behind-a-brace", b"{"), ("hole-in-a-string", b'{"')]:
        path = files.path(f"header/{name}.safetensors")
        with open(path, "wb") as file:
            file.write(struct.pack("<Q", 99_999_992) + first)
            file.truncate(100_000_000)
        files.add("header", f"{name}.safetensors")
    add("ten-megabytes-of-space", " " * 10_000_000)
    add("five-megabytes-of-brackets", '{"a":{"x":' + "[" * 5_000_000)
    add("nested-objects", '{"a":{"x":' + '{"x":' * 100_000 + "1" + "}" * 100_002)
    add("million-extents", '{"a":{"dtype":"U8","shape":[' + ",".join(["1"] * 1_000_000) + '],"data_offsets":[0,1]}}', b"\1")
    add("million-digits", '{"a":{"dtype":"U8","shape":[' + "1" * 1_000_000 + '],"data_offsets":[0,1]}}', b"\1")
    empty = '"dtype":"U8","shape":[0],"data_offsets":[0,0]'
    add("three-hundred-thousand-tensors", "{" + ",".join(f'"{n}":{{{empty}}}' for n in range(300_000)) + "}")
    add("name-of-five-megabytes", '{"' + "a" * 5_000_000 + f'":{{{empty}}}}}')
    add("metadata-of-ten-megabytes", '{"__metadata__":{"a":"' + "b" * 10_000_000 + '"},' + text[1:-1], data)
    add("metadata-of-numbers", '{"__metadata__":{"a":1},' + text[1:], data)
    add("metadata-list", '{"__metadata__":[],' + text[1:], data)
    add("a-list", "[" + text + "]", data)
    add("two-objects", text + text, data)
    add("null", "null")
    add("not-utf8", text.replace("attn1", "attn\udcff", 1).encode("utf8", "surrogateescape"), data)
    add("utf16", text.encode("utf-16-le"), data)
    add("byte-order-mark", "\ufeff" + text, data)
    add("lone-surrogate", text.replace("attn1", "\\ud800", 1), data)
    add("control-character", text.replace("attn1", "attn\n", 1), data)
    add("python-quotes", text.replace('"', "'"), data)
    add("zeros-behind", text + "\0" * 8, data)
    add("unknown-format", text.replace("F32", "F31", 1), data)
    add("other-format", text.replace("F32", "F16", 1), data)
    add("python-format", text.replace("F32", "torch.float32", 1), data)


def places(files):
    size = 64

    def add(name, first, second, bytes_of_data=2 * size, shape="[8,2]", down="[2,8]"):
        header = (
            f'{{"{MODULE}.lora_up.weight":{{"dtype":"F32","shape":{shape},"data_offsets":{first}}},'
            f'"{MODULE}.lora_down.weight":{{"dtype":"F32","shape":{down},"data_offsets":{second}}}}}')
        files.add("offsets", name + ".safetensors", safetensors_raw(header, b"\0\0\x80\x3f" * (bytes_of_data // 4)))

    add("overlap", [0, 64], [32, 96], 96)
    add("overlap-by-one-byte", [0, 64], [63, 127], 127)
    add("same-place", [0, 64], [0, 64], 64)
    add("one-inside-the-other", [0, 128], [32, 96], 128, shape="[16,2]")
    add("gap", [0, 64], [68, 132], 132)
    add("not-from-zero", [4, 68], [68, 132], 132)
    add("reversed", [64, 0], [64, 128])
    add("beyond-the-end", [0, 64], [64, 128], 100)
    add("far-beyond-the-end", [0, 64], [1 << 40, (1 << 40) + 64])
    add("bytes-behind", [0, 64], [64, 128], 256)
    add("negative", [0, 64], [-64, 0])
    add("fractions", [0, 64], "[64.0,128.0]")
    add("texts", [0, 64], '["64","128"]')
    add("three", [0, 64], [64, 128, 192])
    add("one", [0, 64], [64])
    add("none", [0, 64], [])
    add("null", [0, 64], "null")
    add("largest-number", [0, 64], [(1 << 63) - 65, (1 << 63) - 1])
    add("beyond-largest-number", [0, 64], [1 << 64, (1 << 64) + 64])
    add("too-short", [0, 64], [64, 124], 124)


def shapes(files):
    def add(name, up, down, up_data=None, down_data=None, mid=None, dtype="F32"):
        def tensor(part, shape, data):
            return Tensor(f"{MODULE}.{part}.weight", dtype, shape, numbers(files.random, dtype, shape) if data is None else data)

        tensors = [tensor("lora_up", up, up_data), tensor("lora_down", down, down_data)]
        if mid:
            tensors.append(tensor("lora_mid", mid, None))
        files.add("shape", name + ".safetensors", safetensors(tensors))

    add("negative", [-8, 2], [2, 8], b"\0" * 64)
    add("negative-twice", [-8, -2], [2, 8], b"\0" * 64)
    add("rank-0", [8, 0], [0, 8])
    add("no-rows", [0, 2], [2, 8])
    add("no-columns", [8, 2], [2, 0])
    add("scalars", [], [])
    add("vectors", [8], [8])
    add("other-ranks", [8, 2], [3, 8])
    add("six-axes", [8, 2, 1, 1, 1, 1], [2, 8])
    add("kernel-in-up", [8, 2, 3, 3], [2, 8, 3, 3])
    add("overflow", [1 << 32, 1 << 32], [2, 8], b"\0" * 64)
    add("overflow-of-bytes", [1 << 61], [2, 8], b"\0" * 64)
    add("overflow-behind-zero", [0, 1 << 62, 4], [2, 8], b"")
    add("overflow-before-zero", [1 << 62, 4, 0], [2, 8], b"")
    add("largest-number", [(1 << 63) - 1, 0], [0, (1 << 63) - 1], b"", b"")
    add("beyond-largest-number", [1 << 63, 0], [0, 8], b"", b"")
    add("hundred-axes", [1] * 100, [1] * 100)
    add("mid-of-other-rank", [8, 2], [2, 8], mid=[3, 2, 3, 3])
    add("mid-without-kernel", [8, 2], [2, 8], mid=[2, 2])
    add("mid-that-explodes", [1, 60_000], [1, 60_000], mid=[60_000, 1, 1])
    for name, shape in [("fraction", "[8.0,2]"), ("text", '["8",2]'), ("nested", "[[8,2]]"), ("null", "null"), ("object", "{}")]:
        header = f'{{"{MODULE}.lora_up.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,64]}}}}'
        files.add("shape", name + ".safetensors", safetensors_raw(header, b"\0" * 64))
    for name, value in [("alpha-of-two", [2]), ("alpha-of-none", [0])]:
        tensors = files.adapter_tensors()
        tensors[2] = Tensor(tensors[2].name, "F32", value, b"\0\0\x80\x3f" * count(value))
        files.add("shape", name + ".safetensors", safetensors(tensors))


NOT_FINITE = {
    "F64": {"nan": struct.pack("<d", float("nan")), "infinity": struct.pack("<d", float("inf"))},
    "F32": {"nan": b"\x01\0\x80\x7f", "infinity": b"\0\0\x80\xff"},
    "F16": {"nan": b"\0\x7e", "infinity": b"\0\x7c"},
    "BF16": {"nan": b"\xc0\x7f", "infinity": b"\x80\xff"},
    "F8_E4M3": {"nan": b"\x7f"},
    "F8_E5M2": {"nan": b"\x7e", "infinity": b"\x7c"},
}


def not_finite(files):
    for dtype, values in NOT_FINITE.items():
        for name, value in values.items():
            tensors = files.adapter_tensors(dtype)
            hit = tensors[files.random.choice([0, 1, 3, 4])]
            place = files.random.randrange(count(hit.shape)) * SIZES[dtype]
            hit.data = hit.data[:place] + value + hit.data[place + SIZES[dtype] :]
            files.add("not finite", f"{name}-{dtype}.safetensors", safetensors(tensors), needs_weights=True)
    tensors = files.adapter_tensors()
    for tensor in tensors:
        tensor.data = b"\xff" * len(tensor.data)
    files.add("not finite", "all-ones.safetensors", safetensors(tensors))
    for name, value in NOT_FINITE["F32"].items():
        tensors = files.adapter_tensors()
        tensors[2].data = value
        files.add("not finite", f"alpha-{name}.safetensors", safetensors(tensors))
        tensors = files.adapter_tensors()
        tensors[2] = Tensor(MODULE + ".scale", "F32", [], value)
        files.add("not finite", f"scale-{name}.safetensors", safetensors(tensors))


def duplicates(files):
    good = files.adapter_tensors()
    text, data = safetensors_header(good).decode(), b"".join(tensor.data for tensor in good)

    def add(name, header, more=b""):
        files.add("duplicate keys", name + ".safetensors", safetensors_raw(header, data + more))

    first = text[1:].split("},")[0] + "}"
    add("tensor", "{" + first + "," + text[1:])
    add("tensor-escaped", "{" + first.replace("lora_up", "lora\\u005fup") + "," + text[1:])
    add("metadata", '{"__metadata__":{},"__metadata__":{},' + text[1:])
    add("dtype", text.replace('"dtype":"F32"', '"dtype":"F32","dtype":"F16"', 1))
    add("shape", text.replace('"shape"', '"shape":[2],"shape"', 1))
    add("offsets", text.replace('"data_offsets"', '"data_offsets":[0,4],"data_offsets"', 1))
    more = loose(files, "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q")
    files.add("duplicate keys", "target-in-two-block-names.safetensors", safetensors(good + more))
    more = [files.tensor(f"{MODULE}.lora.up.weight", "F32", [8, 2])]
    files.add("duplicate keys", "factor-in-two-spellings.safetensors", safetensors(good + more))


def something_else(files):
    def add(name, data, role="adapter"):
        files.add("something else", name, data, role)

    pages = {
        "page": "<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body>Please log in.</body></html>",
        "page-without-doctype": "<html><body>404</body></html>", "page-behind-space": "\n\n  <!doctype HTML><html></html>",
        "xml": '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "json": '{"error":"Repository not found"}', "text": "Entry not found",
        "pointer": "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 151112648\n",
    }
    for name, text in pages.items():
        add(name + ".safetensors", text)
        add(name + "-as-base.safetensors", text, "base")
    add("page.pt", pages["page"])
    add("page.gguf", pages["page"], "base")
    add("zeros.safetensors", b"\0" * 4096)
    add("ones.safetensors", b"\xff" * 4096)
    for number in range(4):
        add(f"noise-{number}.safetensors", files.random.randbytes(4096))
    add("picture.safetensors", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + files.random.randbytes(500))
    add("photo.safetensors", b"\xff\xd8\xff\xe0\0\x10JFIF\0" + files.random.randbytes(500))
    add("packed.safetensors", gzip.compress(safetensors(files.adapter_tensors()), mtime=0))
    add("program.safetensors", b"\x7fELF\x02\x01\x01" + b"\0" * 500)
    add("tar.safetensors", b"adapter.safetensors".ljust(257, b"\0") + b"ustar\0" + b"\0" * 761)
    add("other-zip.safetensors", archive(None, more=[("readme.txt", b"hello")]))
    add("checkpoint-as-adapter.safetensors", safetensors(files.base_tensors()))
    add("embedding.safetensors", safetensors([files.tensor("emb_params", "F32", [2, 768])]))
    add("no-tensors.safetensors", safetensors([]))
    add("unknown-tensor.safetensors", safetensors(files.adapter_tensors() + [files.tensor("what.is.this", "F32", [2])]))
    add("lone-factor.safetensors", safetensors(files.adapter_tensors()[:1]))
    add("lone-alpha.safetensors", safetensors(files.adapter_tensors()[2:3]))
    negative = [f"text_encoder:-{number}" for number in range(1, 5)]
    add("numbers-in-names.safetensors", safetensors(numbered(files, *negative, "unet:-9223372036854775808")))
    lettered = ["unet:one", "unet:two", *(f"text_encoder:{letter}" for letter in "abcd")]
    add("no-numbers-in-names.safetensors", safetensors(loose(files, *lettered) + files.adapter_tensors()[:1]))
    large = (1 << 63) - 1
    blocks = [f"lora_unet_{start}_{large}_{large}_conv" for start in ("input_blocks", "output_blocks", "middle_block")]
    blocks += [f"lora_unet_down_blocks_{large}_attentions_{large}_x", f"lora_unet_mid_block_resnets_{large}_conv1"]
    add("blocks-without-end.safetensors", safetensors(loose(files, *blocks) + files.adapter_tensors()[:1]))
    os.mkfifo(files.path("something else/pipe.safetensors"))
    files.add("something else", "pipe.safetensors")
    os.symlink("loop.safetensors", files.path("something else/loop.safetensors"))
    # There is no such input: the system says so before anything is read.
    files.add("something else", "loop.safetensors", code=74)


def numbered(files, *modules):
    return [files.tensor(f"{module}:{side}", "F32", [8, 8]) for module in modules for side in ("up", "down")]


def loose(files, *modules):
    return [
        files.tensor(f"{module}.lora_{side}.weight", "F32", shape)
        for module in modules for side, shape in (("up", [8, 2]), ("down", [2, 8]))
    ]


def folders(files):
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    tensors = [files.tensor(module + ".lora_A.weight", "F32", [2, 8]), files.tensor(module + ".lora_B.weight", "F32", [8, 2])]
    weights = safetensors(tensors)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "target_modules": ["q_proj"]}

    def add(name, text, data=weights, file="adapter_model.safetensors"):
        if data is not None:
            files.write(f"PEFT folder/{name}/{file}", data)
        if text is not None:
            files.write(f"PEFT folder/{name}/adapter_config.json", text)
        files.add("PEFT folder", name)

    def changed(**fields):
        return json.dumps({**config, **fields})

    add("empty", "")
    add("page", "<!DOCTYPE html><html></html>")
    add("list", "[]")
    add("text", '"LORA"')
    add("cut-off", json.dumps(config)[:-10])
    add("two-objects", json.dumps(config) * 2)
    add("alpha-twice", json.dumps(config)[:-1] + ',"lora_alpha":8}')
    add("comma-before-the-end", json.dumps(config)[:-1] + ",}")
    add("deep-brackets", json.dumps(config)[:-1] + ',"x":[' + ",".join("[" * 500 + "]" * 500 for _ in range(500)) + "]}")
    add("not-utf8", json.dumps(config).encode() + b"\xff")
    add("deep", '{"r":' + "[" * 200_000)
    add("deep-and-whole", '{"r":2,"x":' + "[" * 100_000 + "]" * 100_000 + "}")
    add("large", '{"r":2,"x":[' + "0," * 5_000_000 + "0]}")
    add("comment", json.dumps(config) + "// LoRA")
    add("alpha-nan", changed(lora_alpha=float("nan")))
    add("alpha-beyond-numbers", json.dumps(config).replace("4", "1e999"))
    add("alpha-text", changed(lora_alpha="4"))
    add("alpha-list", changed(lora_alpha=[4]))
    add("flag-text", changed(use_rslora="yes"))
    add("transposed-text", changed(fan_in_fan_out="false"))
    add("type-number", changed(peft_type=1))
    add("pattern-list", changed(rank_pattern=["q_proj"]))
    add("pattern-text", changed(alpha_pattern={"q_proj": "4"}))
    add("pattern-open", changed(rank_pattern={"(q_proj": 2}))
    add("pattern-deep", changed(rank_pattern={"(" * 20_000 + ")" * 20_000: 2}))
    add("pattern-reference", changed(rank_pattern={"(.)\\1": 2}))
    add("layers-replicated", changed(layer_replication=[[0, 1]]))
    add("no-weights", json.dumps(config), None)
    add("weights-cut-off", json.dumps(config), weights[:-20])
    add("weights-a-page", json.dumps(config), b"<!DOCTYPE html><html></html>")
    add("weights-empty", json.dumps(config), b"")
    add("weights-of-another-rank", json.dumps(config), safetensors([tensors[0], files.tensor(tensors[1].name, "F32", [8, 3])]))
    add("weights-not-finite", json.dumps(config), safetensors([tensors[0], Tensor(tensors[1].name, "F32", [8, 2], b"\xff" * 64)]))
    files.cases[-1]["needs_weights"] = True
    add("weights-that-run", json.dumps(config), archive(b"\x80\x02cos\nsystem\n(X\x04\0\0\0truetR."), "adapter_model.bin")
    repeats = archive(b"\x80\x02}(" + b"".join(
        b"X" + struct.pack("<I", len(name)) + name.encode() + view("0", 4, [1 << 20], [0])
        for name in (f"{module}.lora_A.{n}.weight" for n in range(200))) + b"u.", [("0", b"\0" * 16)])
    add("weights-that-repeat", json.dumps(config), repeats, "adapter_model.bin")
    # A pattern that takes exponential time in engines that go back, and does not match.
    long = f"base_model.model.{'a' * 60}!"
    slow = safetensors([files.tensor(long + ".lora_A.weight", "F32", [2, 8]), files.tensor(long + ".lora_B.weight", "F32", [8, 3])])
    add("pattern-slow", changed(rank_pattern={"(a+)+": 2, "(a|aa)+b": 3, ".*.*.*.*.*.*.*.*x": 4}), slow)


def algorithms(files):
    """Small matrices whose products are large, or do not fit."""
    def add(name, **parts):
        tensors = [files.tensor(f"{MODULE}.{part}", "F32", shape) for part, shape in parts.items()]
        files.add("algorithm", name + ".safetensors", safetensors(tensors))

    add("kronecker-explodes", lokr_w1=[200, 200], lokr_w2=[200, 200])
    add("kronecker-of-rank-1-explodes", lokr_w1_a=[50_000, 1], lokr_w1_b=[1, 50_000], lokr_w2_a=[50_000, 1], lokr_w2_b=[1, 50_000])
    add("elementwise-explodes", hada_w1_a=[50_000, 1], hada_w1_b=[1, 50_000], hada_w2_a=[50_000, 1], hada_w2_b=[1, 50_000])
    add("core-explodes", hada_w1_a=[60_000, 1], hada_w1_b=[1, 60_000], hada_t1=[60_000, 1, 1], hada_w2_a=[1, 1], hada_w2_b=[1, 1])
    add("kronecker-half", lokr_w1=[4, 4])
    add("kronecker-other-ranks", lokr_w1=[2, 2], lokr_w2_a=[4, 2], lokr_w2_b=[3, 4])
    add("kronecker-vector", lokr_w1=[4], lokr_w2=[2, 2])
    add("elementwise-other-shapes", hada_w1_a=[8, 2], hada_w1_b=[2, 8], hada_w2_a=[8, 2], hada_w2_b=[2, 9])
    add("elementwise-half", hada_w1_a=[8, 2], hada_w1_b=[2, 8])
    add("difference-empty", diff=[8, 0])


def tuners(files):
    """PEFT's smaller types whose tensors do not fit each other, or stand for weights that cannot be."""
    module = "base_model.model.model.layers.0.self_attn.q_proj"

    def add(kind, name, tensors, shared=(), **fields):
        made = [files.tensor(f"{module}.{part}", "F32", shape) for part, shape in tensors.items()]
        made += [files.tensor(f"base_model.{part}", "F32", shape) for part, shape in shared]
        files.write(f"PEFT type/{kind}-{name}/adapter_model.safetensors", safetensors(made))
        files.write(f"PEFT type/{kind}-{name}/adapter_config.json", json.dumps({"peft_type": kind.upper(), "r": 2, **fields}))
        files.add("PEFT type", f"{kind}-{name}")

    add("miss", "not-square", {"miss_block": [2, 3, 4]})
    add("miss", "vector", {"miss_block": [8]})
    add("delora", "half", {"delora_A": [2, 8], "delora_lambda": [1], "delora_w_norm": [8]})
    add("delora", "other-inputs", {"delora_A": [2, 8], "delora_B": [8, 2], "delora_lambda": [1], "delora_w_norm": [7]})
    add("gralora", "uneven", {"gralora_A": [2, 4, 3], "gralora_B": [2, 3, 4]})
    add("gralora", "half-common", {"gralora_A": [2, 4, 2], "gralora_B": [2, 2, 4], "gralora_A_general.weight": [1, 8]})
    add("c3a", "explodes", {"c3a_kernel": [1, 1, 100_000]})
    add("c3a", "empty", {"c3a_kernel": [1, 0, 4]})
    add("road", "odd-groups", {"road_theta": [6], "road_alpha": [6]}, group_size=3)
    add("road", "text", {"road_theta": [6], "road_alpha": [6]}, group_size="4")
    add("road", "no-variant", {"road_theta": [6], "road_alpha": [6]}, group_size=4, variant="road_9")
    add("shira", "nowhere", {"shira_weight": [4], "shira_indices": [2, 4]})
    add("shira", "other-count", {"shira_weight": [4], "shira_indices": [2, 3]})
    add("randlora", "no-bases", {"randlora_lambda": [2, 4], "randlora_gamma": [4, 8]})
    add("vblora", "no-bank", {"vblora_logits_A": [2, 2, 6], "vblora_logits_B": [2, 2, 6]})
    add("vblora", "too-many", {"vblora_logits_A": [2, 2, 6], "vblora_logits_B": [2, 2, 6]}, [("vblora_vector_bank", [6, 4])], topk=7)
    add("pvera", "odd", {"pvera_lambda_b": [8], "pvera_lambda_d": [3]}, [("pvera_A", [3, 8]), ("pvera_B", [8, 1])])
    add("tinylora", "several", {"tinylora_A": [2, 8], "tinylora_B": [8, 2], "tinylora_P": [3, 2, 2]}, [("tinylora_v.0", [3]), ("tinylora_v.1", [3])])
    add("glora", "half", {"glora_A.Xd": [8, 2], "glora_B.X": [1]})
    add("hira", "half", {"hira_A": [2, 8]})


def forms(files):
    """Adapters of other programs: mlx-lm's folders and llama.cpp's files."""
    module = "model.layers.0.self_attn.v_proj"

    def mlx(name, tensors, text):
        made = [files.tensor(f"{module}.{part}", "F32", shape) for part, shape in tensors.items()]
        files.write(f"MLX folder/{name}/adapters.safetensors", safetensors(made))
        if text is not None:
            files.write(f"MLX folder/{name}/adapter_config.json", text)
        files.add("MLX folder", name)

    good = json.dumps({"fine_tune_type": "lora", "lora_parameters": {"rank": 2, "scale": 2.0}})
    mlx("no-configuration", {"lora_a": [8, 2], "lora_b": [2, 8]}, None)
    mlx("no-scale", {"lora_a": [8, 2], "lora_b": [2, 8]}, json.dumps({"lora_parameters": {"rank": 2}}))
    mlx("scale-text", {"lora_a": [8, 2], "lora_b": [2, 8]}, good.replace("2.0", '"2"'))
    mlx("experts", {"lora_a": [2, 8, 2], "lora_b": [2, 2, 8]}, good)
    mlx("other-ranks", {"lora_a": [8, 2], "lora_b": [3, 8]}, good)

    def llama(name, architecture, alpha, tensors):
        data, listings = b"", []
        for part, extents in tensors.items():
            listings.append(listing(part, extents, 0, len(data)))
            data += numbers(files.random, "F32", extents)
            data += bytes(-len(data) % 32)
        texts = [("general.type", "adapter"), ("adapter.type", "lora")] + ([("general.architecture", architecture)] if architecture else [])
        fields = [field(key, 8, long_text(value)) for key, value in texts] + [field("adapter.lora.alpha", 6, struct.pack("<f", alpha))]
        files.add("GGUF adapter", name + ".gguf", gguf(fields, listings, data))

    pair = {"blk.0.attn_v.weight.lora_a": [8, 2], "blk.0.attn_v.weight.lora_b": [2, 8]}
    llama("no-architecture", None, 4, pair)
    llama("odd-architecture", "flux", 4, pair)
    llama("alpha-nan", "qwen3", float("nan"), pair)
    llama("half", "qwen3", 4, {"blk.0.attn_v.weight.lora_a": [8, 2]})
    llama("odd-name", "qwen3", 4, pair | {"blk.0.odd.weight.lora_a": [8, 2]})
    llama("minus-layer", "qwen3", 4, {"blk.-1.attn_v.weight.lora_a": [8, 2], "blk.-1.attn_v.weight.lora_b": [2, 8]})
    llama("other-ranks", "qwen3", 4, {"blk.0.attn_v.weight.lora_a": [8, 2], "blk.0.attn_v.weight.lora_b": [3, 8]})


def names(files):
    """Names that would be more than one line, or no line, of a message."""
    for name, text in [
        ("end-of-line", "x\nlathe: error: all is well"), ("carriage-return", "x\rlathe: all is well"), ("escape", "\x1b[2J\x1b[H"),
        ("one-byte-escape", "\x9b2J"), ("turned-around", "x\u202egpj.scod"), ("nothing", ""), ("zero", "a\0b"),
        ("quotes", "\"'`$(touch executed)"), ("percent", "%s%n%d%@"), ("path", "../../../../etc/passwd"),
    ]:
        tensors = files.adapter_tensors()
        files.add("name", name + ".safetensors", safetensors([*tensors, Tensor(text, "F32", [1], b"\0\0\x80\x3f")]))
    tensors = [Tensor(f"base_model.model.x{n}.weight", "U8", [0], b"") for n in range(20_000)]
    tensors.append(Tensor("what.is.this", "U8", [0], b""))
    files.add("name", "twenty-thousand-modules.safetensors", safetensors(tensors))
    tensors = [Tensor(f"what.is.this.{n}", "U8", [0], b"") for n in range(50_000)]
    files.add("name", "fifty-thousand-unknown.safetensors", safetensors(tensors))
    tensors = [Tensor(f"lora_unet_x{n}.lora_up.weight", "U8", [0], b"") for n in range(50_000)]
    files.add("name", "fifty-thousand-halves.safetensors", safetensors(tensors))
    tensors = files.adapter_tensors() + [Tensor("a" * 5_000_000, "U8", [0], b"")]
    files.add("name", "five-megabytes.safetensors", safetensors(tensors))
