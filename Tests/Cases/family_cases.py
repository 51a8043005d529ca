"""Families of models and the names that they have in each dialect."""

import json

import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from cases import case
from files import numbers

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
TEXT_ATTENTION = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")


def adapter(path, shapes, prefix="", kohya=False):
    """An adapter of rank 1 with the targets of `shapes`: rows and inputs by name."""
    tensors = {}
    for name, (rows, inputs) in shapes.items():
        name = f"lora_unet_{name.replace('.', '_')}" if kohya else prefix + name
        down, up = (".lora_down.weight", ".lora_up.weight") if kohya else (".lora_A.weight", ".lora_B.weight")
        tensors |= {name + down: numbers(1, inputs), name + up: numbers(rows, 1)}
        if kohya:
            tensors[name + ".alpha"] = np.array(1, np.float32)
    save_file(tensors, path)
    return path


def base(path, shapes, prefix=""):
    save_file({f"{prefix}{name}.weight": numbers(*shape) for name, shape in shapes.items()}, path)
    return path


def names(path):
    """The modules of an adapter."""
    return {key.split(".lora_")[0] for key in load_file(path) if ".lora_" in key}


def family(place, path):
    return json.loads(place.run("inspect", path, "--json").expect(0).output)["family"]


def converted(place, path, to, *options, status=0):
    output = f"{path}-{to}.safetensors"
    place.run("convert", path, "--to", to, "-o", output, *options).expect(status)
    return names(output)


def expect_same(place, a, b):
    """Two adapters whose deltas differ by the rounding of double precision at most."""
    report = json.loads(place.run("compare", a, b, "--json").expect(0).output)
    assert report["relative_error"] <= 1e-12 and {t["presence"] for t in report["targets"]} == {"both"}, report


KLEIN = {
    "double_blocks.0.img_attn.qkv": (9216, 3072), "double_blocks.0.img_mlp.0": (18432, 3072),
    "double_blocks.0.img_mlp.2": (3072, 9216), "single_blocks.0.linear1": (27648, 3072),
    "single_blocks.0.linear2": (3072, 12288),
}  # fmt: skip
KLEIN_DIFFUSERS = {
    "transformer_blocks.0.attn.to_q", "transformer_blocks.0.attn.to_k", "transformer_blocks.0.attn.to_v",
    "transformer_blocks.0.ff.linear_in", "transformer_blocks.0.ff.linear_out",
    "single_transformer_blocks.0.attn.to_qkv_mlp_proj", "single_transformer_blocks.0.attn.to_out",
}  # fmt: skip


@case("Flux.2 Klein 4B is known by its shapes, and gets Flux.2's names")
def klein(place):
    for path in (adapter("k.safetensors", KLEIN, kohya=True), adapter("n.safetensors", KLEIN, "diffusion_model.")):
        assert family(place, path) == "Flux.2"
        assert converted(place, path, "diffusers") == {"transformer." + name for name in KLEIN_DIFFUSERS}


@case("a single block's output of Flux.2 keeps its name, there and back")
def flux2_output(place):
    shapes = {"attn.to_out": (4096, 16384), "attn.to_qkv_mlp_proj": (36864, 4096)}
    path = adapter("d.safetensors", {f"single_transformer_blocks.0.{n}": s for n, s in shapes.items()}, "transformer.")
    kohya = converted(place, path, "kohya")
    assert kohya == {"lora_unet_single_blocks_0_linear1", "lora_unet_single_blocks_0_linear2"}, kohya
    assert converted(place, path + "-kohya.safetensors", "diffusers") == names(path)
    small = {"attn.to_out": (16, 64), "attn.to_qkv_mlp_proj": (144, 16)}
    path = adapter("s.safetensors", {f"single_transformer_blocks.0.{n}": s for n, s in small.items()}, "transformer.")
    place.run("check", path, base("own.safetensors", {f"single_transformer_blocks.0.{n}": s for n, s in small.items()})).expect(0)
    original = {
        "single_blocks.0.linear2": (16, 64), "single_blocks.0.linear1": (144, 16), "double_stream_modulation_img.lin": (96, 16),
        "single_stream_modulation.lin": (48, 16),
    }  # fmt: skip
    place.run("check", path, base("original.safetensors", original)).expect(0)


