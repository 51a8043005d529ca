"""Pairs of pictures, and how similar they are by MS-SSIM and by SSIMULACRA2.

What it makes (beside this script)
    similarity/*.png    the pictures.
    similarity.json     pairs: per pair its two files, the number of scales of MS-SSIM and its value, the number of scales
                        of SSIMULACRA2 and its score, for information the score that the Python package gives, and where it is
                        published the score that the original program gives, with how near the one here must be.
                        taps: the response of the blur of SSIMULACRA2 to a single 1, from its middle outwards.

All values are in float64.

MS-SSIM (Wang, Simoncelli and Bovik 2003): here as plain sums over windows of the luma 0.299 R + 0.587 G + 0.114 B. Each
further scale is means of 2x2 pixels of the one before, its last row or column repeated where a side is odd, as in the
authors' program. A side of fewer than 11 * 2^(k - 1) pixels leaves out scale k; the weights of the others are then
divided by their sum.

SSIMULACRA2, version 2.1 (Sneyers): here in the form of the original in libjxl, whose blur is a recursion (Charalampidis
2016) with zeros around the picture, and which looks at the size before it halves: the last scale may have a side under 8.

What is checked here (the script stops at the first failure)
    pytorch-msssim gives the same MS-SSIM of the pictures cut to sides that can be halved four times. (It puts zeros around
    odd sides, and refuses sides up to 160.)
    The package ssimulacra2 gives the same score as the function below does with what the package does otherwise: a window
    of 11 weights instead of the recursion, zeros at the left and right only and a mirror above and below, and a scale less
    where a side falls under 8. So colours, maps, norms, weights and the last formula are those of the package.
    The scores that are published for the original program: of the two pictures with structure they differ by less than 0.005,
    so borders, scales and the order of weights are those of the original. Of flat grey pictures they differ by up to 2
    points, most near 100. The original works in single precision, and where variances vanish a unit in the last place of
    one component moves a score of small grey pictures by as much; the exact steps of its rounding are not repeated here.

How to run
    OMP_NUM_THREADS=1 python similarity.py

    Some seconds; the same numbers each time with the same versions, which are in the file.
"""

import io
import json
import os
import platform
from importlib.metadata import version

import numpy as np
import PIL
import pytorch_msssim
import scipy
import torch
from numpy.lib.stride_tricks import sliding_window_view
from PIL import Image, ImageFilter
from ssimulacra2 import ssimulacra2 as package

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "similarity")
WINDOW, PUBLISHED = 11, np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


# Pictures


