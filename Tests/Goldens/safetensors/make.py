"""Files that the reference safetensors library writes, and its verdict on odd ones.

What it makes
    canonical.safetensors   one tensor of every number format that Lathe writes and some it only copies, with names that
                            need escapes, handed over in an order that is not the file's; one metadata entry
    plain.safetensors       two tensors, no metadata; the header happens to need padding
    verdicts.json           files put together by hand (header text, bytes of data), and whether the library opens them

How the contents are chosen
    Byte i of the tensor called n is (7·i + number of UTF-8 bytes in n) mod 251, so that the test can make them again.

Library that wrote the committed files: safetensors 0.8.0 (Python 3.11).

How to run
    pip install safetensors==0.8.0
    python make.py
"""

import ctypes
import json
import pathlib

import safetensors

HERE = pathlib.Path(__file__).resolve().parent
assert safetensors.__version__ == "0.8.0", safetensors.__version__

SIZES = {"bool": 1, "uint8": 1, "int8": 1, "float8_e5m2": 1, "float8_e4m3fn": 1, "int16": 2, "uint16": 2, "float16": 2,
         "bfloat16": 2, "int32": 4, "uint32": 4, "float32": 4, "float64": 8, "int64": 8, "uint64": 8}


def tensor(name, dtype, *shape):
    count = SIZES[dtype]
    for extent in shape:
        count *= extent
    data = bytes((7 * i + len(name.encode())) % 251 for i in range(count))
    return name, dtype, list(shape), data


def write(file, tensors, metadata=None):
    # The library reads raw addresses: `buffers` keeps the memory alive meanwhile.
    buffers = [ctypes.create_string_buffer(data, max(len(data), 1)) for _, _, _, data in tensors]
    specs = {
        name: safetensors.TensorSpec(dtype=dtype, shape=shape, data_ptr=ctypes.addressof(buffer), data_len=len(data))
        for (name, dtype, shape, data), buffer in zip(tensors, buffers)
    }
    (HERE / file).write_bytes(safetensors.serialize(specs, metadata))


write("canonical.safetensors", [
    tensor("b", "uint8", 3), tensor("a", "uint8", 5), tensor("flag", "bool", 3), tensor("i8", "int8", 2, 2),
    tensor("e5m2", "float8_e5m2", 7), tensor("e4m3", "float8_e4m3fn", 1, 3), tensor("i16", "int16", 3),
    tensor("u16", "uint16", 1), tensor("half", "float16", 3, 1), tensor("brain", "bfloat16", 5),
    tensor("i32", "int32", 1), tensor("u32", "uint32", 1), tensor("scalar", "float32"), tensor("none", "float32", 0, 4),
    tensor("f64", "float64", 2), tensor("i64", "int64", 1), tensor("u64", "uint64", 1),
    tensor('quote " backslash \\ slash /', "float32", 1), tensor("line\nreturn\rtab\t", "float32", 1),
    tensor("back\bfeed\fone\x01delete\x7f", "float32", 1), tensor("Größe 日本 🙂", "float32", 2),
    tensor("\uffff", "float32", 1), tensor("Z", "float32", 1), tensor("", "float32", 1),
], {"note": 'all "kinds"\n\b\u0002 of 🙂'})
write("plain.safetensors", [tensor("x", "float16", 2), tensor("ab", "float32", 2)])


def entry(dtype="F32", shape="[1]", offsets="[0,4]", extra=""):
    return f'{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{extra}}}'