@case("HiDream's attention fits its own checkpoint")
def hidream(place):
    shapes = {f"double_stream_blocks.0.block.attn1.{n}": (32, 32) for n in ("to_q", "to_out", "to_out_t")}
    path = adapter("h.safetensors", shapes, "diffusion_model.")
    place.run("check", path, base("b.safetensors", shapes)).expect(0)


@case("Anima is never Wan or LTX-Video")
def anima(place):
    block = {
        f"blocks.0.{n}": s
        for n, s in {
            "self_attn.q_proj": (2048, 2048), "self_attn.output_proj": (2048, 2048), "cross_attn.k_proj": (2048, 1024),
            "mlp.layer1": (8192, 2048), "mlp.layer2": (2048, 8192),
        }.items()
    }  # fmt: skip
    for path in (adapter("k.safetensors", block, kohya=True), adapter("n.safetensors", block, "diffusion_model.")):
        # Cosmos-Predict2 has the same blocks, and the same names for them.
        place.run("inspect", path).expect(0, "Anima", "Cosmos-Predict2", "unknown")
        assert {n.split(".", 1)[1] for n in converted(place, path, "diffusers")} == {
            "transformer_blocks.0.attn1.to_q", "transformer_blocks.0.attn1.to_out.0", "transformer_blocks.0.attn2.to_k",
            "transformer_blocks.0.ff.net.0.proj", "transformer_blocks.0.ff.net.2",
        }  # fmt: skip
    more = block | {"llm_adapter.blocks.0.self_attn.q_proj": (1024, 1024)}
    text = {"text_encoders.qwen3_06b.transformer.model.layers.0.self_attn.q_proj": (2048, 1024)}
    path = adapter("m.safetensors", {f"diffusion_model.{n}": s for n, s in more.items()} | text)
    assert family(place, path) == "Anima"
    there = converted(place, path, "diffusers")
    assert {"text_conditioner.blocks.0.self_attn.q_proj", "text_encoder.layers.0.self_attn.q_proj"} < there, there
    kohya = converted(place, path + "-diffusers.safetensors", "kohya")
    assert {"lora_unet_llm_adapter_blocks_0_self_attn_q_proj", "lora_te_layers_0_self_attn_q_proj"} < kohya, kohya
    assert converted(place, path + "-diffusers.safetensors-kohya.safetensors", "native") == names(path)
    expect_same(place, path, path + "-diffusers.safetensors-kohya.safetensors")


@case("Qwen-Image's attention alone is Qwen-Image's")
def qwen(place):
    shapes = {f"transformer_blocks.{b}.attn.{n}": (3072, 3072) for b in (0, 59) for n in ATTENTION + TEXT_ATTENTION}
    path = adapter("q.safetensors", shapes)
    assert family(place, path) == "Qwen-Image"
    assert converted(place, path, "kohya") == {"lora_unet_" + n.replace(".", "_") for n in shapes}


@case("AuraFlow, HunyuanVideo and Cosmos in diffusers' names get their authors' names")
def other_transformers(place):
    aura = {f"{k}_transformer_blocks.0.attn.{n}": (3072, 3072) for k in ("joint", "single") for n in ATTENTION}
    video = {f"transformer_blocks.0.attn.{n}": (3072, 3072) for n in ATTENTION} | {
        f"context_embedder.token_refiner.refiner_blocks.0.attn.{n}": (3072, 3072) for n in ATTENTION
    }
    cosmos = {
        f"transformer_blocks.0.{a}.{n}": (2048, 1024 if a == "attn2" and n in ("to_k", "to_v") else 2048)
        for a in ("attn1", "attn2")
        for n in ATTENTION
    }
    for name, shapes, expected in [
        ("AuraFlow", aura, {f"double_layers_0_attn_w2{x}" for x in "qkvo"} | {f"single_layers_0_attn_w1{x}" for x in "qkvo"}),
        ("HunyuanVideo", video, {"double_blocks_0_img_attn_qkv", "double_blocks_0_img_attn_proj",
                                 "txt_in_individual_token_refiner_blocks_0_self_attn_qkv",
                                 "txt_in_individual_token_refiner_blocks_0_self_attn_proj"}),
        ("Cosmos-Predict2", cosmos, {f"blocks_0_{a}_attn_{x}_proj" for a in ("self", "cross") for x in ("q", "k", "v", "output")}),
    ]:  # fmt: skip
        path = adapter(f"{name}.safetensors", shapes, "transformer.")
        # Anima has Cosmos-Predict2's blocks, under the same names.
        place.run("inspect", path).expect(0, name, *(["Anima", "unknown"] if shapes is cosmos else []))
        assert converted(place, path, "kohya") == {"lora_unet_" + n for n in expected}
        assert converted(place, path + "-kohya.safetensors", "diffusers") == names(path)


