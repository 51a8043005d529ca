"""What diffusers multiplies the factors of kohya's files by, when the alphas in them differ.

What it makes
    expected.json: small adapters (only names, shapes, alphas and the order of their tensors: the values of the factors do
    not matter here), and for every module the scale that is in force once diffusers has loaded the file; null where it
    left the module as it was. A case that diffusers refuses has the first words of its error.

Where the numbers come from
    diffusers' load_lora_weights on the tiny pipelines of ../diffusion, then `scaling` of PEFT's layers. Alphas are drawn
    so that several of them are equally frequent: then their order decides.

The files
    Modules are written one after the other, each as down, up, alpha; the header lists the tensors backwards, since
    safetensors' reader goes by the data.

How to run
    python make.py          seconds; versions of the libraries are in the JSON
"""

import importlib.metadata
import json
import os
import pathlib
import random
import struct
import sys
import tempfile
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
torch.set_grad_enabled(False)
HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "Interop"))
from authors import authors_name

PIPELINES = HERE.parent / "diffusion"
# What the trainer says of the base: widths as small as these do not tell.
BASES = {"sd1": "sd_v1", "sdxl": "sdxl_base_v1-0"}
PREFIXES = {"unet": "lora_unet_", "text_encoder": "lora_te1_", "text_encoder_2": "lora_te2_"}


def networks(family):
    folder = PIPELINES / f"{family}-pipeline"
    found = {
        "unet": UNet2DConditionModel.from_pretrained(folder / "unet"),
        "text_encoder": CLIPTextModel.from_pretrained(folder / "text_encoder"),
    }
    if family == "sdxl":
        found["text_encoder_2"] = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder_2")
    return found


def pipeline(family, parts):
    if family == "sdxl":
        return StableDiffusionXLPipeline(
            vae=None, tokenizer=None, tokenizer_2=None, scheduler=None, add_watermarker=False, **parts
        )
    return StableDiffusionPipeline(
        vae=None, tokenizer=None, scheduler=None, safety_checker=None, feature_extractor=None,
        requires_safety_checker=False, **parts,
    )  # fmt: skip


def modules(family, naming, keep):
    """Every layer that a trainer would take: kohya's name, the network, the module's name there, and its shape."""
    found = []
    for key, network in networks(family).items():
        for path, module in network.named_modules():
            if type(module).__name__ not in ("Linear", "Conv2d") or not keep(key, path):
                continue
            prefix = "lora_te_" if key == "text_encoder" and family == "sd1" else PREFIXES[key]
            name = path if key == "unet" or path.startswith("text_") else f"text_model.{path}"
            if key == "unet" and (naming == "authors" or (naming == "both" and path.startswith("up"))):
                name = authors_name(path)
            found.append((prefix + name.replace(".", "_"), key, path, list(module.weight.shape)))
    return found


