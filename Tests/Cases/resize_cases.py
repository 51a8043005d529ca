"""Resizing and converting: numbers at the ends of their formats, and what must come through unchanged."""

import json
import resource

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
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        place.run(*command, "-o", "b.safetensors", "--force", seconds=30).expect(0)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert after.ru_utime - before.ru_utime < 4, command
        assert metadata("b.safetensors")["k99999"] == "v"


def bf16(array):
    """Rounded to bfloat16, as the upper half of single precision."""
    import torch

    return torch.from_numpy(array).bfloat16()


def mixed(alphas=None, kind="bf16"):
    import torch

    tensors = {}
    for i, r in enumerate((2, 4, 8, 16)):
        convert = bf16 if kind == "bf16" else (lambda a: torch.from_numpy(a).half() if kind == "f16" else torch.from_numpy(a))
        tensors |= {
            f"lora_unet_m{i}.lora_down.weight": convert(numbers(r, 320, size=0.05, seed=i)),
            f"lora_unet_m{i}.lora_up.weight": convert(numbers(320, r, size=0.05, seed=9 + i)),
            f"lora_unet_m{i}.alpha": torch.tensor(float(alphas[i] if alphas else 4)),
        }  # fmt: skip
    return tensors


@case("a resize that cuts nothing of a target copies its factors bit for bit")
def uncut(place):
    from safetensors.torch import load_file as load, save_file as save

    rules = [["--rank", 16], ["--size", "10MB"], ["--energy", 1], ["--sv-fro", 1], ["--max-error", 1e-6], ["--rank", 8], ["--rank", 4]]
    for kind, alphas, some in (("bf16", None, rules), ("bf16", (2, 4, 8, 16), rules[-3:]), ("f32", (2, 4, 8, 16), rules[-3:]), ("f16", None, rules[:2]), ("f32", None, rules[-3:])):
        save(mixed(alphas, kind), "a.safetensors")
        before = load("a.safetensors")
        for rule in some:
            run = place.run("resize", "a.safetensors", *rule, "-o", "b.safetensors", "--force", "--json").expect(0)
            report, after = json.loads(run.output), load("b.safetensors")
            kept = [t for t in report["targets"] if t["rank_before"] == t["rank_after"]]
            assert len(kept) == {8: 3, 4: 2}.get(rule[1], 4), (rule, kept)
            for t in kept:
                n, r = t["name"], t["rank_after"]
                assert t["relative_error"] == 0, t
                powers = []
                for side in ("up", "down"):
                    x, y = before[f"{n}.lora_{side}.weight"], after[f"{n}.lora_{side}.weight"]
                    assert x.dtype == y.dtype
                    power = (y.double() / x.double())[x != 0].unique()
                    assert len(power) == 1 and np.frexp(abs(power.item()))[0] == 0.5, (kind, alphas, rule, power)
                    powers.append(power.item())
                scale = lambda t: float(t[n + ".alpha"]) / r
                assert scale(after) * powers[0] * powers[1] == scale(before), (kind, alphas, rule)
            if len(kept) == 4:
                assert report["relative_error"] == 0 and report.get("lower_bound") in (None, 0), report
            if alphas is None:
                assert len({float(v) for k, v in after.items() if k.endswith("alpha")}) == 1


