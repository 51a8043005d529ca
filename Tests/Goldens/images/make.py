"""Pictures in every form of PNG, and what other libraries make of pixels: conversion, resampling, comparison.

What it makes (beside this script)
    png/*.png       small pictures in all colour types and depths, straight and interlaced, with and without transparency
                    and texts; written by the encoder below, which uses nothing but zlib.
    expected.json   pngs: per file its size, its pixels as RGB (base64) and its texts. The pixels follow from the numbers
                    that were encoded: level * 255 / (2^depth - 1) to the nearest, then over white by alpha.
                    floats: numbers around every rounding boundary and what diffusers' VaeImageProcessor makes of them.
                    resized: Pillow's Image.resize(LANCZOS) of one picture to several sizes (base64).
                    comparisons: mean squared error, PSNR and SSIM of pairs of pictures, in float64.
                    quoted: values and json.dumps(value, ensure_ascii=False) of them.

What is checked here (the script stops at the first failure)
    Pillow reads each png with the same pixels, but for those of 16 bits, whose low bytes it drops, those with pixels that
    are half transparent, which it rounds otherwise, and grey ones of fewer than 8 bits with a transparent level, which it
    compares with the scaled levels.

SSIM: Wang, Bovik, Sheikh and Simoncelli 2004, on luma 0.299 R + 0.587 G + 0.114 B, an 11x11 Gaussian window with sigma
1.5 at every place where it lies inside, K1 = 0.01, K2 = 0.03, L = 255; here as a plain sum over windows.

How to run
    python make.py

    Some seconds; the same bytes each time with the same versions, which are in the file.
"""

import base64
import json
import os
import platform
import struct
import zlib

import diffusers
import numpy as np
import PIL
import torch
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

HERE = os.path.dirname(os.path.abspath(__file__))
GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
NAMES = {GREY: "grey", RGB: "rgb", PALETTE: "palette", GREY_ALPHA: "grey-alpha", RGBA: "rgba"}
PASSES = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]


def text64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def rows(samples, depth, filters):
    """Filtered rows of a (height, width, channels) array; the kind of filter goes round."""
    out, previous = b"", None
    unit = max(1, samples.shape[2] * depth // 8)
    for y, row in enumerate(samples):
        flat = row.reshape(-1)
        if depth == 16:
            line = flat.astype(">u2").tobytes()
        elif depth == 8:
            line = flat.astype("u1").tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in flat)
            bits += "0" * (-len(bits) % 8)
            line = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
        above = previous or bytes(len(line))
        kind = y % 5 if filters else 0
        coded = bytearray()
        for i, value in enumerate(line):
            a = line[i - unit] if i >= unit else 0
            b = above[i]
            c = above[i - unit] if i >= unit else 0
            p = a + b - c
            nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            coded.append((value - [0, a, b, (a + b) // 2, nearest][kind]) % 256)
        out += bytes([kind]) + bytes(coded)
        previous = line
    return out


def encode(samples, color, depth, interlaced, palette=None, transparency=None, before=b"", after=b""):
    height, width, _ = samples.shape
    if interlaced:
        data = b""
        for x0, y0, dx, dy in PASSES:
            part = samples[y0::dy, x0::dx]
            if part.shape[0] and part.shape[1]:
                data += rows(part, depth, True)
    else:
        data = rows(samples, depth, True)
    packed = zlib.compress(data, 9)
    half = len(packed) // 2
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, int(interlaced)))
        + (chunk(b"PLTE", palette.astype("u1").tobytes()) if palette is not None else b"")
        + (chunk(b"tRNS", transparency) if transparency is not None else b"")
        + before
        + chunk(b"IDAT", packed[:half])
        + chunk(b"IDAT", packed[half:])
        + after
        + chunk(b"IEND", b"")
    )


def nearest(numerator, denominator):
    return (2 * numerator + denominator) // (2 * denominator)


def over_white(rgb, alpha):
    """Levels and alpha in 0..255."""
    return nearest(rgb * alpha + 255 * (255 - alpha), 255)


