"""Writes safetensors, torch pickles and GGUF files byte by byte, right or wrong. Standard library only."""
import io
import json
import struct
import zipfile

SIZES = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "F16": 2, "BF16": 2, "I16": 2, "F32": 4, "I32": 4, "F64": 8, "I64": 8
}


def count(shape):
    product = 1
    for extent in shape:
        product *= extent
    return product


def numbers(random, dtype, shape):
    """Small finite numbers of any format: the bytes of each."""
    encode = {
        "F64": lambda x: struct.pack("<d", x),
        "F32": lambda x: struct.pack("<f", x),
        "F16": lambda x: struct.pack("<e", x),
        "BF16": lambda x: struct.pack("<f", x)[2:],
        "F8_E4M3": lambda x: bytes([random.randrange(0x30, 0x40)]),
        "F8_E5M2": lambda x: bytes([random.randrange(0x30, 0x40)]),
    }[dtype]
    return b"".join(encode(random.gauss(0, 0.1)) for _ in range(count(shape)))


class Tensor:
    """A tensor of a safetensors file. Of dtype, shape and place the header may say something else than is true."""

    def __init__(self, name, dtype, shape, data):
        self.name, self.dtype, self.shape, self.data = name, dtype, shape, data
        self.offsets = None


def safetensors_header(tensors, metadata=None):
    place, entries = 0, []
    if metadata is not None:
        entries.append('"__metadata__":' + json.dumps(metadata, separators=(",", ":")))
    for tensor in tensors:
        offsets = tensor.offsets or [place, place + len(tensor.data)]
        place += len(tensor.data)
        entry = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": offsets}
        entries.append(json.dumps(tensor.name) + ":" + json.dumps(entry, separators=(",", ":")))
    return ("{" + ",".join(entries) + "}").encode()


def safetensors_raw(header, data=b"", length=None):
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def safetensors(tensors, metadata=None):
    header = safetensors_header(tensors, metadata)
    header += b" " * (-len(header) % 8)
    return safetensors_raw(header, b"".join(tensor.data for tensor in tensors))


# Pickles, instruction by instruction.

START, STOP, MARK, REDUCE = b"\x80\x02", b".", b"(", b"R"


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"X" + struct.pack("<I", len(value)) + value


def name(module, function):
    return f"c{module}\n{function}\n".encode()


def integer(value):
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    return b"\x8a\x08" + struct.pack("<q", value)


def items(*values):
    return MARK + b"".join(values) + b"t"


def call(module, function, *arguments):
    return name(module, function) + items(*arguments) + REDUCE


def storage(key, kind, elements):
    return items(text("storage"), name("torch", kind), text(key), text("cpu"), integer(elements)) + b"Q"


def view(key, elements, shape, strides=None, offset=0, kind="FloatStorage"):
    """A tensor as torch pickles it: a window on a storage."""
    if strides is None:
        strides = [count(shape[axis + 1 :]) for axis in range(len(shape))]
    return call(
        "torch._utils", "_rebuild_tensor_v2", storage(key, kind, elements), integer(offset), items(*map(integer, shape)),
        items(*map(integer, strides)), b"\x89", name("collections", "OrderedDict") + b")R")


def dictionary(pairs):
    return b"}" + MARK + b"".join(text(key) + value for key, value in pairs) + b"u"


def archive(program, storages=(), packed=(), root="archive/", more=()):
    """A zip file as torch.save makes it. Entries named in `packed` are deflated."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        entries = [("data.pkl", program)] if program is not None else []
        for key, data in [*entries, *((f"data/{key}", data) for key, data in storages), ("version", b"3\n"), *more]:
            info = zipfile.ZipInfo(root + key, (1980, 1, 1, 0, 0, 0))
            out.writestr(info, data, zipfile.ZIP_DEFLATED if key in packed else zipfile.ZIP_STORED, 6)
    return file.getvalue()


MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19\x2e"
VERSION = START + b"M" + struct.pack("<H", 1001) + STOP
SYSTEM = START + dictionary([("little_endian", b"\x88")]) + STOP


def legacy(program, keys, storages, magic=MAGIC, version=VERSION, system=SYSTEM):
    """A file as torch wrote it before 1.6; storages are pairs of a number of elements and bytes."""
    listed = START + b"](" + b"".join(map(text, keys)) + b"e" + STOP
    return magic + version + system + program + listed + b"".join(struct.pack("<q", n) + data for n, data in storages)


# GGUF

U8, I8, U16, I16, U32, I32, FLOAT, FLAG, TEXT, ARRAY, U64 = range(11)


def long_text(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(value)) + value


def field(key, kind, value):
    return long_text(key) + struct.pack("<I", kind) + value


def listing(key, extents, form, offset):
    return (
        long_text(key) + struct.pack("<I", len(extents)) + b"".join(struct.pack("<Q", n & (1 << 64) - 1) for n in extents)
        + struct.pack("<IQ", form, offset & (1 << 64) - 1))


def gguf(fields, listings, data, version=3, fields_declared=None, tensors_declared=None, alignment=32):
    head = b"GGUF" + struct.pack(
        "<IQQ", version, len(listings) if tensors_declared is None else tensors_declared,
        len(fields) if fields_declared is None else fields_declared)
    head += b"".join(fields) + b"".join(listings)
    return head + b"\0" * (-len(head) % alignment) + data