@case("Wan and Lumina2 in diffusers' names are known, and converted")
def wan_and_lumina(place):
    wan = {f"blocks.0.{a}.{n}": (5120, 5120) for a in ("attn1", "attn2") for n in ATTENTION}
    lumina = {f"layers.0.attn.{n}": (2304 if n in ("to_q", "to_out.0") else 768, 2304) for n in ATTENTION}
    for name, shapes, expected in [
        ("Wan", wan, {f"blocks_0_{a}_attn_{x}" for a in ("self", "cross") for x in "qkvo"}),
        ("Lumina2", lumina, {"layers_0_attention_qkv", "layers_0_attention_out"}),
    ]:
        path = adapter(f"{name}.safetensors", shapes, "transformer.")
        assert family(place, path) == name
        assert converted(place, path, "kohya") == {"lora_unet_" + n for n in expected}


@case("PixArt and AuraFlow in their own names are no language models")
def no_language_model(place):
    pixart = {
        "blocks.0.attn.qkv": (3456, 1152), "blocks.0.attn.proj": (1152, 1152), "blocks.0.cross_attn.q_linear": (1152, 1152),
        "blocks.0.mlp.fc1": (4608, 1152),
    }  # fmt: skip
    aura = {"cond_seq_linear": (3072, 2048), "double_layers.0.mlpX.c_fc1": (8192, 3072)}
    ernie = {"layers.0.self_attention.to_q": (4096, 4096), "layers.0.mlp.gate_proj": (12288, 4096)}
    for name, shapes in {"PixArt": pixart, "AuraFlow": aura, "ERNIE-Image": ernie}.items():
        for prefix in ("diffusion_model.", "base_model.model."):
            assert family(place, adapter("a.safetensors", shapes, prefix)) == name


@case("models whose blocks are another's are told by their width, their blocks or not at all")
def kin(place):
    video15 = {"double_blocks.0.img_attn.qkv": (6144, 2048), "double_blocks.0.img_mlp.0": (8192, 2048)}
    image21 = {f"transformer_blocks.0.attn.{n}": (3584, 3584) for n in ATTENTION}
    ovis = {"transformer_blocks.0.ff.net.0.proj": (24576, 3072), "single_transformer_blocks.0.proj_out": (3072, 15360)}
    for name, shapes in {"HunyuanVideo 1.5": video15, "HunyuanImage 2.1": image21, "unknown": ovis}.items():
        path = adapter("a.safetensors", shapes, "transformer.")
        assert family(place, path) == name, name
    place.run("convert", path, "--to", "kohya", "-o", "out.safetensors").expect(65, "family is not known")


@case("a name that no map has is refused by name, or left out and named")
def closed(place):
    shapes = {"double_blocks.0.img_mlp.0": (12288, 3072), "single_blocks.0.linear2": (3072, 15360)}
    path = adapter("a.safetensors", shapes | {"double_blocks.0.img_router": (3072, 3072)}, "diffusion_model.")
    place.run("convert", path, "--to", "diffusers", "-o", "b.safetensors").expect(65, "family is not known")
    run = place.run("convert", path, "--to", "diffusers", "-o", "b.safetensors", "--family", "flux1")
    run.expect(65, "double_blocks.0.img_router: name: expected one that the diffusers dialect has")
    run = place.run("convert", path, "--to", "diffusers", "-o", "b.safetensors", "--family", "flux1", "--allow-unmatched")
    run.expect(2, "double_blocks.0.img_router")
    assert names("b.safetensors") == {"transformer.transformer_blocks.0.ff.net.0.proj", "transformer.single_transformer_blocks.0.proj_out"}
    block = "down_blocks_0_attentions_0_transformer_blocks_0_"
    path = adapter("u.safetensors", {block + "attn2_to_k": (320, 768), block + "attn2_to_gate": (320, 320)}, kohya=True)
    place.run("convert", path, "--to", "diffusers", "-o", "c.safetensors").expect(65, "attn2_to_gate")
    text = {"encoder.layers.0.self_attn.q_proj": (768, 768), "encoder.layers.0.self_attn.gate": (768, 768)}
    path = adapter("t.safetensors", text, "text_encoder.text_model.")
    place.run("convert", path, "--to", "kohya", "-o", "d.safetensors").expect(65, "self_attn.gate")


