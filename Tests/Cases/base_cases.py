"""Base checkpoints: number formats with something beside them, shards, names of today's libraries, vocabularies that grew."""

import json
import os
import shutil

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch

from cases import case
from files import PEFT, Q, language_model, numbers, pair, peft_folder, share

WAN = "blocks.0.self_attn.q"


def wan_adapter():
    save_file(pair(WAN, 64, 64, prefix="diffusion_model."), "a.safetensors")
    return "a.safetensors"


def coarse(weight=torch.float8_e4m3fn):
    values = torch.tensor(numbers(64, 64))
    return values.to(weight) if weight.is_floating_point else (values * 20).to(weight)


def base(tensors, name="base.safetensors"):
    save_torch({"head.head.weight": torch.randn(64, 64), "head.modulation": torch.randn(1, 2, 64)} | tensors, name)
    return name


@case("coarse weights with an unknown tensor beside them are refused with both names")
def scales_of_other_names(place):
    adapter, scale = wan_adapter(), torch.tensor([[0.01]])
    sides = [
        "weight_scale_inv", "weight_scales", "weight_absmax", "scale", "weight_zero_point", "weight_qscale", "weight.absmax",
        "weight.quant_state.other", "weight_quantizer._amax", "weight_s_channel", "codebook", "meta",
    ]  # fmt: skip
    for number, side in enumerate(sides):
        # Of eight-bit floating-point numbers the first is known.
        for kind in (torch.int8, torch.uint8) if number == 0 else (torch.float8_e4m3fn,):
            name = base({WAN + ".weight": coarse(kind), f"{WAN}.{side}": scale})
            for verb in (["check", adapter, name], ["bake", name, adapter, "-o", "out.safetensors"]):
                place.run(*verb).expect(65, WAN + ".weight", f"{WAN}.{side}")
    place.run("extract", name, name, "-o", "out", "--rank", 4).expect(65, WAN + ".weight", f"{WAN}.{side}")
    place.run("render", name, "--prompt", "x", "-o", "out.png").expect(65, WAN + ".weight", f"{WAN}.{side}")
    assert not os.path.exists("out.safetensors")
    stacked = "blocks.0.experts.gate_up_proj"
    experts = {stacked: torch.randn(2, 8, 8).to(torch.float8_e4m3fn), stacked + "_scale_inv": torch.ones(2, 1, 1)}
    place.run("check", adapter, base(experts)).expect(65, stacked, stacked + "_scale_inv")


@case("coarse weights that are only cast, or have the scale that is known, stay good bases")
def plain_cast(place):
    adapter = wan_adapter()
    ordinary = {
        WAN + ".weight": coarse(), WAN + ".bias": torch.zeros(64), WAN + ".input_scale": torch.tensor(0.1),
        "blocks.0.scale_shift_table": torch.randn(2, 64).to(torch.float8_e4m3fn),
        "blocks.0.scale_shift_table_a2v_ca_audio": torch.randn(2, 64).to(torch.float8_e4m3fn),
        "blocks.0.pos_embed": torch.randn(2, 64).to(torch.float8_e4m3fn), "blocks.0.pos_embed_window": torch.randn(2, 64),
        "blocks.0.modulation": torch.randn(1, 6, 64).to(torch.float8_e4m3fn),
        "blocks.0.norm3.weight": torch.ones(64).to(torch.float8_e4m3fn), "blocks.0.norm3.bias": torch.ones(64),
    }  # fmt: skip
    place.run("check", adapter, base(ordinary)).expect(0, "fits")
    for scale in (".scale_weight", ".weight_scale", ".weight_scale_inv"):
        place.run("check", adapter, base(ordinary | {WAN + scale: torch.tensor(0.01)})).expect(0, "fits")


@case("a scale in another shard than its weight is found there, and is no weight")
def scale_in_another_shard(place):
    os.makedirs("base")
    save_torch({"model.embed_tokens.weight": torch.randn(8, 32), Q + ".weight": torch.randn(32, 32).to(torch.float8_e4m3fn)}, "base/model-00001-of-00002.safetensors")
    save_torch({Q + ".scale_weight": torch.tensor(0.01)}, "base/model-00002-of-00002.safetensors")
    index("base", {"model.embed_tokens.weight": 1, Q + ".weight": 1, Q + ".scale_weight": 2})
    configuration("base", model_type="llama")
    peft_folder("a", pair(Q))
    place.run("check", "a", "base").expect(0, "fits")
    place.run("bake", "base", "a", "-o", "out", "--dtype", "bf16").expect(0)
    left = json.loads(open("out/model.safetensors.index.json").read())["weight_map"]
    assert set(left) == {"model.embed_tokens.weight", Q + ".weight"}, left