def pngs():
    rng = np.random.default_rng(7)
    result = []

    def add(name, data, rgb, texts=(), pillow=True):
        with open(os.path.join(HERE, "png", name + ".png"), "wb") as file:
            file.write(data)
        if pillow:
            with Image.open(os.path.join(HERE, "png", name + ".png")) as image:
                image.load()
                if image.mode != "I;16":
                    seen = image.convert("RGBA")
                    white = Image.new("RGBA", image.size, "white")
                    seen = np.asarray(Image.alpha_composite(white, seen).convert("RGB"))
                    assert (seen == rgb).all(), name
        height, width, _ = rgb.shape
        result.append(
            {
                "file": name + ".png", "width": width, "height": height, "rgb": text64(rgb.astype("u1")),
                "texts": [{"keyword": k, "text": t} for k, t in texts],
            }
        )

    depths = {GREY: [1, 2, 4, 8, 16], RGB: [8, 16], PALETTE: [1, 2, 4, 8], GREY_ALPHA: [8, 16], RGBA: [8, 16]}
    for color in depths:
        for depth in depths[color]:
            top = 2**depth - 1
            for interlaced in (False, True):
                height, width = (11, 13) if not interlaced else (9, 10)
                colors = min(top + 1, 200)
                samples = rng.integers(0, colors if color == PALETTE else top + 1, (height, width, CHANNELS[color]))
                palette = rng.integers(0, 256, (colors, 3)) if color == PALETTE else None
                for transparent in (False, True):
                    if transparent and color in (GREY_ALPHA, RGBA):
                        continue
                    transparency, alpha = None, np.full((height, width, 1), 255)
                    if color == PALETTE:
                        rgb = palette[samples[..., 0]]
                        if transparent:
                            alphas = rng.integers(0, 256, max(1, colors // 2))
                            transparency = alphas.astype("u1").tobytes()
                            alpha = np.concatenate([alphas, np.full(256, 255)])[samples]
                    else:
                        shown = samples[..., :3] if color in (RGB, RGBA) else np.repeat(samples[..., :1], 3, -1)
                        rgb = nearest(shown * 255, top)
                        if color in (GREY_ALPHA, RGBA):
                            alpha = nearest(samples[..., -1:] * 255, top)
                        elif transparent:
                            key = samples[3, 4]
                            transparency = key.astype(">u2").tobytes()
                            alpha = np.where((samples == key).all(-1, keepdims=True), 0, 255)
                    name = f"{NAMES[color]}-{depth}" + ("-transparent" * transparent) + ("-interlaced" * interlaced)
                    data = encode(samples, color, depth, interlaced, palette, transparency)
                    partial = ((alpha > 0) & (alpha < 255)).any()
                    add(name, data, over_white(rgb, alpha), pillow=not (depth == 16 or partial or transparent and color == GREY and depth < 8))

    # One pixel; a width of one in an interlaced picture leaves passes empty.
    for size in [(1, 1), (5, 1), (1, 5)]:
        samples = rng.integers(0, 256, size + (3,))
        add(f"rgb-{size[1]}x{size[0]}-interlaced", encode(samples, RGB, 8, True), samples)

    # Chunks that are to be ignored or read as texts, before and after the pixels. 'é' and 'ß' are single bytes in Latin-1.
    samples = rng.integers(0, 256, (4, 6, 3))
    texts = [
        ("parameters", "a café, straße\nSteps: 20, Sampler: Euler a"), ("Comment", "packed " * 40),
        ("Title", "富士山 🗻"), ("Description", "ein Fuß, packed " * 20), ("Author", ""),
    ]
    before = (
        chunk(b"gAMA", struct.pack(">I", 22222))
        + chunk(b"iCCP", b"no profile\0\0" + b"nonsense")
        + chunk(b"tEXt", b"parameters\0" + texts[0][1].encode("latin-1"))
        + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(texts[1][1].encode("latin-1")))
        + chunk(b"prVt", b"a private chunk")
    )
    after = (
        chunk(b"iTXt", b"Title\0\0\0ja\0" + "題名".encode() + b"\0" + texts[2][1].encode())
        + chunk(b"iTXt", b"Description\0\1\0de\0\0" + zlib.compress(texts[3][1].encode()))
        + chunk(b"tEXt", b"Author\0")
    )
    add("texts", encode(samples, RGB, 8, False, before=before, after=after) + b"bytes behind the end", samples, texts)
    return result


def floats():
    """Boundaries between levels, their neighbours in single precision, and numbers outside."""
    middles = ((np.arange(-2, 258) + 0.5) / 255 * 2 - 1).astype("f4")
    levels = (np.arange(256) / 255 * 2 - 1).astype("f4")
    numbers = np.concatenate(
        [
            middles, np.nextafter(middles, np.float32(9)), np.nextafter(middles, np.float32(-9)), levels,
            np.array([-1e30, 1e30, -np.inf, np.inf, 0, -0.0, 1e-40, -7, 7, 1, -1], "f4"),
        ]
    )
    numbers = np.concatenate([numbers, np.zeros(-len(numbers) % 3, "f4")])
    image = torch.from_numpy(numbers).reshape(1, 3, 1, -1)
    processor = VaeImageProcessor()
    shown = processor.numpy_to_pil(processor.pt_to_numpy(processor.denormalize(image)))[0]
    planar = np.asarray(shown).transpose(2, 0, 1).reshape(-1)
    back = processor.normalize(processor.pil_to_numpy([Image.fromarray(np.arange(256, dtype="u1"))])).reshape(-1)
    return {
        "count": len(numbers), "numbers": text64(numbers.astype("<f4")), "levels": text64(planar),
        "back": text64(back.astype("<f4")),
    }


def picture(rng, height, width):
    """Soft shapes, hard edges and noise."""
    y, x = np.mgrid[0:height, 0:width]
    soft = 128 + 90 * np.sin(x / 5.0 + 2)[..., None] * np.cos(y / 7.0)[..., None] * np.array([1, 0.7, -0.8])
    image = soft + rng.normal(0, 6, (height, width, 3))
    image[height // 4 : height // 2, width // 3 : width // 2] = [255, 0, 40]
    image[(x + y) % 9 == 0] = 250
    return np.clip(np.rint(image), 0, 255).astype("u1")


def resized():
    rng = np.random.default_rng(11)
    source = picture(rng, 47, 61)
    sizes = [(61, 47), (30, 23), (61, 20), (20, 47), (7, 5), (1, 1), (2, 90), (122, 94), (100, 31), (64, 64), (50, 24), (50, 25), (90, 46)]
    image = Image.fromarray(source)
    return {
        "width": 61, "height": 47, "rgb": text64(source),
        "results": [
            {"width": w, "height": h, "rgb": text64(np.asarray(image.resize((w, h), Image.LANCZOS)))} for w, h in sizes
        ],
    }


def similarity(a, b):
    weights = np.array([0.299, 0.587, 0.114])
    a, b = a.astype("f8") @ weights, b.astype("f8") @ weights
    offset = np.arange(11) - 5.0
    window = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    values = []
    for y in range(a.shape[0] - 10):
        for x in range(a.shape[1] - 10):
            p, q = a[y : y + 11, x : x + 11], b[y : y + 11, x : x + 11]
            mp, mq = (window * p).sum(), (window * q).sum()
            vp, vq = (window * (p - mp) ** 2).sum(), (window * (q - mq) ** 2).sum()
            cov = (window * (p - mp) * (q - mq)).sum()
            values.append((2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2)))
    return float(np.mean(values))


def comparisons():
    rng = np.random.default_rng(13)
    base = picture(rng, 31, 40)
    others = {
        "equal": base,
        "one": base.copy(),
        "noise": np.clip(base + rng.normal(0, 12, base.shape), 0, 255).astype("u1"),
        "brighter": np.clip(base.astype(int) + 10, 0, 255).astype("u1"),
        "flat": np.full_like(base, 77),
        "negative": 255 - base,
        "other": picture(np.random.default_rng(14), 31, 40)[:, ::-1].copy(),
    }
    others["one"][5, 6, 1] ^= 1
    cases = []
    for name, other in others.items():
        difference = base.astype("f8") - other
        mse = float((difference**2).mean())
        cases.append(
            {
                "name": name, "rgb": text64(other), "mse": mse,
                "psnr": 10 * float(np.log10(255**2 / mse)) if mse else None, "ssim": similarity(base, other),
                "greatest": int(abs(difference).max()), "differing": float((difference != 0).any(-1).mean()),
            }
        )
    small = picture(np.random.default_rng(15), 11, 11)
    return {
        "width": 40, "height": 31, "rgb": text64(base), "cases": cases,
        "smallest": {"a": text64(small), "b": text64(small[::-1].copy()), "ssim": similarity(small, small[::-1])},
    }


def quoted():
    values = [
        "Euler a", "a, b", "name: 12ab", "two\nlines", 'say "so", then', "back\\slash, it", "tab\t, and \r, \b \f", "é, 富士 🗻",
        "control \x01, \x1f and \x7f", "slash / : it", "", "7.5",
    ]
    needs = lambda v: any(c in v for c in ",:\n")
    return [{"value": v, "quoted": json.dumps(v, ensure_ascii=False) if needs(v) else v} for v in values]


os.makedirs(os.path.join(HERE, "png"), exist_ok=True)
document = {
    "made_with": {
        "python": platform.python_version(), "numpy": np.__version__, "pillow": PIL.__version__,
        "torch": torch.__version__, "diffusers": diffusers.__version__,
    },
    "pngs": pngs(), "floats": floats(), "resized": resized(), "comparisons": comparisons(), "quoted": quoted(),
}
with open(os.path.join(HERE, "expected.json"), "w") as file:
    json.dump(document, file, indent=1, ensure_ascii=False)
    file.write("\n")