@case("HunyuanVideo 1.5's own projections are translated, joined for ComfyUI, and refused for another model")
def hunyuan_names(place):
    shapes = {"double_blocks.0.img_attn_q": (2048, 2048), "byt5_in.fc1": (2048, 1472)}
    path = adapter("a.safetensors", shapes, "diffusion_model.")
    expected = {"transformer.transformer_blocks.0.attn.to_q", "transformer.context_embedder_2.linear_1"}
    assert converted(place, path, "diffusers") == expected
    parts = {f"double_blocks.0.img_attn_{x}": (2048, 2048) for x in "qkv"}
    musubi = adapter("m.safetensors", parts | {"double_blocks.0.img_mlp.fc1": (8192, 2048)}, kohya=True)
    joined = {"diffusion_model.double_blocks.0.img_attn.qkv", "diffusion_model.double_blocks.0.img_mlp.0"}
    assert converted(place, musubi, "native") == joined
    expect_same(place, musubi, musubi + "-native.safetensors")
    fused = {"double_blocks.0.img_attn.qkv": (6144, 2048), "double_blocks.0.img_mlp.0": (8192, 2048)}
    base("comfy.safetensors", fused | {"vision_in.proj.0": (1152,)})
    for fitting in (musubi, musubi + "-native.safetensors"):
        place.run("check", fitting, "comfy.safetensors").expect(0, "all")
    run = place.run("convert", path, "--to", "diffusers", "-o", "b.safetensors", "--family", "hunyuanvideo")
    run.expect(65, "no module of this name is known in HunyuanVideo (and 1 more targets)")


@case("Chroma's approximator and LTX-2.3's prompt modulation change their names")
def renamed(place):
    chroma = {"distilled_guidance_layer.layers.0.in_layer": (5120, 5120), "distilled_guidance_layer.layers.0.out_layer": (5120, 5120)}
    path = adapter("c.safetensors", chroma | {"double_blocks.0.img_mlp.0": (12288, 3072)}, "diffusion_model.")
    expected = {f"distilled_guidance_layer.layers.0.linear_{n}" for n in (1, 2)} | {"transformer_blocks.0.ff.net.0.proj"}
    assert converted(place, path, "diffusers") == {"transformer." + n for n in expected}
    path = adapter("k.safetensors", chroma | {"double_blocks.0.img_mlp.0": (12288, 3072)}, kohya=True)
    assert converted(place, path, "diffusers") == {"transformer." + n for n in expected}
    ltx = {"prompt_adaln_single.linear": (8192, 4096), "audio_prompt_adaln_single.linear": (4096, 2048)}
    path = adapter("l.safetensors", ltx | {"transformer_blocks.0.attn2.to_q": (4096, 4096)}, "diffusion_model.")
    expected = {"prompt_adaln.linear", "audio_prompt_adaln.linear", "transformer_blocks.0.attn2.to_q"}
    assert converted(place, path, "diffusers") == {"transformer." + n for n in expected}


@case("a UNet's modules outside its blocks are the UNet's, and one file has one prefix")
def one_prefix(place):
    block = {"down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q": (320, 320)}
    top = {"time_embedding_linear_1": (1280, 320), "time_embedding_linear_2": (1280, 1280)}
    for shapes in (block | top, top):
        path = adapter("k.safetensors", shapes, kohya=True)
        place.run("convert", path, "--to", "diffusers", "-o", "d.safetensors", "--force").expect(0, "family is not known")
        found = {name.split(".")[0] for name in names("d.safetensors")}
        assert found == {"unet"} and len(names("d.safetensors")) == len(shapes), names("d.safetensors")