@case("a model whose configuration says that it is quantised is refused with the method")
def quantised_configuration(place):
    peft_folder("a", pair(Q))
    language_model("base", {Q + ".weight": numbers(32, 32)}, quantization_config={"quant_method": "fp8"})
    for path in ("base", "base/model.safetensors"):
        place.run("check", "a", path).expect(65, "quantization_config", "quant_method fp8")
    language_model("plain", {Q + ".weight": numbers(32, 32)}, quantization_config=None)
    place.run("check", "a", "plain").expect(0)


# Shards


def configuration(folder, **fields):
    with open(f"{folder}/config.json", "w") as file:
        json.dump(fields, file)


def index(folder, places):
    def name(place):
        return place if isinstance(place, str) else f"model-0000{place}-of-00002.safetensors"

    with open(f"{folder}/model.safetensors.index.json", "w") as file:
        json.dump({"metadata": {}, "weight_map": {k: name(v) for k, v in places.items()}}, file)


def shards(folder, first, second):
    os.makedirs(folder)
    save_file(first, f"{folder}/model-00001-of-00002.safetensors")
    save_file(second, f"{folder}/model-00002-of-00002.safetensors")
    configuration(folder, model_type="llama")


E, H = {"model.embed_tokens.weight": numbers(50, 32)}, {"lm_head.weight": numbers(50, 32)}
W = {Q + ".weight": numbers(32, 32)}


@case("a tensor in two shards, or in another than the index says, is refused with both files")
def two_copies(place):
    peft_folder("a", pair(Q))
    shards("both", E | W, H | W)
    index("both", {"model.embed_tokens.weight": 1, Q + ".weight": 1, "lm_head.weight": 2})
    shards("neither", E | W, H | W)
    index("neither", {"model.embed_tokens.weight": 1, "lm_head.weight": 2})
    shards("moved", E | W, H)
    index("moved", {"model.embed_tokens.weight": 1, Q + ".weight": 2, "lm_head.weight": 2})
    for name in ("both", "neither", "moved"):
        for path in (name, f"{name}/model.safetensors.index.json"):
            place.run("bake", path, "a", "-o", "out").expect(65, Q + ".weight", "model-00001", "model-00002")
    assert not os.path.exists("out")


@case("a tensor that the index does not name is not changed, and an adapter for it is refused with the reason")
def unlisted(place):
    peft_folder("a", pair(Q))
    peft_folder("b", pair("lm_head", 32, 50))
    shards("base", E | W, H)
    index("base", {"model.embed_tokens.weight": 1, "lm_head.weight": 2})
    place.run("bake", "base", "a", "-o", "out").expect(65, "model-00001-of-00002.safetensors", "its index does not name it")
    place.run("bake", "base", "b", "-o", "out").expect(0, Q + ".weight: not in the index; kept as it is")
    found = load_file("out/model-00001-of-00002.safetensors")
    assert (found[Q + ".weight"] == W[Q + ".weight"]).all()


@case("shards that an index spells in other ways are the same files")
def spelled_shards(place):
    peft_folder("a", pair(Q))
    shards("base", E | W, H)
    first = "model-00001-of-00002.safetensors"
    index("base", {"model.embed_tokens.weight": "./" + first, Q + ".weight": ".//" + first, "lm_head.weight": 2})
    place.run("bake", "base", "a", "-o", "out").expect(0)
    assert (load_file("out/" + first)[Q + ".weight"] != W[Q + ".weight"]).any()
    index("base", {"model.embed_tokens.weight": first, Q + ".weight": first + "\0", "lm_head.weight": 2})
    place.run("bake", "base", "a", "-o", "out2").expect(65, Q + ".weight: expected a file's name")
    assert not os.path.exists("out2")


@case("two tensors of a file that mean one weight are refused with both names")
def one_weight_twice(place):
    name = base({p + WAN + ".weight": torch.randn(64, 64) for p in ("diffusion_model.", "model.diffusion_model.")})
    place.run("check", wan_adapter(), name).expect(65, "diffusion_model." + WAN, "model.diffusion_model." + WAN)


# Names