A = f'"a":{entry()}'
B = f'"b":{entry(offsets="[4,8]")}'
CASES = [
    ("{}", 0), ("{}\x00", 0), ("{}   ", 0), (" {}", 0), ("\n\t {}\r\n", 0), ("", 0), ("[]", 0), ("{", 0), ("{}}", 0), ("null", 0),
    ("{" + A + "}", 4), ("{" + A + ",}", 4), ("{," + A + "}", 4), ("{" + A + " " + B + "}", 8), ("{" + A + "," + B + "}", 8),
    ("{" + B + "," + A + "}", 8), ("{" + A + "}", 3), ("{" + A + "}", 5), ("{" + A + "," + A + "}", 4),
    ('{"a":' + entry(offsets="[4,8]") + "}", 8), ("{" + A + ',"b":' + entry(offsets="[8,12]") + "}", 12),
    ("{" + A + ',"b":' + entry(offsets="[2,6]") + "}", 6), ("{" + A + ',"b":' + entry() + "}", 4),
    ('{"a":' + entry(offsets="[4,0]") + "}", 4), ('{"a":' + entry(offsets="[0,8]") + "}", 8),
    ('{"a":' + entry(offsets="[0]") + "}", 4), ('{"a":' + entry(offsets="[0,4,4]") + "}", 4),
    ('{"a":' + entry(offsets="[-1,3]") + "}", 4), ('{"a":' + entry(offsets="[0.0,4.0]") + "}", 4),
    ('{"a":' + entry(offsets='["0","4"]') + "}", 4), ('{"a":' + entry(shape="[1.0]") + "}", 4),
    ('{"a":' + entry(shape="[-1]") + "}", 4), ('{"a":' + entry(shape="[01]") + "}", 4), ('{"a":' + entry(shape="[1,]") + "}", 4),
    ('{"a":' + entry(shape="1") + "}", 4), ('{"a":' + entry(shape="null") + "}", 4), ('{"a":' + entry(shape="[]") + "}", 4),
    ('{"a":' + entry(shape="[18446744073709551616]") + "}", 4), ('{"a":' + entry(shape="[4294967296,4294967296]") + "}", 4),
    ('{"a":' + entry(shape="[9223372036854775807,2]") + "}", 4), ('{"a":' + entry(shape="[0,5]", offsets="[0,0]") + "}", 0),
    ('{"a":' + entry(shape="[0]", offsets="[0,0]") + ',"b":' + entry(shape="[0]", offsets="[0,0]") + "}", 0),
    ("{" + A + ',"b":' + entry(shape="[0]", offsets="[2,2]") + "}", 4), ("{" + A + ',"b":' + entry(shape="[0]", offsets="[4,4]") + "}", 4),
    ('{"a":' + entry(dtype="F31") + "}", 4), ('{"a":' + entry(dtype="f32") + "}", 4), ('{"a":' + entry(dtype="") + "}", 4),
    ('{"a":{"shape":[1],"data_offsets":[0,4]}}', 4), ('{"a":{"dtype":"F32","data_offsets":[0,4]}}', 4),
    ('{"a":{"dtype":"F32","shape":[1]}}', 4), ('{"a":{}}', 0), ('{"a":[]}', 0), ('{"a":null}', 0), ('{"a":4}', 0),
    ('{"a":' + entry(extra=',"note":{"x":[1,-2.5e3,true,null,"y"]}') + "}", 4), ('{"a":' + entry(extra=',"dtype":"F32"') + "}", 4),
    ('{"a":' + entry(extra=',"shape":[1]') + "}", 4), ('{"a":' + entry(extra=',"data_offsets":[0,4]') + "}", 4),
    ('{"a":' + entry(extra=',"n":+1') + "}", 4), ('{"a":' + entry(extra=',"n":01') + "}", 4), ('{"a":' + entry(extra=',"n":1.') + "}", 4),
    ('{"a":' + entry(extra=',"n":.5') + "}", 4), ('{"a":' + entry(extra=',"n":-') + "}", 4), ('{"a":' + entry(extra=',"n":1e5') + "}", 4),
    ('{"a":' + entry(extra=',"n":-0') + "}", 4), ('{"a":' + entry(extra=',"n":1E+2') + "}", 4), ('{"a":' + entry(extra=',"n":truth') + "}", 4),
    ('{"a":' + entry(extra=',"n":[1,]') + "}", 4), ('{"a":' + entry(extra=',"n":{"k":}') + "}", 4), ('{"a":' + entry(extra=',"n":NaN') + "}", 4),
    ('{"__metadata__":null}', 0), ('{"__metadata__":{}}', 0), ('{"__metadata__":{"k":"v"}}', 0), ('{"__metadata__":{"k":1}}', 0),
    ('{"__metadata__":{"k":null}}', 0), ('{"__metadata__":{"k":{}}}', 0), ('{"__metadata__":[]}', 0), ('{"__metadata__":"x"}', 0),
    ('{"__metadata__":{"k":"v"},"__metadata__":{"k":"v"}}', 0), ('{"__metadata__":{"k":"v","k":"w"}}', 0),
    ('{"__metadata__":{"k":"\\ud83d\\ude42\\u00e9\\/\\b\\f\\n\\r\\t\\"\\\\"}}', 0), ('{"__metadata__":{"k":"\\ud83d"}}', 0),
    ('{"__metadata__":{"k":"\\ude42"}}', 0), ('{"__metadata__":{"k":"\\ud83dx"}}', 0), ('{"__metadata__":{"k":"\\ud83d\\u0041"}}', 0),
    ('{"__metadata__":{"k":"\\x"}}', 0), ('{"__metadata__":{"k":"\\u00g0"}}', 0), ('{"__metadata__":{"k":"\\u00"}}', 0),
    ('{"__metadata__":{"k":"a\nb"}}', 0), ('{"__metadata__":{"k":"a\x7fb"}}', 0), ('{"__metadata__":{"k":"a}}', 0),
    ("{'a':1}", 0), ('{a:1}', 0), ('{"a" ' + entry() + "}", 4), ('{"":' + entry() + "}", 4), ("{" + A + "}// comment", 4),
    ('{"a":' + entry(dtype="F4", shape="[2]", offsets="[0,1]") + "}", 1), ('{"a":' + entry(dtype="F4", shape="[3]", offsets="[0,1]") + "}", 1),
    ('{"a":' + entry(dtype="F4", shape="[3]", offsets="[0,2]") + "}", 2), ('{"a":' + entry(dtype="F6_E2M3", shape="[4]", offsets="[0,3]") + "}", 3),
    ('{"a":' + entry(dtype="F6_E3M2", shape="[3]", offsets="[0,3]") + "}", 3), ('{"a":' + entry(dtype="C64", shape="[1]", offsets="[0,8]") + "}", 8),
    ('{"a":' + entry(dtype="F8_E8M0", shape="[4]") + "}", 4), ('{"a":' + entry(dtype="F8_E4M3FNUZ", shape="[4]") + "}", 4),
    ('{"a":' + entry(dtype="F8_E5M2FNUZ", shape="[4]") + "}", 4), ('{"a":' + entry(dtype="BF16", shape="[2]") + "}", 4),
    ('{"a":' + entry(dtype="U16", shape="[2]") + "}", 4), ('{"a":' + entry(dtype="BOOL", shape="[4]") + "}", 4),
]


def opens(header, count):
    text = header.encode()
    try:
        safetensors.deserialize(len(text).to_bytes(8, "little") + text + bytes(count))
        return True
    except Exception:
        return False


# One case to a line, so that a change is seen.
lines = [json.dumps({"header": h, "data": n, "accepted": opens(h, n)}, ensure_ascii=True) for h, n in CASES]
(HERE / "verdicts.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