@case("cloneofsimo's lists of a text encoder are the text encoder's")
def text_encoder_list(place):
    for count, width, name in ((48, 768, "a.pt"), (92, 1024, "b.pt"), (4, 768, "x.text_encoder.pt")):
        torch.save([t for _ in range(count) for t in (torch.randn(width, 4), torch.randn(4, width))], name)
        place.run("resize", name, "--rank", "2", "-o", "out.safetensors", "--force").expect(0)
        found = {key.split(":")[0] for key in load_file("out.safetensors")}
        assert found == {"text_encoder"}, found


@case("Flux's Control-LoRA is named")
def control_lora(place):
    path = adapter("c.safetensors", {"img_in": (3072, 128), "single_blocks.0.linear2": (3072, 15360)})
    tensors = load_file(path) | {"single_blocks.0.norm.key_norm.scale": numbers(128), "img_in.lora_B.bias": numbers(3072)}
    save_file(tensors, path)
    place.run("resize", path, "--rank", "1", "-o", "out.safetensors").expect(65, "control-lora")
    place.run("inspect", path).expect(0, "control-lora")


@case("where names fit two families the user says which")
def told(place):
    path = adapter("a.safetensors", {"double_blocks.0.img_attn.qkv": (9216, 3072), "double_blocks.0.img_mod.lin": (18432, 3072)}, "diffusion_model.")
    assert family(place, path) == "Flux.1"
    shapes = {f"transformer_blocks.0.attn.{n}": (3072, 3072) for n in ATTENTION}
    path = adapter("b.safetensors", shapes, "transformer.")
    place.run("inspect", path).expect(0, "Flux.1", "Qwen-Image", "unknown")
    place.run("convert", path, "--to", "kohya", "-o", "c.safetensors").expect(65, "--family")
    assert "lora_unet_double_blocks_0_img_attn_qkv" in converted(place, path, "kohya", "--family", "Flux.2")
    qwen = {"txt_norm": (3584,), "transformer_blocks.0.attn.add_q_proj": (16, 16)}
    base("base.safetensors", qwen)
    assert "lora_unet_transformer_blocks_0_attn_to_q" in converted(place, path, "kohya", "--base", "base.safetensors", "--force")
    place.run("convert", path, "--to", "kohya", "-o", "e.safetensors", "--family", "nothing").expect(64, "flux1")
    # It does not matter which where both say the same.
    path = adapter("d.safetensors", {"double_blocks.0.img_attn.qkv": (9216, 3072)}, "diffusion_model.")
    assert family(place, path) == "unknown"
    assert converted(place, path, "diffusers") == {f"transformer.transformer_blocks.0.attn.to_{x}" for x in "qkv"}


@case("an adapter whose every target fits is not said to be of another family")
def no_contradiction(place):
    shapes = {"double_blocks.0.img_attn.qkv": (48, 16), "single_blocks.0.linear1": (112, 16)}
    path = adapter("a.safetensors", shapes, "diffusion_model.")
    assert family(place, path) == "Flux.1"
    run = place.run("check", path, base("b.safetensors", shapes | {"single_stream_modulation.lin": (48, 16)}))
    run.expect(0, "all 2 targets", "Flux.2")
    assert "this is a" not in run.output, run.output


