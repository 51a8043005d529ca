"""Broken and hostile torch pickles: programs that would run something, ask for too much, or lie about where tensors are."""
import pickle
import struct

from containers import (
    MAGIC, REDUCE, START, STOP, archive, call, dictionary, integer, items, legacy, name, storage, text, view)

MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
UP, DOWN = MODULE + ".lora_up.weight", MODULE + ".lora_down.weight"


def make(files):
    running(files)
    programs(files)
    values(files)
    views(files)
    archives(files)
    old(files)


class Payload:
    """What a pickle of this class would run when it is read by Python."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        import os

        return os.system, (self.command,)


def running(files):
    marker = files.path("executed")
    command = f"touch {marker}"

    def add(name, program, pack=archive):
        data = [("0", files.random.randbytes(64))]
        files.add("pickle that runs", name, pack(program, data) if pack is archive else program)

    good = view("0", 16, [4, 4])
    for protocol in range(6):
        # Python's own pickles, whole and as the value of a dictionary.
        add(f"os-system-{protocol}.pt", pickle.dumps(Payload(command), protocol))
        add(f"os-system-in-a-dictionary-{protocol}.ckpt", pickle.dumps({UP: Payload(command)}, protocol))
        add(f"bare-{protocol}.pt", pickle.dumps(Payload(command), protocol), None)
    run = text(command)
    for module, function in [
        ("os", "system"), ("posix", "system"), ("nt", "system"), ("os", "popen"), ("subprocess", "call"), ("subprocess", "Popen"),
        ("builtins", "eval"), ("builtins", "exec"), ("__builtin__", "eval"), ("builtins", "__import__"), ("runpy", "run_path"),
        ("shutil", "rmtree"), ("sys", "exit"), ("socket", "create_connection"), ("importlib", "import_module"),
        ("operator", "methodcaller"), ("pickle", "loads"), ("webbrowser", "open"), ("builtins", "getattr"), ("pty", "spawn"),
    ]:
        program = START + dictionary([(UP, good), (DOWN, good), ("x", call(module, function, run))]) + STOP
        add(f"{module}-{function}.pt", program)
    add("stacked-name.pt", START + text("os") + text("system") + b"\x93" + items(run) + REDUCE + STOP)
    add("state.pt", START + dictionary([(UP, good)]) + dictionary([("x", call("os", "system", run))]) + b"b" + STOP)
    add("old-call.pt", START + b"(ios\nsystem\n" + STOP)
    add("extension.pt", START + b"\x82\x01" + items(run) + REDUCE + STOP)
    add("new-object.pt", START + name("subprocess", "Popen") + items(run) + b"\x81" + STOP)
    add("as-a-storage.pt", START + dictionary([(UP, call("os", "system", run) + b"Q")]) + STOP)
    add("two-programs.pt", START + b"N" + STOP + START + call("os", "system", run) + STOP)
    files.add(
        "pickle that runs", "old-format.pt",
        legacy(START + dictionary([(UP, good), ("x", call("os", "system", run))]) + STOP, ["0"], [(16, b"\0" * 64)]))
    files.add(
        "pickle that runs", "old-format-version.pt", legacy(STOP, [], [], version=START + call("os", "system", run) + STOP))


def programs(files):
    def add(name, program, role="adapter"):
        files.add("pickle program", name, archive(program, [("0", b"\0" * 64)], packed=["data.pkl"]), role)

    good = START + dictionary([(UP, view("0", 16, [4, 4])), (DOWN, view("0", 16, [4, 4]))]) + STOP
    add("list-in-itself.pt", START + b"]q\0h\0a" + STOP)
    add("dictionary-in-itself.pt", START + b"}q\0X\x0a\0\0\0state_dicth\0s" + STOP)
    add("dictionary-in-itself-as-base.ckpt", START + b"}q\0X\x0a\0\0\0state_dicth\0s" + STOP, "base")
    add("tuple-in-itself.pt", START + b"]q\0(h\0tq\1h\0h\1a0h\1" + STOP)
    laughs = b"K\1" + b"".join(b"q" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(60))
    add("billion-laughs.pt", START + laughs + STOP)
    add("billion-laughs-as-shape.pt", START + dictionary([(UP, call(
        "torch._utils", "_rebuild_tensor_v2", storage("0", "FloatStorage", 16), integer(0), laughs, laughs))]) + STOP)
    add("memo-of-nothing.pt", START + b"h\7" + STOP)
    add("memo-far-away.pt", START + b"}r\xff\xff\xff\xffj\xfe\xff\xff\xff" + STOP)
    add("deep-tuples.pt", START + b"N" + b"\x85" * 2_000_000 + STOP)
    add("deep-lists.pt", START + b"]" * 200_000 + b"a" * 199_999 + STOP)
    add("deep-dictionaries.pt", START + b"}N" * 200_000 + b"N" + b"s" * 200_000 + STOP)
    add("millions-of-marks.pt", START + b"(" * 8_000_000)
    add("millions-of-numbers.pt", START + b"K\1" * 5_000_000 + STOP)
    add("millions-of-texts.pt", START + (text("a" * 24) + b"0") * 900_000 + b"N" + STOP)
    add("millions-of-dictionaries.pt", START + b"}K\1K\2s" * 2_000_000 + STOP)
    add("too-large-when-unpacked.pt", START + b"N0" * 20_000_000)
    add("text-without-end.pt", START + b"X\xff\xff\xff\x7f" + b"a" * 100)
    add("negative-length.pt", START + b"X\xff\xff\xff\xff" + b"a" * 100)
    add("number-of-255-bytes.pt", START + b"\x8a\xff" + b"\xff" * 255 + STOP)
    add("unknown-instruction.pt", START + b"\xfe" + STOP)
    add("empty.pt", b"")
    add("no-end.pt", good[:-1])
    add("only-a-number.pt", START + b"K\1" + STOP)
    add("no-tensors.pt", START + dictionary([("epoch", b"K\1")]) + STOP)
    add("list-of-numbers.pt", START + b"](K\1K\2e" + STOP)
    add("set-items-of-three.pt", START + b"}(NNNu" + STOP)
    for number in range(8):
        add(f"cut-off-{number}.pt", good[: files.random.randrange(3, len(good) - 1)])
    for number in range(4):
        add(f"noise-{number}.pt", START + bytes([0xFF]) + files.random.randbytes(500))


def values(files):
    """What stands beside tensors and may be weights, or a number, or neither."""
    good = [(UP, view("0", 16, [4, 4])), (DOWN, view("0", 16, [4, 4]))]

    def add(name, *others):
        program = START + dictionary([*good, *others]) + STOP
        files.add("pickle values", name, archive(program, [("0", b"\0\0\x80\x3f" * 16)], packed=["data.pkl"]))

    alpha, empty = MODULE + ".alpha", b"}"
    kind = call("numpy", "dtype", text("f4"), b"\x89", b"\x88")
    sparse = call("torch._utils", "_rebuild_sparse_tensor", integer(0), items())
    add("alpha-not-finite.pt", (alpha, b"G\x7f\xf8" + bytes(6)))
    add("alpha-a-text.pt", (alpha, text("1")))
    add("alpha-a-list.pt", (alpha, b"](K\1e"))
    add("scalar-of-no-format.pt", (alpha, call("numpy.core.multiarray", "scalar", text("f4"), text("abcd"))))
    add("scalar-too-short.pt", (alpha, call("numpy.core.multiarray", "scalar", kind, b"C\2ab")))
    add("scalar-of-another-order.pt", (alpha, call(
        "numpy.core.multiarray", "scalar", kind + items(integer(3), text(">")) + b"b", b"C\4abcd")))
    add("encoding-of-nothing.pt", (alpha, call("_codecs", "encode", text("\u2603"), text("latin1"))))
    add("ordered-of-itself.pt", ("x", b"]q\0h\0a0" + name("collections", "OrderedDict") + b"h\0\x85R"))
    add("ordered-of-numbers.pt", ("x.weight", name("collections", "OrderedDict") + b"](K\1K\2e\x85R"))
    add("a-name-of-megabytes.pt", ("x." + "a" * (4 << 20), sparse))
    add("many-sparse.pt", *((f"x.{n}", sparse) for n in range(20_000)))
    add("tensors-in-each-other.pt", ("x", b"}q\0" + text("t") + view("0", 16, [4, 4]) + b"s" + text("x") + b"h\0s"))
    add("tensor-without-a-name.pt", ("x.y", empty + b"K\0" + view("0", 16, [4, 4]) + b"s"))


def views(files):
    def add(name, up, role="adapter", data=b"\0\0\x80\x3f" * 16, packed=()):
        program = START + dictionary([(UP, up), (DOWN, view("0", 16, [4, 4]))]) + STOP
        files.add("pickle views", name, archive(program, [("0", data)], packed), role)

    add("outside.pt", view("0", 16, [5, 4]))
    add("outside-by-strides.pt", view("0", 16, [4, 4], [5, 1]))
    add("outside-by-offset.pt", view("0", 16, [4, 4], offset=1))
    add("outside-as-base.ckpt", view("0", 16, [5, 4]), "base")
    add("negative-offset.pt", view("0", 16, [4, 4], offset=-1))
    add("negative-stride.pt", view("0", 16, [4, 4], [-4, 1]))
    add("negative-extent.pt", view("0", 16, [-4, 4], [4, 1]))
    add("overflow.pt", view("0", 16, [1 << 62, 4], [4, 1]))
    add("overflow-of-strides.pt", view("0", 16, [4, 4], [1 << 62, 1 << 62]))
    add("overflow-behind-zero.pt", view("0", 16, [0, 1 << 62, 4], [0, 0, 0]))
    add("repeats-without-end.pt", view("0", 16, [1 << 30, 1 << 30], [0, 0]))
    add("strides-of-another-rank.pt", view("0", 16, [4, 4], [1]))
    add("storage-too-short.pt", view("0", 17, [4, 4]))
    add("storage-negative.pt", view("0", -1, [4, 4]))
    add("storage-huge.pt", view("0", (1 << 63) - 1, [4, 4]))
    add("storage-missing.pt", view("7", 16, [4, 4]))
    add("storage-elsewhere.pt", view("../../../../etc/passwd", 16, [4, 4]))
    add("storage-unknown.pt", view("0", 16, [4, 4], kind="ComplexFloatStorage"))
    add("shape-of-texts.pt", call(
        "torch._utils", "_rebuild_tensor_v2", storage("0", "FloatStorage", 16), integer(0), items(text("4")), items(text("1"))))
    add("no-storage.pt", call("torch._utils", "_rebuild_tensor_v2", integer(0), integer(0), items(), items()))
    add("not-finite.pt", view("0", 16, [4, 4]), data=b"\0\0\xc0\x7f" * 16)
    files.cases[-1]["needs_weights"] = True
    # Many views of a few bytes, each of which would have to be copied.
    repeats = [(f"x{n}", view("0", 16, [1 << 20], [0])) for n in range(500)]
    files.add("pickle views", "many-that-repeat.pt", archive(START + dictionary(repeats) + STOP, [("0", b"\0" * 64)]))
    across = [(f"x{n}", view("0", 1 << 20, [1024, 1024], [1, 1024])) for n in range(500)]
    files.add("pickle views", "many-transposed.pt", archive(START + dictionary(across) + STOP, [("0", bytes(4 << 20))]))
    shape = [1 << 18, 1 << 10]
    files.add("pickle views", "bomb-in-a-storage.pt", archive(
        START + dictionary([(UP, view("0", 1 << 28, shape))]) + STOP, [("0", bytes(1 << 28))], packed=["data/0"]))
    files.add("pickle views", "bomb-in-a-storage-as-base.ckpt", archive(
        START + dictionary([(UP, view("0", 1 << 28, shape))]) + STOP, [("0", bytes(1 << 28))], packed=["data/0"]), "base")
    several = [(f"x{n}", view(str(n), 1 << 22, [1 << 22])) for n in range(20)]
    files.add("pickle views", "bombs-in-many-storages.pt", archive(
        START + dictionary(several) + STOP, [(str(n), bytes(1 << 24)) for n in range(20)], [f"data/{n}" for n in range(20)]))


def archives(files):
    good = START + dictionary([(UP, view("0", 16, [4, 4])), (DOWN, view("0", 16, [4, 4]))]) + STOP
    whole = archive(good, [("0", b"\0\0\x80\x3f" * 16)])
    packed = archive(good, [("0", b"\0\0\x80\x3f" * 16)], packed=["data.pkl", "data/0"])

    def add(name, data):
        files.add("archive", name + ".pt", data)

    for number in range(6):
        add(f"cut-off-{number}", whole[: files.random.randrange(20, len(whole) - 1)])
    directory, end = whole.index(b"PK\1\2"), whole.index(b"PK\5\6")

    def patched(data, place, fmt, value):
        data = bytearray(data)
        struct.pack_into(fmt, data, place, value)
        return bytes(data)

    add("no-program", archive(None, [("0", b"\0" * 64)]))
    add("no-storage", archive(good))
    add("big-endian", archive(good, [("0", b"\0" * 64)], more=[("byteorder", b"big")]))
    add("byte-order-of-noise", archive(good, [("0", b"\0" * 64)], more=[("byteorder", b"\xff\xfe")]))
    add("byte-order-large", archive(good, [("0", b"\0" * 64)], more=[("byteorder", b"little" * 10)]))
    add("end-missing", whole[:end])
    add("directory-far-away", patched(whole, end + 16, "<I", 0x7FFFFFFF))
    add("directory-before-the-file", patched(whole, end + 16, "<I", 0))
    add("directory-larger-than-the-file", patched(whole, end + 12, "<I", 0x7FFFFFFF))
    add("more-entries-than-there-are", patched(patched(whole, end + 8, "<H", 60_000), end + 10, "<H", 60_000))
    add("program-beyond-the-end", patched(
        patched(whole, directory + 20, "<I", 0x7FFFFFF0), directory + 24, "<I", 0x7FFFFFF0))
    add("program-far-away", patched(whole, directory + 42, "<I", 0x7FFFFFF0))
    add("program-encrypted", patched(patched(whole, directory + 8, "<H", 1), 6, "<H", 1))
    add("program-of-unknown-method", patched(patched(whole, directory + 10, "<H", 97), 8, "<H", 97))
    add("checksum", patched(whole, directory + 16, "<I", 0x12345678))
    second = packed.index(b"PK\1\2")
    add("unpacks-to-more-than-it-says", patched(packed, second + 24, "<I", 40))
    add("unpacks-to-less-than-it-says", patched(packed, second + 24, "<I", len(good) + 100))
    add("says-it-unpacks-to-4-gigabytes", patched(packed, second + 24, "<I", 0xFFFFFFFE))
    damaged = bytearray(packed)
    start = packed.index(b"data.pkl") + 8
    damaged[start : start + 40] = bytes(byte ^ 0xFF for byte in damaged[start : start + 40])
    add("packed-noise", bytes(damaged))
    add("bomb-in-the-program", archive(START + bytes(1 << 28), packed=["data.pkl"]))
    add("bomb-in-the-byte-order", archive(good, [("0", b"\0" * 64)], ["byteorder"], more=[("byteorder", bytes(1 << 28))]))
    add("sixty-thousand-entries", archive(good, [(str(n + 1), b"") for n in range(60_000)]))
    add("only-the-beginning", whole[:4])
    add("only-an-end", whole[:4] + whole[end:])


def old(files):
    good = START + dictionary([(UP, view("0", 16, [4, 4])), (DOWN, view("0", 16, [4, 4]))]) + STOP
    data = b"\0\0\x80\x3f" * 16
    whole = legacy(good, ["0"], [(16, data)])

    def add(name, data, role="adapter"):
        files.add("old torch format", name, data, role)

    for number in range(10):
        add(f"cut-off-{number}.pt", whole[: files.random.randrange(len(MAGIC), len(whole) - 1)])
    add("last-byte.pt", whole[:-1])
    add("last-byte-as-base.ckpt", whole[:-1], "base")
    add("only-the-number.pt", MAGIC)
    add("another-number.pt", legacy(good, ["0"], [(16, data)], magic=MAGIC[:5] + b"\0" * 9 + b"."))
    add("another-version.pt", legacy(good, ["0"], [(16, data)], version=START + b"M\x00\x10" + STOP))
    add("version-of-text.pt", legacy(good, ["0"], [(16, data)], version=START + text("1001") + STOP))
    add("big-endian.pt", legacy(good, ["0"], [(16, data)], system=START + dictionary([("little_endian", b"\x89")]) + STOP))
    add("system-of-nothing.pt", legacy(good, ["0"], [(16, data)], system=START + b"N" + STOP))
    add("elements-huge.pt", legacy(good, ["0"], [((1 << 63) - 1, data)]))
    add("elements-negative.pt", legacy(good, ["0"], [(-1, data)]))
    add("elements-too-few.pt", legacy(good, ["0"], [(15, data)]))
    add("storage-not-listed.pt", legacy(good, [], []))
    add("storage-of-another-name.pt", legacy(good, ["1"], [(16, data)]))
    add("hundred-thousand-storages.pt", legacy(good, [str(n) for n in range(100_000)], []))
    add("storages-without-names.pt", MAGIC + legacy(good, [], [])[len(MAGIC) :].replace(START + b"](e", START + b"](K\1e"))