@case("levels that wrapped models leave in names are read over, in bases and in adapters")
def wrapped(place):
    change = pair(WAN, 64, 64, prefix="")
    weight = {WAN + ".weight": torch.randn(64, 64)}
    save_file({"diffusion_model." + k: v for k, v in change.items()}, "adapter.safetensors")
    save_file({"diffusion_model._orig_mod." + k.replace("self_attn", "self_attn._checkpoint_wrapped_module"): v for k, v in change.items()}, "a.safetensors")
    save_file({"module.diffusion_model." + k: v for k, v in change.items()}, "b.safetensors")
    rest = {"head.head.weight": torch.randn(64, 64), "head.modulation": torch.randn(1, 2, 64)}
    tensors = rest | weight
    bases = {
        "plain": tensors, "compiled": {"_orig_mod." + k: v for k, v in tensors.items()},
        "parallel": {"module." + k: v for k, v in tensors.items()}, "outer": {"model." + k: v for k, v in tensors.items()},
        "sharded": {k.replace("blocks.0.", "_fsdp_wrapped_module.blocks.0._fsdp_wrapped_module."): v for k, v in tensors.items()},
    }  # fmt: skip
    for name, stored in bases.items():
        save_torch(stored, name + ".safetensors")
        place.run("bake", name + ".safetensors", "adapter.safetensors", "-o", name + ".out.safetensors").expect(0)
        found = load_file(name + ".out.safetensors")
        assert sorted(found) == sorted(stored)
    results = [[v for k, v in load_file(n + ".out.safetensors").items() if k.endswith("q.weight")][0] for n in bases]
    assert all((r == results[0]).all() for r in results) and (results[0] != weight[WAN + ".weight"].numpy()).any()
    for name in ("a", "b"):
        found = json.loads(place.run("compare", "adapter.safetensors", name + ".safetensors", "--json").expect(0).output)
        assert found["relative_error"] < 1e-12 and [t["presence"] for t in found["targets"]] == ["both"]
    flat = "lora_unet__orig_mod_blocks_0_self_attn_q"
    save_file({flat + ".lora_down.weight": numbers(4, 64), flat + ".lora_up.weight": numbers(64, 4)}, "k.safetensors")
    place.run("check", "k.safetensors", "plain.safetensors").expect(0, "fits")


@case("a name that several weights of a base may mean is refused")
def several(place):
    peft_folder("a", pair("model.language_model.layers.0.self_attn.q_proj"))
    names = ["model.layers.0.self_attn.q_proj.weight", "language_model.model.layers.0.self_attn.q_proj.weight"]
    language_model("base", {n: numbers(32, 32) for n in names}, model_type="other")
    place.run("bake", "base", "a", "-o", "out").expect(65, *[n.replace(".", "_") for n in names])


# Vocabularies


@case("extract leaves a weight of another shape out where unmatched ones are allowed, and names it without its network")
def grown_vocabulary(place):
    first = E | W | H
    second = first | {Q + ".weight": W[Q + ".weight"] + 0.05 * numbers(32, 2) @ numbers(2, 32), "lm_head.weight": numbers(54, 32)}
    language_model("base", first)
    language_model("tuned", second)
    run = place.run("extract", "base", "tuned", "-o", "x", "--rank", 4).expect(65, "lm_head.weight")
    assert "denoiser." not in run.errors and not os.path.exists("x")
    run = place.run("extract", "base", "tuned", "-o", "x", "--rank", 4, "--allow-unmatched").expect(2, "lm_head.weight")
    assert "denoiser." not in run.errors
    found = load_file("x/adapter_model.safetensors")
    assert sorted(k for k in found) == [f"{PEFT}{Q}.lora_{x}.weight" for x in "AB"]
    delta = found[f"{PEFT}{Q}.lora_B.weight"].astype("d") @ found[f"{PEFT}{Q}.lora_A.weight"]
    assert abs(share(delta, second[Q + ".weight"] - W[Q + ".weight"]) - 1) < 1e-3


# Models of today's libraries


def models():
    """Small ones whose files keep older names than their modules have."""
    import transformers as tf

    text = dict(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=1, vocab_size=32,
        head_dim=8)  # fmt: skip
    sight = dict(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=16, patch_size=8)
    rotary = dict(text, rope_scaling={"type": "mrope", "mrope_section": [1, 1, 2]})
    yield "gemma3", tf.Gemma3ForConditionalGeneration(tf.Gemma3Config(
        text_config=tf.Gemma3TextConfig(**text), vision_config=tf.SiglipVisionConfig(**sight), mm_tokens_per_image=4))  # fmt: skip
    yield "llava", tf.LlavaForConditionalGeneration(tf.LlavaConfig(
        text_config=tf.LlamaConfig(**text), vision_config=tf.CLIPVisionConfig(**sight)))  # fmt: skip
    yield "mistral3", tf.Mistral3ForConditionalGeneration(tf.Mistral3Config(
        text_config=tf.MistralConfig(**text), vision_config=tf.PixtralVisionConfig(**sight)))  # fmt: skip
    yield "qwen2_5_vl", tf.Qwen2_5_VLForConditionalGeneration(tf.Qwen2_5_VLConfig(
        text_config=rotary, vision_config=dict(
            depth=1, hidden_size=16, out_hidden_size=16, intermediate_size=24, num_heads=2, patch_size=4,
            fullatt_block_indexes=[0])))  # fmt: skip
    yield "vit", tf.ViTForImageClassification(tf.ViTConfig(**sight))