@case("a module that a known model has not is an error in resize, merge and convert, and left out by name where that is allowed")
def modules_that_are_not(place):
    flux = {f"double_blocks.{b}.{n}": s for b in range(2) for n, s in {
        "img_attn.qkv": (9216, 3072), "img_mlp.0": (12288, 3072), "img_mlp.2": (3072, 12288)}.items()}  # fmt: skip
    unet = {f"input_blocks_4_1_transformer_blocks_0_{a}_to_{x}": (640, 640 if a == "attn1" or x == "q" else 2048)
            for a in ("attn1", "attn2") for x in "qkv"}  # fmt: skip
    for told, shapes, other in [(["--family", "flux1"], flux, "double_blocks.0.img_attn.invented"),
                                ([], unet, "input_blocks_4_1_transformer_blocks_0_attn1_invented")]:  # fmt: skip
        good = adapter("good.safetensors", shapes, kohya=True)
        path = adapter("odd.safetensors", shapes | {other: (640, 640)}, kohya=True)
        # Nothing but what the user says tells the family of names that no family has.
        assert family(place, path) == ("unknown" if told else "SDXL"), family(place, path)
        commands = [("resize", path, "--rank", "1"), ("merge", path, good), ("convert", path, "--to", "kohya")]
        for number, command in enumerate(commands):
            place.run(*command, *told, "-o", "no.safetensors").expect(65, other.replace(".", "_"))
            assert not (place.folder / "no.safetensors").exists()
            allowing = "--allow-unmatched" if command[0] == "convert" else "--allow-unknown"
            output = f"{len(told)}{number}.safetensors"
            place.run(*command, *told, "-o", output, allowing).expect(2, other.replace(".", "_"))
            assert names(output) == names(good), names(output) ^ names(good)


@case("Krea 2's fused projections with fewer keys than queries are taken apart, and fit a base of either layout")
def krea(place):
    name = "transformer_blocks.0.attn.to_qkv"
    path = adapter("k.safetensors", {"transformer." + name: (9216, 6144)})
    assert family(place, path) == "Krea 2"
    native = converted(place, path, "native")
    assert native == {f"diffusion_model.blocks.0.attn.w{x}" for x in "qkv"}, native
    up = load_file(path)["transformer." + name + ".lora_B.weight"]
    parts = load_file(path + "-native.safetensors")
    again = [parts[f"diffusion_model.blocks.0.attn.w{x}.lora_B.weight"] for x in "qkv"]
    assert [len(part) for part in again] == [6144, 1536, 1536] and np.array_equal(np.vstack(again), up)
    tiny = {"attn.wq": (16, 16), "attn.wk": (4, 16), "attn.wv": (4, 16)}
    own = {f"blocks.0.{n}": s for n, s in tiny.items()} | {"txtfusion.projector": (1, 12)}
    path = adapter("s.safetensors", {"transformer." + name: (24, 16)})
    place.run("check", path, base("b.safetensors", own)).expect(0, "all 1 targets")


@case("MiniMax-H3: gate and value change places, and DiffSynth's projections are put in order")
def minimax(place):
    block = {"attn.qkv_proj": (21504, 5376), "mlp.fc1": (28672, 5376)}
    path = adapter("m.safetensors", {f"diffusion_model.blocks.0.{n}": s for n, s in block.items()})
    assert family(place, path) == "MiniMax-H3"
    own = load_file(path)
    plain = {key.removeprefix("diffusion_model.").replace(".weight", ".default.weight"): t for key, t in own.items()}
    save_file(plain, "d.safetensors")
    for source, heads in ((path, False), ("d.safetensors", True)):
        there = converted(place, source, "diffusers")
        assert there == {"transformer.transformer_blocks.0." + n for n in ("attn.to_q", "attn.to_k", "attn.to_v", "ff.net.0.proj")}
        result = load_file(f"{source}-diffusers.safetensors")
        up = own["diffusion_model.blocks.0.attn.qkv_proj.lora_B.weight"]
        if heads:
            up = up.reshape(56, 3, 128, -1).transpose(1, 0, 2, 3).reshape(21504, -1)
        for part, x in enumerate("qkv"):
            name = f"transformer.transformer_blocks.0.attn.to_{x}.lora_B.weight"
            assert np.array_equal(result[name], up[part * 7168 : (part + 1) * 7168]), (source, x)
        fc1 = own["diffusion_model.blocks.0.mlp.fc1.lora_B.weight"]
        name = "transformer.transformer_blocks.0.ff.net.0.proj.lora_B.weight"
        assert np.array_equal(result[name], np.vstack([fc1[14336:], fc1[:14336]]))
    # What is written has the usual order, and says so.
    place.run("resize", "d.safetensors", "--rank", "1", "-o", "r.safetensors").expect(0)
    expect_same(place, "d.safetensors", "r.safetensors")
    assert not any(".default." in key for key in load_file("r.safetensors") if "qkv" in key)


