"""How the pipelines' tensors are named in a single file with the authors' names.

The file itself is not stored, it would repeat the folder: `single-file.json` lists its tensors, and a test writes
them. Each has `name`; `from`: [component, tensor] pairs, joined along the first axis in this order; and where needed
`shape` (the same numbers in another shape) or `transposed` (the two axes exchanged). `single-file-ignored.json`:
tensors that such files also hold and that nobody needs, as `name`, `shape`, `dtype`. The renames are those of
../names/make.py; diffusers' converters must return the very bits.
"""

import importlib.util
import re

import torch
from diffusers.loaders import single_file_utils

import texts
from fixture import HERE, write_json

specification = importlib.util.spec_from_file_location("names", HERE.parent / "names" / "make.py")
names = importlib.util.module_from_spec(specification)
specification.loader.exec_module(names)


def entries(component, prefix, tensors, rename):
    """The file's tensors, those with one name joined."""
    result = {}
    for own in tensors:
        name = prefix + rename(own)
        result.setdefault(name, {"name": name, "from": []})["from"].append([component, own])
    return list(result.values())


def by_rules(rules):
    return lambda name: names.renamed([name], rules)[name]


def unet(parts, attention):
    rename = lambda name: names.unet_name(name, attention)
    return entries("unet", "model.diffusion_model.", parts["unet"].state_dict(), rename)


def vae(parts):
    result = entries("vae", "first_stage_model.", parts["vae"].state_dict(), by_rules(names.VAE))
    tensors = parts["vae"].state_dict()
    for entry in result:
        if re.search(r"attn_1\.(q|k|v|proj_out)\.weight", entry["name"]):
            entry["shape"] = [*tensors[entry["from"][0][1]].shape, 1, 1]
    return result


def text(parts, component, prefix):
    return entries(component, prefix, texts.file_tensors(parts[component]), lambda name: name)


def open_clip(parts, component, prefix):
    tensors = texts.file_tensors(parts[component])
    order = lambda name: "qkv".find(m.group(1)) if (m := re.search(r"self_attn\.([qkv])_proj", name)) else 0
    result = entries(component, prefix, sorted(tensors, key=order), by_rules(names.OPEN_CLIP))
    for entry in result:
        if entry["name"].endswith("text_projection"):
            entry["transposed"] = True
    return result


def components(parts):
    return {
        "unet": parts["unet"].state_dict(), "vae": parts["vae"].state_dict(),
        "text_encoder": texts.file_tensors(parts["text_encoder"]),
    } | ({"text_encoder_2": texts.file_tensors(parts["text_encoder_2"])} if "text_encoder_2" in parts else {})


def build(parts, listed):
    """The single file's tensors, as a test is to make them."""
    own, result = components(parts), {}
    for entry in listed:
        tensor = torch.cat([own[c][n] for c, n in entry["from"]])
        if "shape" in entry:
            tensor = tensor.reshape(entry["shape"])
        result[entry["name"]] = (tensor.T if entry.get("transposed") else tensor).contiguous()
    return result


def check(parts, listed):
    """diffusers' converters give back exactly what the folder holds."""
    own, file = components(parts), build(parts, listed)
    used = [tuple(pair) for entry in listed for pair in entry["from"]]
    assert sorted(used) == sorted((c, n) for c, tensors in own.items() for n in tensors)
    found = {
        "unet": single_file_utils.convert_ldm_unet_checkpoint(dict(file), dict(parts["unet"].config)),
        "vae": single_file_utils.convert_ldm_vae_checkpoint(dict(file), dict(parts["vae"].config)),
    }
    if "text_encoder_2" in parts:
        convert = single_file_utils.convert_ldm_clip_checkpoint
        found["text_encoder"] = convert(dict(file), remove_prefix="conditioner.embedders.0.transformer.")
        found["text_encoder_2"] = single_file_utils.convert_open_clip_checkpoint(
            parts["text_encoder_2"], dict(file), prefix="conditioner.embedders.1.model."
        )
    else:
        found["text_encoder"] = single_file_utils.convert_ldm_clip_checkpoint(dict(file))
    for component, tensors in own.items():
        others = {n.removeprefix("text_model."): t for n, t in found[component].items() if "position_ids" not in n}
        tensors = {n.removeprefix("text_model."): t for n, t in tensors.items()}
        assert set(others) == set(tensors), (component, set(others) ^ set(tensors))
        assert all(torch.equal(others[n], t) for n, t in tensors.items()), component
    print(f"  single file: {len(file)} tensors, converted back to the same bits")


def write(folder, parts, listed, ignored):
    check(parts, listed)
    lines = [{"name": n, "shape": s, "dtype": d} for n, s, d in ignored]
    write_json(f"{folder}/single-file.json", sorted(listed, key=lambda e: e["name"]))
    write_json(f"{folder}/single-file-ignored.json", lines)


def sd1(parts):
    listed = unet(parts, {1, 2, 3}) + vae(parts) + text(parts, "text_encoder", "cond_stage_model.transformer.")
    write("sd1-pipeline", parts, listed, [
        ("cond_stage_model.transformer.text_model.embeddings.position_ids", [1, 77], "I64"),
        ("alphas_cumprod", [1000], "F32"), ("model_ema.decay", [], "F32"), ("model_ema.num_updates", [], "I32"),
        ("model_ema.diffusion_modelinput_blocks00weight", [8, 4, 3, 3], "F16"),
    ])


def sdxl(parts):
    listed = unet(parts, {0, 1}) + vae(parts)
    listed += text(parts, "text_encoder", "conditioner.embedders.0.transformer.")
    listed += open_clip(parts, "text_encoder_2", "conditioner.embedders.1.model.")
    write("sdxl-pipeline", parts, listed, [
        ("conditioner.embedders.0.transformer.text_model.embeddings.position_ids", [1, 77], "I64"),
        ("conditioner.embedders.1.model.logit_scale", [], "F32"), ("denoiser.sigmas", [1000], "F32"),
    ])