@case("a PEFT adapter that nothing is cut from keeps factors and scales")
def uncut_folder(place):
    import os

    os.makedirs("p")
    t = {}
    for i, r in enumerate((4, 6)):
        n = f"base_model.model.model.layers.{i}.self_attn.q_proj"
        t |= {n + ".lora_A.weight": numbers(r, 32, seed=i).astype("e"), n + ".lora_B.weight": numbers(48, r, seed=5 + i).astype("e")}
    save_file(t, "p/adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 10, "rank_pattern": {"layers.1.self_attn.q_proj": 6}, "target_modules": ["q_proj"], "use_rslora": True}
    with open("p/adapter_config.json", "w") as file:
        json.dump(config, file)
    run = place.run("resize", "p", "--rank", 8, "-o", "q", "--json").expect(0)
    assert json.loads(run.output)["relative_error"] == 0
    after = load_file("q/adapter_model.safetensors")
    assert all((after[k] == v).all() for k, v in t.items())
    report = json.loads(place.run("compare", "p", "q", "--json").expect(0).output)
    assert report["relative_error"] < 1e-14, report


@case("sizes, errors and energies are understood in per cent")
def per_cent(place):
    import os

    sketch = place.adapters / "sketch.safetensors"
    whole = os.path.getsize(sketch)
    for share in (50, 75):
        run = place.run("resize", sketch, "--size", f"{share}%", "-o", "b.safetensors", "--force").expect(0)
        assert 0.5 * share / 100 * whole < os.path.getsize("b.safetensors") <= share / 100 * whole
    place.run("resize", sketch, "--size", "50%,80%", "-o", "s-{size}.safetensors").expect(0)
    assert os.path.getsize("s-50%.safetensors") < os.path.getsize("s-80%.safetensors")
    a = json.loads(place.run("resize", sketch, "--max-error", "10%", "--dry-run", "--json").expect(0).output)
    b = json.loads(place.run("resize", sketch, "--max-error", "0.1", "--dry-run", "--json").expect(0).output)
    assert a["relative_error"] == b["relative_error"] <= 0.1
    place.run("resize", sketch, "--energy", "95%", "--dry-run").expect(0)
    for bad in ("0%", "-5%", "x%", "nan%", "inf%", "%"):
        place.run("resize", sketch, "--size", bad, "-o", "c.safetensors").expect(64)
    place.run("resize", sketch, "--energy", "150%", "-o", "c.safetensors").expect(64)
    place.run("merge", sketch, "--size", "50%", "-o", "c.safetensors").expect(64, "--size")


@case("a resize leaves each text encoder one out_proj, by which loaders know it")
def landmarks(place):
    import os

    t = kohya("lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k", numbers(8, 2048), numbers(640, 8, seed=1), np.array(8, "f"))
    for te, width in (("te1", 768), ("te2", 1280)):
        for i in range(2):
            for m in ("q_proj", "k_proj", "v_proj", "out_proj"):
                weak = 1e-4 if m == "out_proj" else 1
                n = f"lora_{te}_text_model_encoder_layers_{i}_self_attn_{m}"
                t |= kohya(n, numbers(8, width, seed=i + 2), numbers(width, 8, size=weak, seed=i + 5), np.array(8, "f"))
    save_file(t, "a.safetensors")
    limit = os.path.getsize("a.safetensors") // 4
    for rule in (["--size", limit], ["--max-error", 0.5]):
        run = place.run("resize", "a.safetensors", *rule, "-o", "b.safetensors", "--force").expect(0)
        assert "passes over" not in run.errors, run.errors
        kept = [k for k in load_file("b.safetensors") if "out_proj" in k and "down" in k]
        assert [sum(te in k for k in kept) for te in ("te1", "te2")] == [1, 1], kept
        assert rule[0] != "--size" or os.path.getsize("b.safetensors") <= limit


@case("block weights of labels that the adapter has not are refused, with those that it has")
def block_labels(place):
    sketch = place.adapters / "sketch.safetensors"
    for weights in ("IN99:0", "MIDDLE:0", "M0:0", "DOUBLE00:0", "INALL:0", "D00:0", "IN04:0,IN04:1", "IN04:inf", "IN04:nan", "IN04:", ":1", "IN04:0:1",
                    ",".join(["1"] * 61), ",".join(["1"] * 12), ",".join(["1"] * 16) + ",nan", "1,2", "down_blocks.1:0,IN04:1"):  # fmt: skip
        place.run("bake", place.model, sketch, "-o", "b", "--block-weights", f"{sketch}={weights}", "--dry-run").expect(64)
    for weights in ("IN99:0", ",".join(["1"] * 61)):
        place.run("render", place.model, sketch, "--prompt", "r", "-o", "p.png", "--block-weights", f"{sketch}={weights}", "--dry-run").expect(64)
    run = place.run("bake", place.model, sketch, "-o", "b", "--block-weights", f"{sketch}=IN99:0", "--dry-run")
    run.expect(64, "IN00", "M00", "OUT11", "IN99")
    for good in ("IN04:0.5,M00:0,OUT03:1", "BASE:0", "mid_block:0.5", ",".join(["0.5"] * 17), ",".join(["0.5"] * 26)):
        place.run("bake", place.model, sketch, "-o", "b", "--block-weights", f"{sketch}={good}", "--dry-run").expect(0)


@case("block weights in a recipe are looked at as those of the command line are")
def block_recipes(place):
    sketch = place.adapters / "sketch.safetensors"
    for blocks, status in (("{IN99: 0}", 64), ("{IN04: .inf}", 65), ("{IN04: .nan}", 65), ("[1, 2, 3]", 65), (f"[{', '.join(['1'] * 61)}]", 64),
                           (f"[{', '.join(['1'] * 16)}, .nan]", 65), ("{IN04: 1, IN04: 0}", 65), ("{IN04: 0.5}", 0)):  # fmt: skip
        (place.folder / "r.yaml").write_text(f"adapters:\n  - file: {sketch}\n    blocks: {blocks}\n")
        place.run("merge", "--recipe", "r.yaml", "-o", "m.safetensors", "--dry-run").expect(status)
        place.run("bake", place.model, "--recipe", "r.yaml", "-o", "b", "--dry-run").expect(status)