@case("adapters of models whose files have older names than their modules change what merging them in PEFT changes")
def renamed_modules(place):
    import peft

    for name, model in models():
        torch.manual_seed(0)
        model.save_pretrained(f"{name}/base")
        targets = r".*(q_proj|v_proj|qkv|mlp\.fc1|multi_modal_projector\.linear_1)"
        tuned = peft.get_peft_model(model, peft.LoraConfig(r=2, lora_alpha=4, target_modules=targets))
        for key, value in tuned.named_parameters():
            if "lora_B" in key:
                torch.nn.init.normal_(value)
        tuned.save_pretrained(f"{name}/adapter")
        merged = tuned.merge_and_unload()
        merged.save_pretrained(f"{name}/merged")
        place.run("bake", f"{name}/base", f"{name}/adapter", "-o", f"{name}/baked").expect(0)
        base, right, found = (load_file(f"{name}/{kind}/model.safetensors") for kind in ("base", "merged", "baked"))
        assert sorted(found) == sorted(base), name
        changed = [k for k in base if k in right and (base[k] != right[k]).any()]
        assert len(changed) >= 3, (name, changed)
        for key in base:
            expected = right.get(key, base[key])
            assert np.abs(found[key] - expected).max() <= 1e-6 * max(1, np.abs(expected).max()), (name, key)


# What no checkpoint has a place for, and files beside weights


@case("check and bake agree about an adapter that brings learned embeddings")
def embeddings(place):
    tensors = pair(WAN, 64, 64, prefix="diffusion_model.") | {"bundle_emb.word.string_to_param.*": numbers(2, 64)}
    save_file(tensors, "a.safetensors")
    name = base({WAN + ".weight": torch.randn(64, 64)})
    place.run("check", "a.safetensors", name).expect(0, "fits", "bundle_emb.word.string_to_param.*", "a bake leaves it out")
    place.run("bake", name, "a.safetensors", "-o", "out.safetensors").expect(2, "bundle_emb.word.string_to_param.*")
    before, after = load_file(name), load_file("out.safetensors")
    assert sorted(before) == sorted(after) and (before[WAN + ".weight"] != after[WAN + ".weight"]).any()


@case("side files of a gigabyte, and side files that cannot be read, are refused by name")
def side_files(place):
    shutil.copytree(place.model, "model")
    for name in ("scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "unet/config.json"):
        path = f"model/{name}"
        content = open(path, "rb").read() if os.path.exists(path) else None
        if content is None and name == "tokenizer/vocab.json" and not os.path.exists("model/tokenizer/merges.txt"):
            continue
        with open(path, "wb") as file:
            file.truncate(1 << 30)
        place.run("render", "model", "--prompt", "x", "--dry-run", "-o", "x.png").expect(65, name, "16777216 bytes")
        with open(path, "wb") as file:
            file.write(b"\xff\xfe{")
        place.run("render", "model", "--prompt", "x", "--dry-run", "-o", "x.png").expect(65, name)
        if content is None:
            os.remove(path)
        else:
            open(path, "wb").write(content)
    place.run("audit", "model", "--before", place.adapters / "sketch.safetensors", "--after", place.adapters / "sketch.safetensors", "--weights-only", "-o", "out").expect(0)
    with open("huge.json", "wb") as file:
        file.truncate(1 << 30)
    place.run("audit", "model", "--before", place.adapters / "sketch.safetensors", "--after", place.adapters / "sketch.safetensors", "--weights-only", "--against", "huge.json", "-o", "out2").expect(65, "huge.json")
    place.run("audit", "model", "--before", place.adapters / "sketch.safetensors", "--after", place.adapters / "sketch.safetensors", "--weights-only", "--against", "out/report.json", "-o", "out3").expect(0)


@case("a base may be a link to a folder; one whose networks are links is refused with their names")
def linked_base(place):
    os.symlink(place.model, "linked")
    sketch = place.adapters / "sketch.safetensors"
    for base in ("linked", "linked/"):
        place.run("check", sketch, base).expect(0, "fit")
    shutil.copytree(place.model, "inside")
    os.rename("inside/unet", "elsewhere")
    os.symlink("../elsewhere", "inside/unet")
    place.run("check", sketch, "inside").expect(65, "unet, a link")


@case("a base whose own name has an “of” between small numbers is no shard")
def name_with_numbers(place):
    shutil.copy(place.model + "/unet/diffusion_pytorch_model.safetensors", "my-1-of-3.safetensors")
    place.run("check", place.adapters / "sketch.safetensors", "my-1-of-3.safetensors").expect(0)
    shutil.copy("my-1-of-3.safetensors", "model-00001-of-00003.safetensors")
    place.run("check", place.adapters / "sketch.safetensors", "model-00001-of-00003.safetensors").expect(65, "one shard")