def picture(height, width, seed):
    """Soft shapes, hard edges of several colours, fine stripes and a part with a little noise, in every third level so that
    files are small."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] * 128 / max(height, width)
    waves = np.sin(x / 9 + 2)[..., None] * np.cos(y / 13)[..., None] * np.array([80, 55, -60])
    image = 120 + waves + (y / 4)[..., None]
    image[(x > 20) & (x < 52) & (y > 30) & (y < 60)] = [225, 40, 60]
    image[(x - 90) ** 2 + (y - 40) ** 2 < 400] = [30, 90, 200]
    image[((x + 2 * y) % 17 < 2) & (y > 70)] = [245, 240, 225]
    image[(x > 70) & (y > 64) & (np.floor(x) % 4 < 2)] *= 0.6
    image += rng.normal(0, 4, (height, width, 3)) * ((x < 24) & (y > 40))[..., None]
    return np.clip(3 * np.rint(image / 3), 0, 255).astype("u1")


def blurred(image, radius):
    return np.asarray(Image.fromarray(image).filter(ImageFilter.GaussianBlur(radius)))


def noisy(image, amount, seed):
    rng = np.random.default_rng(seed)
    return np.clip(np.rint(image + rng.normal(0, amount, image.shape)), 0, 255).astype("u1")


def blocks(image, quality):
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


def shifted(image, levels):
    return np.clip(image.astype(int) + np.array(levels), 0, 255).astype("u1")


def pictures():
    """Names with the original and with what became of it."""
    square = picture(128, 128, 1)
    one = square.copy()
    one[50, 70] = [255, 0, 255]
    odd, wide, small = picture(97, 131, 2), picture(176, 200, 3), picture(128, 128, 4)[20:36, 44:60]
    least = picture(128, 128, 5)[25:36, 14:29]
    black = np.zeros((64, 64, 3), "u1")
    stripes = np.broadcast_to(np.uint8(255) * (np.arange(24, dtype="u1") % 2)[None, :, None], (22, 24, 3))
    return [
        ("equal", square, square),
        ("one-pixel", square, one),
        ("blur", square, blurred(square, 1.2)),
        ("noise", square, noisy(square, 10, 6)),
        ("blocks", square, blocks(square, 25)),
        ("colour-shift", square, shifted(square, [6, 0, -6])),
        ("brightness-shift", square, shifted(square, [5, 5, 5])),
        ("one-level", square, shifted(square, [1, 1, 1])),
        ("sharper", blurred(square, 1.2), square),
        ("odd-blocks", odd, blocks(odd, 60)),
        ("odd-blur", odd, blurred(odd, 0.7)),
        ("wide-blur", wide, blurred(wide, 1)),
        ("small-blur", small, blurred(small, 1)),
        ("small-negative", small, 255 - small),
        ("small-shift", small, shifted(small, [0, 8, 0])),
        ("least", least, least[:, ::-1]),
        ("black-white", black, 255 - black),
        ("stripes", stripes, 255 - stripes),
    ]


def published():
    """Pictures by a formula, the scores that the original program gave them, and how near they are to be: all unequal
    pairs of the test data of the Rust library fast-ssim2 (github.com/imazen/ssimulacra2, ssimulacra2/src/reference_data.rs)."""
    grey = lambda side, level: np.full((side, side, 3), level, "u1")
    ramp = np.broadcast_to((np.arange(64) * 255 // 63).astype("u1")[None, :, None], (64, 64, 3))
    state, levels = 42, []
    for _ in range(64 * 64 * 3):
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        levels.append(state >> 33 & 255)
    noise = np.array(levels, "u1").reshape(64, 64, 3)
    steps = [1, 5, 10, 20, 50]
    scores = {
        32: [97.7492143, 98.80827382, 96.5311409, 93.7982322, 85.01409588],
        64: [97.98672126, 91.52357693, 80.24289393, 56.05855584, -8.75942256],
        128: [96.78920738, 88.54070876, 77.84296299, 54.27883917, -9.82383315],
        256: [96.15027098, 89.73209436, 80.29149136, 59.77892918, -0.39085784],
    }
    flat = [
        (f"published-grey-{side}-{step}", grey(side, 128), grey(side, 128 + step), score, 2)
        for side, row in scores.items() for step, score in zip(steps, row)
    ]
    return flat + [
        ("published-ramp", ramp, grey(64, 128), -64.56872148, 0.005),
        ("published-noise", noise, grey(64, 128), -47.33572558, 0.005),
    ]


# MS-SSIM


def luma(image):
    return image.astype("f8") @ np.array([0.299, 0.587, 0.114])


def halved(plane):
    """Means of 2x2; a last row or column that is alone counts twice."""
    padded = np.pad(plane, [(0, side % 2) for side in plane.shape[:2]] + [(0, 0)] * (plane.ndim - 2), "edge")
    return (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2]) / 4


def gaussian():
    offset = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(offset**2) / (2 * 1.5**2))
    return weights / weights.sum()


def structure(a, b):
    """The means of the index and of its part of contrast and structure."""
    window = np.outer(gaussian(), gaussian())
    mean = lambda plane: np.einsum("yxij,ij->yx", sliding_window_view(plane, window.shape), window)
    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    part = (2 * cov + c2) / (va + vb + c2)
    return ((2 * ma * mb + c1) / (ma**2 + mb**2 + c1) * part).mean(), part.mean()


def multi_scale(a, b):
    """The number of scales and the value."""
    a, b = luma(a), luma(b)
    count = sum(min(a.shape) >= WINDOW * 2**k for k in range(5))
    weights = PUBLISHED if count == 5 else PUBLISHED[:count] / PUBLISHED[:count].sum()
    value = 1.0
    for scale in range(count):
        index, part = structure(a, b)
        value *= max(0, index if scale == count - 1 else part) ** weights[scale]
        a, b = halved(a), halved(b)
    return count, float(value)


def check_multi_scale(a, b):
    height, width = (side // 16 * 16 for side in a.shape[:2])
    if min(height, width) < 176:
        return 0
    a, b = a[:height, :width], b[:height, :width]
    tensors = [torch.from_numpy(luma(image))[None, None] for image in (a, b)]
    window = torch.from_numpy(gaussian())[None, None, None]
    other = pytorch_msssim.ms_ssim(*tensors, data_range=255, win=window).item()
    assert abs(other - multi_scale(a, b)[1]) < 1e-10, (other, multi_scale(a, b))
    return 1


# SSIMULACRA2


def recursion(sigma):
    """The radius and the factors n and d of each of three cosines; numbers in brackets are those of the paper."""
    radius = round(3.2795 * sigma + 0.2546)  # (57)
    omega = np.array([1, 3, 5]) * np.pi / (2 * radius)
    p = np.array([1, -1, 1]) / np.tan(omega / 2)  # (37)
    r = np.array([1, -1, 1]) * p**2 / np.sin(omega)  # (44)
    rho = np.exp(-(sigma**2) * omega**2 / 2) / radius  # (50)
    zeta = np.cross(p, r) / np.cross(p, r)[2]  # (52)
    beta = np.linalg.solve([p, r, zeta], [1, radius**2 - sigma**2, zeta @ rho])  # (53)
    return radius, -beta * np.cos(omega * (radius + 1)), -2 * np.cos(omega)  # (33)


def blur_lines(lines):
    """Along the first axis, with zeros beyond both ends (35)."""
    radius, n, d = recursion(1.5)
    length, out = len(lines), np.zeros_like(lines)
    last, before = np.zeros((3,) + lines.shape[1:]), np.zeros((3,) + lines.shape[1:])
    shape = (3,) + (1,) * (lines.ndim - 1)
    n, d = n.reshape(shape), d.reshape(shape)
    for place in range(1 - radius, length):
        left, right = place - radius - 1, place + radius - 1
        total = (lines[left] if left >= 0 else 0) + (lines[right] if right < length else 0)
        last, before = n * total - d * last - before, last
        if place >= 0:
            out[place] = last.sum(0)
    return out


def blur(image):
    return blur_lines(blur_lines(image.transpose(1, 0, 2)).transpose(1, 0, 2))


def package_blur(image):
    """The package works on pictures with rows and columns exchanged."""
    return package.blur_image(image.transpose(1, 0, 2)).transpose(1, 0, 2)


def linear(image):
    level = image / 255.0
    return np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)


def components(rgb):
    """X, Y and B - Y in about 0...1."""
    m = np.array([[0.30, 0.622, 0.078], [0.23, 0.692, 0.078], [0.24342268924547819, 0.20476744424496821, 0]])
    m[2, 2] = 1 - m[2].sum()
    bias = 0.0037930732552754493
    long, middle, short = np.moveaxis(np.cbrt(rgb @ m.T + bias) - np.cbrt(bias), -1, 0)
    x, y = (long - middle) / 2, (long + middle) / 2
    return np.stack([14 * x + 0.42, y + 0.01, short - y + 0.55], -1)


def norms(errors):
    """Mean and 4-norm of each component."""
    return [errors.mean((0, 1)), (errors**4).mean((0, 1)) ** 0.25]


def perceptual(a, b, blur=blur, late=True):
    """The number of scales and the score."""
    a, b, scales = linear(a), linear(b), []
    for scale in range(6):
        if not late and min(a.shape[:2]) < 8:
            break
        p, q = components(a), components(b)
        mp, mq = blur(p), blur(q)
        variances = (blur(p * p) - mp * mp) + (blur(q * q) - mq * mq)
        covariance = blur(p * q) - mp * mq
        ssim = np.maximum(0, 1 - (1 - (mp - mq) ** 2) * (2 * covariance + 0.0009) / (variances + 0.0009))
        edges = (1 + abs(q - mq)) / (1 + abs(p - mp)) - 1
        maps = [norms(each) for each in (ssim, np.maximum(edges, 0), np.maximum(-edges, 0))]
        scales.append(np.array(maps).transpose(2, 1, 0))  # component, norm, map
        if late and min(a.shape[:2]) < 8:
            break
        a, b = halved(a), halved(b)
    values = np.stack(scales, 1).reshape(-1)  # component, scale, norm, map
    total = 0.9562382616834844 * float(values @ package.weights[: len(values)])
    total = 2.326765642916932 * total - 0.020884521182843837 * total**2 + 6.248496625763138e-05 * total**3
    return len(scales), 100 - 10 * total**0.6276336467831387 if total > 0 else 100.0


# The file

os.makedirs(FOLDER, exist_ok=True)
pairs, stored, compared = [], {}, 0
for name, a, b, original, within in [pair + (None, None) for pair in pictures()] + published():
    files = []
    for image, suffix in ((a, "original"), (b, "other")):
        key = (image.shape, image.tobytes())
        if key not in stored:
            stored[key] = f"{name}-{suffix}.png"
            Image.fromarray(image).save(os.path.join(FOLDER, stored[key]), optimize=True)
        files.append(stored[key])
    compared += check_multi_scale(a, b)
    theirs = package.compute_ssimulacra2(*[os.path.join(FOLDER, file) for file in files])
    assert abs(theirs - perceptual(a, b, package_blur, late=False)[1]) < 1e-8, name
    count, value = multi_scale(a, b)
    scales, score = perceptual(a, b)
    assert original is None or abs(score - original) < within, (name, score, original)
    pairs.append(
        {
            "name": name, "original": files[0], "other": files[1], "multi_scale_count": count, "multi_scale": value,
            "perceptual_count": scales, "perceptual": score, "package": theirs,
            "published": original, "published_within": within,
        }
    )
assert compared >= 2
impulse = np.zeros(9)
impulse[4] = 1
document = {
    "made_with": {
        "python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__,
        "pillow": PIL.__version__, "torch": torch.__version__, "pytorch-msssim": version("pytorch-msssim"),
        "ssimulacra2": version("ssimulacra2"),
    },
    "taps": blur_lines(impulse)[4:].tolist(),
    "pairs": pairs,
}
with open(os.path.join(HERE, "similarity.json"), "w") as file:
    json.dump(document, file, indent=1)
    file.write("\n")