def write(path, rows, family):
    data, header = b"", {}
    for name, rank, shape, alpha in rows:
        down, up = [rank, *shape[1:]], [shape[0], rank, *[1] * len(shape[2:])]
        for suffix, extents in (("lora_down.weight", down), ("lora_up.weight", up), ("alpha", [])):
            if suffix == "alpha" and alpha is None:
                continue
            values = [alpha] if suffix == "alpha" else [0.0] * int(torch.Size(extents).numel())
            header[f"{name}.{suffix}"] = [extents, len(data), len(data) + 4 * len(values)]
            data += struct.pack(f"<{len(values)}f", *values)
    metadata = {"ss_base_model_version": BASES[family]}
    text = json.dumps({"__metadata__": metadata} | {
        name: {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        for name, (shape, begin, end) in reversed(header.items())
    }).encode()  # fmt: skip
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def case(name, family, naming, alphas, seed, keep, ranks=(2,), order="names"):
    chosen, draw = modules(family, naming, keep), random.Random(seed)
    chosen.sort() if order == "names" else draw.shuffle(chosen)
    rows = []
    for module, _, _, shape in chosen:
        rows.append([module, draw.choice(ranks), shape, draw.choice(alphas)])
    parts, result = networks(family), {"name": name, "base": BASES[family]}
    with tempfile.TemporaryDirectory() as folder:
        write(pathlib.Path(folder) / "a.safetensors", rows, family)
        try:
            pipeline(family, parts).load_lora_weights(folder, weight_name="a.safetensors")
        except Exception as error:
            result["error"] = str(error).strip().split("{")[0].split("\n")[0].strip()
    for row, (_, key, path, _) in zip(rows, chosen):
        module, scale = parts[key].get_submodule(path), None
        if isinstance(module, BaseTunerLayer) and "error" not in result:
            (active,) = module.scaling
            scale = module.scaling[active]
        row.append(scale)
    unlike = sum(1 for _, rank, _, alpha, scale in rows if scale != (1 if alpha is None else alpha / rank))
    print(f"{name:22} {len(rows):4} modules, {unlike:4} not scaled by their own alpha", result.get("error", ""))
    return result | {"modules": rows}


def few(key, path):
    """One module of every kind, from a few blocks."""
    return key != "unet" and "layers.1." in path or key == "unet" and "norm" not in path and any(
        path.startswith(begin) for begin in ("conv_", "time_", "add_", "mid", "down_blocks.1.", "up_blocks.0.", "up_blocks.2.")
    ) and "transformer_blocks.1" not in path  # fmt: skip


def attention(key, path):
    return key == "unet" and path.startswith(("down", "up")) and path.endswith(("attn1.to_q", "attn2.to_out.0", "proj_in"))


def deep(key, path):
    return key == "unet" and path.startswith("down") and path.endswith(("attn1.to_q", "attn2.to_k"))


def encoders(key, path):
    return key != "unet" and ("layers.0." in path or path == "text_projection")


def keys_and_fc1(key, path):
    """Without the layer whose name tells diffusers that names are old."""
    return "layers.0." in path and path.endswith(("k_proj", "fc1")) or path.endswith("attn1.to_q")


def keys(key, path):
    return path.endswith(("k_proj", "attn1.to_q"))


MIXED = (1, 3, 2, 5)
CASES = [
    case("sd1", "sd1", "diffusers", MIXED, 1, few, ranks=(2, 4, 3)),
    case("sd1_shuffled", "sd1", "diffusers", MIXED, 2, few, ranks=(2, 4, 3), order="any"),
    case("sd1_one_alpha", "sd1", "diffusers", (3,), 3, few, ranks=(2, 4)),
    case("sd1_no_alpha", "sd1", "diffusers", (None,), 4, few, ranks=(2, 4)),
    case("sd1_some_alphas", "sd1", "diffusers", (None, 1, 2), 5, few, ranks=(2, 4)),
    case("sd1_text", "sd1", "diffusers", MIXED, 6, encoders),
    case("sd1_no_out_proj", "sd1", "diffusers", MIXED, 19, keys_and_fc1),
    case("sd1_keys", "sd1", "diffusers", MIXED, 20, keys),
    case("sdxl_no_out_proj", "sdxl", "authors", MIXED, 21, keys_and_fc1),
    case("sd1_authors_names", "sd1", "authors", MIXED, 7, attention),
    case("sd1_both_names", "sd1", "both", MIXED, 8, few, order="any"),
    case("sdxl", "sdxl", "authors", MIXED, 9, few, ranks=(2, 4, 3)),
    case("sdxl_shuffled", "sdxl", "authors", MIXED, 10, few, ranks=(2, 4, 3), order="any"),
    case("sdxl_diffusers_names", "sdxl", "diffusers", MIXED, 11, few, ranks=(2, 4)),
    case("sdxl_both_names", "sdxl", "both", MIXED, 12, few),
    case("sdxl_attention", "sdxl", "authors", MIXED, 13, attention, order="any"),
    *(case(f"sdxl_deep_{seed}", "sdxl", "authors", range(1, 9), seed, deep, order="any") for seed in (14, 15, 16)),
    case("sdxl_some_alphas", "sdxl", "authors", (None, 1, 2), 17, few, order="any"),
    case("sdxl_text", "sdxl", "authors", MIXED, 18, encoders),
]
VERSIONS = {name: importlib.metadata.version(name) for name in ("torch", "diffusers", "transformers", "peft", "safetensors")}
lines = ",\n".join(
    "  " + json.dumps({k: v for k, v in c.items() if k != "modules"})[:-1]
    + ', "modules": [\n' + ",\n".join("   " + json.dumps(row) for row in c["modules"]) + "\n  ]}"
    for c in CASES
)  # fmt: skip
(HERE / "expected.json").write_text(f'{{"versions": {json.dumps(VERSIONS)}, "cases": [\n{lines}\n]}}\n')
