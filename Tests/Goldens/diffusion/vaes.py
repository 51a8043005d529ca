"""Autoencoders: tiny ones with stored weights, and TAESD in its real size with seeded weights (seeded.py)."""

import copy
import re

import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from fixture import Catch, describe, make_faint, redraw, write_diffusers_model, write_json, write_tensors
from seeded import Seeded

BLOCKS = re.compile(
    r"quant_conv|post_quant_conv|(encoder|decoder)\.("
    r"conv_in|conv_norm_out|conv_out|(down|up)_blocks\.\d+(\.(resnets|downsamplers|upsamplers)\.\d+)?"
    r"|mid_block(\.(resnets|attentions)\.\d+)?)"
)

SD1_VAE = dict(
    in_channels=3, out_channels=3, latent_channels=4, layers_per_block=2, norm_num_groups=8, sample_size=64,
    block_out_channels=(8, 16, 24, 24), scaling_factor=0.18215,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)
SDXL_VAE = SD1_VAE | dict(block_out_channels=(8, 8, 12, 12), norm_num_groups=4, scaling_factor=0.13025)
TWO_LEVELS = SD1_VAE | dict(
    block_out_channels=(8, 16), layers_per_block=1, norm_num_groups=4,
    down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
)
MODELS = {
    # name: configuration, seed of the weights, where its folder is
    "vae-tiny": (SD1_VAE, 301, "sd1-pipeline/vae"),
    "vae-narrow": (SDXL_VAE, 302, "sdxl-pipeline/vae"),
    "vae-two-levels": (TWO_LEVELS, 303, "vae-two-levels/vae"),
    "vae-faint": (TWO_LEVELS, 304, "vae-faint/vae"),
}
WRITERS = re.compile(r"conv_in|conv[12]\.|conv_shortcut|to_out\.0|samplers\.0\.conv\.bias")
# The attention's names in files written before 2023, SD1.5's own among them.
OLD_NAMES = [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")]


def make(name):
    config, seed, _ = MODELS[name]
    model = redraw(AutoencoderKL(**config), seed)
    return make_faint(model, WRITERS, 1e-3) if name == "vae-faint" else model


def encode(model, image):
    moments = model._encode(image)
    distribution = model.encode(image).latent_dist
    assert torch.equal(distribution.mode(), distribution.mean)
    return {"moments": moments, "mean": distribution.mean, "logvar": distribution.logvar}


def decode(model, latent):
    return {"image": model.decode(latent, return_dict=False)[0]}


def add(name, folder, model, cases):
    print(name)
    exact = copy.deepcopy(model).double()
    inputs, outputs, notes = {}, {}, []
    for case, (run, what, value, blocks) in cases.items():
        with Catch(model, lambda n: blocks and bool(BLOCKS.fullmatch(n))) as caught:
            own = run(model, value)
        double = run(exact, value.double())
        difference = max((double[n] - own[n]).abs().max().item() for n in own)
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        inputs[f"{case}/{what}"] = value
        outputs |= {f"{case}/{n}": t for n, t in (caught | own).items()}
        describe(f"{case} ({difference:.1e})", next(iter(own.values())))
    write_json(f"{name}/cases.json", {"model": folder, "cases": notes})
    write_tensors(f"{name}/inputs.safetensors", inputs)
    write_tensors(f"{name}/outputs.safetensors", outputs)


def draw(seed, *shape):
    value = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return value.clamp(-2, 2) / 2 if shape[1] == 3 else value


def taesd():
    """Names in seeded.json are diffusers'; `original` is the name in the author's file, without anything before it."""
    print("taesd")
    seeded = Seeded(70_000)
    model = seeded.weights(AutoencoderTiny(), "")
    for entry in seeded.entries:
        side, rest = re.fullmatch(r"(encoder|decoder)\.layers\.(.*)", entry["name"]).groups()
        place, rest = rest.split(".", 1)
        entry["original"] = f"{int(place) + (side == 'decoder')}.{rest}"
    latent = seeded.draw("decode/latent", (1, 4, 6, 9), 1.5)
    image = seeded.draw("encode/image", (1, 3, 40, 56), 0.5)
    seeded.entries[-2]["original"] = seeded.entries[-1]["original"] = None
    outputs, notes = {}, []
    exact = copy.deepcopy(model).double()
    for case, value, run in [
        ("decode", latent, lambda m, x: m.decode(x).sample), ("encode", image, lambda m, x: m.encode(x).latents)
    ]:
        with Catch(model, lambda n: case == "decode" and re.fullmatch(r"decoder\.layers\.[0-5]", n)) as caught:
            own = run(model, value)
        difference = (run(exact, value.double()) - own).abs().max().item()
        outputs[f"{case}/" + {"decode": "image", "encode": "latent"}[case]] = own
        outputs |= {f"{case}/{n}": t for n, t in caught.items()}
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        describe(f"{case} ({difference:.1e})", own)
    write_json("taesd/cases.json", {"model": "taesd/seeded.json", "cases": notes})
    write_json("taesd/config.json", {k: v for k, v in model.config.items() if not k.startswith("_use")})
    write_json("taesd/seeded.json", seeded.entries)
    write_tensors("taesd/outputs.safetensors", outputs)


def main():
    for name, (config, seed, folder) in MODELS.items():
        model = make(name)
        number = 10 * seed
        if config is TWO_LEVELS:
            cases = {
                "decode": (decode, "latent", draw(number, 2, 4, 5, 7), name == "vae-two-levels"),
                "encode": (encode, "image", draw(number + 1, 2, 3, 10, 14), name == "vae-two-levels"),
                "encode-odd": (encode, "image", draw(number + 2, 1, 3, 13, 9), False),
            }
        else:
            cases = {
                "decode": (decode, "latent", draw(number, 1, 4, 3, 5), name == "vae-tiny"),
                "decode-two": (decode, "latent", draw(number + 1, 2, 4, 8, 4), False),
                "encode": (encode, "image", draw(number + 2, 1, 3, 24, 16), name == "vae-tiny"),
                "encode-two": (encode, "image", draw(number + 3, 2, 3, 32, 64), False),
            }
        write_diffusers_model(folder, model)
        if name == "vae-two-levels":
            weights = {}
            for n, t in model.state_dict().items():
                for new, old in OLD_NAMES:
                    n = n.replace(f"attentions.0.{new}.", f"attentions.0.{old}.")
                weights[n] = t.half()
            write_tensors(f"{folder}/diffusion_pytorch_model.safetensors", weights, {"format": "pt"})
        add(name, folder, model, cases)
    taesd()


if __name__ == "__main__":
    main()
