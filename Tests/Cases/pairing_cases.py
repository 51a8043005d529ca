"""One adapter under different names: what belongs together is compared, merged and named as one."""

import json
import os

import numpy as np
from cases import case
from safetensors.numpy import load_file, save_file


def numbers(*shape, size=0.05, seed=0):
    return (size * np.random.default_rng(seed).standard_normal(shape)).astype("f")


def kohya(name, down, up, alpha=None):
    rank = down.shape[0]
    return {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": np.array(rank if alpha is None else alpha, "f")}


def dotted(name, down, up):
    return {f"{name}.lora_A.weight": down, f"{name}.lora_B.weight": up}


def compared(place, a, b, *more):
    return json.loads(place.run("compare", a, b, "--json", *more).expect(0).output)


def expect_same(place, a, b):
    report = compared(place, a, b)
    assert report["relative_error"] <= 1e-6 and abs(report["cosine"] - 1) <= 1e-6, report
    return report


def modules(file):
    return sorted({k.rsplit(".lora", 1)[0].removesuffix(".alpha") for k in load_file(file)})


# Flux.1, fused in the authors' names and in parts in diffusers'
H, R = 3072, 2
QKV = [(numbers(R, H, seed=i), numbers(H, R, seed=10 + i)) for i in range(3)]
MLP, UP = (numbers(R, H, seed=3), numbers(4 * H, R, seed=13)), (numbers(R, H, seed=4), numbers(4 * H, R, seed=14))
OUT = (numbers(R, 5 * H, seed=5), numbers(H, R, seed=15))


def fused(parts):
    """Several pairs of factors as one: block by block."""
    rank, rows = sum(d.shape[0] for d, _ in parts), sum(u.shape[0] for _, u in parts)
    up, row, column = np.zeros((rows, rank), "f"), 0, 0
    for d, u in parts:
        up[row : row + u.shape[0], column : column + u.shape[1]] = u
        row, column = row + u.shape[0], column + u.shape[1]
    return np.vstack([d for d, _ in parts]), up


def flux_kohya():
    return (
        kohya("lora_unet_double_blocks_0_img_attn_qkv", *fused(QKV)) | kohya("lora_unet_double_blocks_0_img_mlp_0", *MLP)
        | kohya("lora_unet_single_blocks_0_linear1", *fused(QKV + [UP])) | kohya("lora_unet_single_blocks_0_linear2", *OUT)
    )  # fmt: skip


def flux_diffusers(prefix="transformer."):
    double, single = prefix + "transformer_blocks.0.", prefix + "single_transformer_blocks.0."
    t = dotted(double + "ff.net.0.proj", *MLP) | dotted(single + "proj_out", *OUT) | dotted(single + "proj_mlp", *UP)
    for x, pair in zip("qkv", QKV):
        t |= dotted(f"{double}attn.to_{x}", *pair) | dotted(f"{single}attn.to_{x}", *pair)
    return t


@case("a Flux.1 adapter is the same in kohya's, diffusers', PEFT's and ComfyUI's names")
def flux_dialects(place):
    save_file(flux_kohya(), "k.safetensors")
    save_file(flux_diffusers(), "d.safetensors")
    native = {}
    for k, v in flux_kohya().items():
        if k.endswith(".alpha"):
            continue
        k = k.replace("lora_unet_double_blocks_0_img_attn_qkv", "diffusion_model.double_blocks.0.img_attn.qkv").replace(
            "lora_unet_double_blocks_0_img_mlp_0", "diffusion_model.double_blocks.0.img_mlp.0").replace(
            "lora_unet_single_blocks_0_", "diffusion_model.single_blocks.0.")  # fmt: skip
        native[k.replace("lora_down", "lora_A").replace("lora_up", "lora_B")] = v
    save_file(native, "n.safetensors")
    os.makedirs("p")
    save_file(flux_diffusers("base_model.model."), "p/adapter_model.safetensors")
    with open("p/adapter_config.json", "w") as file:
        json.dump({"peft_type": "LORA", "r": R, "lora_alpha": R, "target_modules": ["to_q"]}, file)
    all_files = ["k.safetensors", "d.safetensors", "n.safetensors", "p"]
    for a in all_files:
        for b in all_files:
            expect_same(place, a, b)
    report = json.loads(place.run("compare", "--all", *all_files, "--json").expect(0).output)
    assert "0.0" not in [str(round(p["cosine"], 3)) for p in report["pairs"]] and all(abs(p["cosine"] - 1) < 1e-6 for p in report["pairs"]), report["pairs"]


@case("halves of one adapter in two dialects merge to the adapter, under names that exist")
def flux_merges(place):
    save_file(flux_kohya(), "k.safetensors")
    save_file(flux_diffusers(), "d.safetensors")
    for arguments, like in (
        (["k.safetensors@0.5", "d.safetensors@0.5"], "k.safetensors"), (["d.safetensors@0.5", "k.safetensors@0.5"], "k.safetensors"),
        (["k.safetensors@0.5", "d.safetensors@0.5", "--format", "diffusers"], "d.safetensors"),
        (["k.safetensors", "--format", "diffusers"], "d.safetensors"), (["d.safetensors", "--format", "kohya"], "k.safetensors"),
    ):  # fmt: skip
        place.run("merge", *arguments, "-o", "m.safetensors", "--force").expect(0)
        expect_same(place, "k.safetensors", "m.safetensors")
        assert modules("m.safetensors") == modules(like), modules("m.safetensors")


@case("parts of a projection and the whole of it add up, also where some parts are missing")
def parts_and_whole(place):
    save_file(flux_kohya(), "k.safetensors")
    only = {k: v for k, v in flux_diffusers().items() if "to_k" in k or "proj_out" in k}
    save_file(only, "part.safetensors")
    report = compared(place, "k.safetensors", "part.safetensors")
    presence = [t["name"] for t in report["targets"]]
    assert len(presence) == len(set(presence)), presence
    place.run("merge", "k.safetensors", "part.safetensors", "-o", "sum.safetensors").expect(0)
    place.run("merge", "sum.safetensors", "part.safetensors@-1", "-o", "back.safetensors").expect(0)
    expect_same(place, "k.safetensors", "back.safetensors")
    assert modules("sum.safetensors") == modules("k.safetensors")


@case("XLabs' rows of a fused projection meet the rows of other dialects")
def xlabs(place):
    d, u = fused(QKV)
    x = {f"{n}.{w}.weight": t for n, pair in (
        ("double_blocks.0.processor.qkv_lora1", (d, u)), ("single_blocks.0.processor.qkv_lora", (d, u)), ("single_blocks.0.processor.proj_lora", OUT)
    ) for w, t in zip(("down", "up"), pair)}  # fmt: skip
    save_file(x, "x.safetensors")
    save_file({k: v for k, v in flux_diffusers().items() if ".proj_mlp" not in k and ".ff." not in k}, "d.safetensors")
    expect_same(place, "x.safetensors", "d.safetensors")
    place.run("merge", "x.safetensors@0.5", "d.safetensors@0.5", "-o", "m.safetensors").expect(0)
    expect_same(place, "d.safetensors", "m.safetensors")
    assert "lora_unet_single_blocks_0_linear1" in modules("m.safetensors")


@case("a Wan adapter is the same in its authors' names and in diffusers'")
def wan(place):
    names = [("self_attn_q", "attn1.to_q"), ("self_attn_o", "attn1.to_out.0"), ("cross_attn_k", "attn2.to_k"), ("ffn_0", "ffn.net.0.proj")]
    k, d = {}, {}
    for i, (a, b) in enumerate(names):
        pair = (numbers(R, 1536, seed=i), numbers(8960 if "ffn" in a else 1536, R, seed=20 + i))
        k |= kohya(f"lora_unet_blocks_0_{a}", *pair)
        d |= dotted(f"transformer.blocks.0.{b}", *pair)
    save_file(k, "k.safetensors")
    save_file(d, "d.safetensors")
    expect_same(place, "k.safetensors", "d.safetensors")
    place.run("merge", "k.safetensors@0.5", "d.safetensors@0.5", "-o", "m.safetensors").expect(0)
    expect_same(place, "k.safetensors", "m.safetensors")
    assert modules("m.safetensors") == modules("k.safetensors")


@case("an adapter too small to tell its family is paired through the other's")
def small(place):
    save_file(flux_kohya(), "k.safetensors")
    save_file(dotted("transformer.single_transformer_blocks.0.attn.to_q", *QKV[0]), "small.safetensors")
    report = compared(place, "k.safetensors", "small.safetensors")
    both = [t for t in report["targets"] if t.get("relative_error") == 0 or (t["relative_error"] or 1) < 1e-6]
    assert len(both) == 1, report["targets"]
    place.run("merge", "k.safetensors", "small.safetensors@-1", "-o", "m.safetensors").expect(0)
    assert modules("m.safetensors") == modules("k.safetensors")


@case("T5 is one text encoder, whichever number a dialect gives it")
def t5(place):
    pair = (numbers(R, 4096), numbers(4096, R, seed=1))
    path = "encoder.block.0.layer.0.SelfAttention.q"
    save_file(flux_kohya() | kohya("lora_te3_" + path.replace(".", "_"), *pair), "k.safetensors")
    save_file(flux_diffusers() | dotted("text_encoder_2." + path, *pair), "d.safetensors")
    expect_same(place, "k.safetensors", "d.safetensors")
    for form, like in (("kohya", "k"), ("diffusers", "d")):
        place.run("merge", "k.safetensors@0.5", "d.safetensors@0.5", "--format", form, "-o", "m.safetensors", "--force").expect(0)
        assert modules("m.safetensors") == modules(like + ".safetensors"), modules("m.safetensors")


@case("a merge writes no name that the family does not have")
def unknown_names(place):
    save_file(flux_kohya(), "k.safetensors")
    odd = "transformer.single_transformer_blocks.0.attn.to_banana"
    save_file(flux_diffusers() | dotted(odd, *QKV[0]), "d.safetensors")
    place.run("merge", "k.safetensors", "d.safetensors", "-o", "m.safetensors").expect(65, "to_banana")
    assert not (place.folder / "m.safetensors").exists()
    place.run("merge", "d.safetensors", "d.safetensors", "-o", "m.safetensors").expect(0)


@case("one Stable Diffusion adapter merges in any of its dialects")
def stable_diffusion(place):
    path = "down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k"
    pair, text = (numbers(R, 768), numbers(640, R, seed=1)), (numbers(R, 768, seed=2), numbers(768, R, seed=3))
    clip = "text_model.encoder.layers.0.self_attn.q_proj"
    save_file(kohya("lora_unet_" + path.replace(".", "_"), *pair) | kohya("lora_te_" + clip.replace(".", "_"), *text), "k.safetensors")
    save_file(dotted("unet." + path, *pair) | dotted("text_encoder." + clip, *text), "d.safetensors")
    expect_same(place, "k.safetensors", "d.safetensors")
    for arguments, like in ((["k.safetensors", "--format", "diffusers"], "d"), (["d.safetensors", "--format", "kohya"], "k")):
        place.run("merge", *arguments, "-o", "m.safetensors", "--force").expect(0)
        assert modules("m.safetensors") == modules(like + ".safetensors"), modules("m.safetensors")
        expect_same(place, "k.safetensors", "m.safetensors")
