"""Resizing and converting: numbers at the ends of their formats, and what must come through unchanged."""

import time

import numpy as np
from cases import case
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

N = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


def numbers(*shape, size=1.0, seed=0):
    return (size * np.random.default_rng(seed).standard_normal(shape)).astype("f")


def kohya(name, down, up, alpha):
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": alpha}


def metadata(file):
    with safe_open(file, "np") as opened:
        return opened.metadata()


def delta(file, scale=None):
    """The delta of the only target, in doubles."""
    t = load_file(file)
    find = lambda *words: next((v.astype("d") for k, v in t.items() if any(w in k for w in words)), None)
    down, up, alpha = find("lora_down", "lora_A"), find("lora_up", "lora_B"), find("alpha")
    return (1 if alpha is None else float(alpha) / down.shape[0]) * up @ down


def error(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(a)


@case("an alpha of any size is resized, and told in metadata as a float")
def large_alpha(place):
    for alpha in (1e20, 1e25, 3e38):
        save_file(kohya(N, numbers(4, 64, size=1e-9), numbers(64, 4, size=1e-9, seed=1), np.array(alpha, "f")), "a.safetensors")
        for command in (["resize", "a.safetensors", "--rank", 4], ["merge", "a.safetensors"], ["convert", "a.safetensors", "--to", "kohya"]):
            place.run(*command, "-o", "b.safetensors", "--force").expect(0)
            assert error(delta("a.safetensors"), delta("b.safetensors")) < 1e-6
            told = np.float32(metadata("b.safetensors")["ss_network_alpha"])
            assert told == np.float32(next(v for k, v in load_file("b.safetensors").items() if k.endswith("alpha")))


@case("an alpha that arithmetic cannot hold is bad data, in every command, and leaves nothing behind")
def impossible_alpha(place):
    for alpha in (1e-310, 1e-320, 5e-324, 1e300, -1e300):
        save_file(kohya(N, numbers(4, 64), numbers(64, 4), np.array(alpha, "d")), "a.safetensors")
        for command in (
            ["resize", "a.safetensors", "--rank", 2, "-o", "b.safetensors"], ["merge", "a.safetensors", "-o", "b.safetensors"],
            *(["convert", "a.safetensors", "--to", d, "-o", "b.safetensors"] for d in ("kohya", "diffusers")),
            ["convert", "a.safetensors", "--normalise", "-o", "b.safetensors"], ["spectrum", "a.safetensors"],
            ["compare", "a.safetensors", "a.safetensors"], ["inspect", "a.safetensors", "--norms"],
        ):  # fmt: skip
            run = place.run(*command)
            assert run.status in (0, 65), f"{alpha} {command}: {run.status} {run.errors}"
            assert command[0] not in ("resize", "merge", "spectrum", "compare") or run.status == 65
        assert sorted(p.name for p in place.folder.iterdir()) == ["a.safetensors"], list(place.folder.iterdir())


@case("alphas down to the smallest float keep the delta")
def small_alpha(place):
    for alpha in (1e-45, 1e-38, 1e-30, 1e-10):
        save_file(kohya(N, numbers(4, 64, size=1e10), numbers(64, 4, size=1e10), np.array(alpha, "f")), "a.safetensors")
        for command in (["resize", "a.safetensors", "--rank", 4], ["merge", "a.safetensors"], ["convert", "a.safetensors", "--to", "kohya"]):
            place.run(*command, "-o", "b.safetensors", "--force").expect(0)
            assert error(delta("a.safetensors"), delta("b.safetensors")) < 1e-6, (alpha, command)


@case("a strength next to zero, or beyond all numbers, is a usage error with a reason")
def odd_strengths(place):
    sketch = place.adapters / "sketch.safetensors"
    for strength in ("1e-320", "1e-40", "1e300", "inf", "-inf", "nan", "0.5,nan", "1e999"):
        place.run("merge", f"{sketch}@{strength}", "-o", "m.safetensors").expect(64, "strength")
        place.run("compare", f"{sketch}@{strength}", sketch).expect(64, "strength")
    for text in (".inf", ".nan", "1e-320"):
        (place.folder / "r.yaml").write_text(f"adapters:\n  - file: {sketch}\n    strength: {text}\n")
        place.run("merge", "--recipe", "r.yaml", "-o", "m.safetensors").expect(65, "strength")
    place.run("merge", f"{sketch}@0", f"{sketch}@-1e-30", "-o", "m.safetensors", "--dtype", "f32").expect(0)


@case("alpha folded into half precision goes into both factors")
def folded_alpha(place):
    for k, alpha, size, limit in ((128, 1, 1e-4, 1e-4), (16, 1e-4, 1e-2, 1e-3), (64, 1e-6, 1e-3, 2e-2)):
        half = {k_: v.astype("e") for k_, v in kohya(N, numbers(k, 320, size=0.3), numbers(320, k, size=size, seed=1), 0).items() if "alpha" not in k_}
        save_file(half | {N + ".alpha": np.array(alpha, "f")}, "a.safetensors")
        place.run("convert", "a.safetensors", "--to", "diffusers", "-o", "b.safetensors", "--force").expect(0)
        assert error(delta("a.safetensors"), delta("b.safetensors")) < limit, error(delta("a.safetensors"), delta("b.safetensors"))


@case("a rounding that takes most of a delta is refused, with a way out")
def lost_to_rounding(place):
    save_file(
        {N + ".lora_down.weight": numbers(4, 320, size=0.3).astype("e"), N + ".lora_up.weight": numbers(320, 4, size=1e-3).astype("e"),
         N + ".alpha": np.array(1e-13, "f")}, "a.safetensors")  # fmt: skip
    place.run("convert", "a.safetensors", "--to", "diffusers", "-o", "b.safetensors").expect(65, "lost to rounding", "--dtype f32")
    assert not (place.folder / "b.safetensors").exists()
    place.run("convert", "a.safetensors", "--to", "kohya", "-o", "c.safetensors").expect(0)
    place.run("convert", "a.safetensors", "--to", "diffusers", "-o", "d.safetensors", "--dtype", "f32").expect(0)
    assert error(delta("a.safetensors"), delta("d.safetensors")) < 1e-5
    for command in (["resize", "d.safetensors", "--rank", 2], ["merge", "d.safetensors"]):
        place.run(*command, "--dtype", "f16", "-o", "e.safetensors").expect(65, "lost to rounding", "--dtype f32")
        assert not (place.folder / "e.safetensors").exists()


@case("a hundred thousand entries of metadata take no time")
def much_metadata(place):
    entries = {f"k{i}": "v" for i in range(100_000)}
    save_file(kohya(N, numbers(4, 64), numbers(64, 4), np.array(4, "f")), "a.safetensors", metadata=entries)
    for command in (
        ["resize", "a.safetensors", "--rank", 2], ["merge", "a.safetensors", "a.safetensors"],
        ["convert", "a.safetensors", "--to", "diffusers"], ["metadata", "strip", "a.safetensors", "--private"],
        ["metadata", "set", "a.safetensors", "title=x"],
    ):  # fmt: skip
        start = time.monotonic()
        place.run(*command, "-o", "b.safetensors", "--force", seconds=20).expect(0)
        assert time.monotonic() - start < 5, command
        assert metadata("b.safetensors")["k99999"] == "v"