@case("Ideogram 4's prefix, and LTX-2's connectors, which have none")
def prefixes(place):
    path = adapter("i.safetensors", {"layers.0.attention.qkv": (13824, 4608), "layers.0.attention.o": (4608, 4608)}, "conditional_transformer.")
    assert family(place, path) == "Ideogram 4"
    expected = {f"transformer.layers.0.attention.{n}" for n in ATTENTION}
    assert converted(place, path, "diffusers") == expected
    shapes = {
        "text_embedding_projection.aggregate_embed": (3840, 188160),
        "diffusion_model.video_embeddings_connector.transformer_1d_blocks.0.attn1.to_q": (3840, 3840),
        "diffusion_model.transformer_blocks.0.attn2.to_q": (4096, 4096),
    }
    path = adapter("l.safetensors", shapes)
    expected = {
        "connectors.text_proj_in", "connectors.video_connector.transformer_blocks.0.attn1.to_q",
        "transformer.transformer_blocks.0.attn2.to_q",
    }  # fmt: skip
    assert converted(place, path, "diffusers") == expected
    assert converted(place, path + "-diffusers.safetensors", "native") == names(path)


@case("what is known is listed, blocks too, and a family that is told counts where nothing tells")
def listed(place):
    known = json.loads(place.run("families", "--json").expect(0).output)["families"]
    assert {"anima", "flux1", "krea2", "sdxl"} < {row["option"] for row in known}
    renders = {row["option"] for row in known if row["renders"]}
    assert renders == {"sd1", "sd2", "sdxl", "zimage"}, renders
    block = {f"transformer_blocks.0.attn.{n}": (3072, 3072) for n in ATTENTION}
    flux = {f"double_blocks.0.img_attn.{n}": s for n, s in {"qkv": (9216, 3072), "proj": (3072, 3072)}.items()}
    a, b = adapter("a.safetensors", block, "transformer."), adapter("b.safetensors", flux, "diffusion_model.")
    assert json.loads(place.run("inspect", a, "--family", "flux2", "--json").expect(0).output)["family"] == "Flux.2"
    # It does not matter which Flux it is: both have these names.
    place.run("merge", a, b, "-o", "m.safetensors").expect(0)
    found = names("m.safetensors")
    assert len(found) in (2, 4) and all("attn" in n and "lora_unet_transformer" not in n for n in found), found
    place.run("merge", a, b, "--family", "qwenimage", "-o", "n.safetensors").expect(65)
    base("base.safetensors", {"double_blocks.0.img_attn.qkv": (48, 16), "single_blocks.7.linear1": (112, 16)})
    tiny = adapter("t.safetensors", {"double_blocks.0.img_attn.qkv": (48, 16), "single_blocks.7.linear1": (112, 16)}, "diffusion_model.")
    place.run("bake", "base.safetensors", tiny, "--list-blocks").expect(0, "double_blocks.0", "D00", "S07", "61 numbers")


@case("adapters that two families fit alike are not merged across dialects as if nothing of them were the same")
def open_families(place):
    shapes = {"txt_in.t_embedder.mlp.0": (3072, 256), "txt_in.t_embedder.mlp.2": (3072, 3072), "final_layer.adaLN_modulation.1": (6144, 3072)}
    path = adapter("a.safetensors", shapes, "diffusion_model.")
    there = converted(place, path, "diffusers", "--family", "hunyuanvideo") and path + "-diffusers.safetensors"
    run = place.run("merge", f"{path}@0.5", f"{there}@0.5", "-o", "m.safetensors")
    assert run.status == 65 and "--family" in run.errors or run.status == 0 and len(names("m.safetensors")) == 3, run.errors
    place.run("merge", f"{path}@0.5", f"{there}@0.5", "-o", "told.safetensors", "--family", "hunyuanvideo").expect(0)
    assert len(names("told.safetensors")) == 3


@case("Sana's embedders are not PixArt's, whose width is another")
def sana(place):
    shapes = {"y_embedder.y_proj.fc2": (2240, 2240), "t_embedder.mlp.0": (2240, 256)}
    path = adapter("s.safetensors", shapes, "diffusion_model.")
    assert family(place, path) != "PixArt"
    assert family(place, adapter("p.safetensors", {"y_embedder.y_proj.fc2": (1152, 1152), "t_embedder.mlp.0": (1152, 256)}, "diffusion_model.")) == "PixArt"
