"""UNets of every family, tiny: inputs, outputs at several times, and the outputs of every block.

Each folder `<name>` has `cases.json` (`model`: the UNet's folder below Tests/Goldens/diffusion; `cases`: their names,
with `float64`: the largest difference between torch's outputs in single and in double precision),
`inputs.safetensors` and `outputs.safetensors`. The first case of each also has the blocks.
"""

import copy
import re

import torch
from diffusers import UNet2DConditionModel

from fixture import Catch, describe, make_faint, redraw, write_diffusers_model, write_json, write_tensors

BLOCKS = re.compile(
    r"time_embedding|add_embedding|conv_in|conv_norm_out"
    r"|(down|up)_blocks\.\d+(\.(resnets|attentions|downsamplers|upsamplers)\.\d+)?"
    r"|mid_block(\.(resnets|attentions)\.\d+)?"
)
INSIDE = r"\.(norm|proj_in|transformer_blocks\.\d+(\.(norm[123]|attn[12]|ff))?)"


def wanted_blocks(model):
    """Every block, and the parts of the first attention."""
    first = next((n for n, _ in model.named_modules() if re.fullmatch(r".*\.attentions\.0", n)), None)
    inside = re.compile(re.escape(first) + INSIDE) if first else None
    return lambda name: bool(BLOCKS.fullmatch(name) or inside and inside.fullmatch(name))


def run(model, case, dtype=torch.float32):
    floats = {n: t.to(dtype) for n, t in case.items()}
    extra = {}
    if "pooled" in case:
        extra["added_cond_kwargs"] = {"text_embeds": floats["pooled"], "time_ids": floats["time_ids"]}
    if "guidance" in case:
        extra["timestep_cond"] = floats["guidance"]
    # The time stays in single precision: its cosines are taken there in both.
    return model(floats["sample"], case["timestep"], floats["context"], return_dict=False, **extra)[0]


def add(name, folder, model, cases, blocks=True):
    print(name)
    exact = copy.deepcopy(model).double()
    outputs, notes = {}, []
    for index, (case, inputs) in enumerate(cases.items()):
        with Catch(model, wanted_blocks(model) if blocks and index == 0 else lambda name: False) as caught:
            output = run(model, inputs)
        outputs |= {f"{case}/{n}": t for n, t in caught.items()}
        outputs[f"{case}/output"] = output
        difference = (run(exact, inputs, torch.float64) - output).abs().max().item()
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        describe(f"{case} ({difference:.1e})", output)
    write_json(f"{name}/cases.json", {"model": folder, "cases": notes})
    write_tensors(f"{name}/inputs.safetensors", {f"{c}/{n}": t for c, i in cases.items() for n, t in i.items()})
    write_tensors(f"{name}/outputs.safetensors", outputs)


def draw_case(config, seed, timestep, batch=2, height=16, width=16, tokens=77):
    generator = torch.Generator().manual_seed(seed)
    times = timestep if isinstance(timestep, list) else [timestep] * batch
    case = {
        "sample": torch.randn(batch, config["in_channels"], height, width, generator=generator),
        "timestep": torch.tensor(times, dtype=torch.float32),
        "context": torch.randn(batch, tokens, config["cross_attention_dim"], generator=generator),
    }
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        case["pooled"] = torch.randn(batch, pooled, generator=generator)
        sizes = [[512, 768, 0, 64, 1024, 896], [64, 64, 0, 0, 64, 64], [1024, 1024, 8, 0, 1024, 1024]]
        case["time_ids"] = torch.tensor([sizes[i % 3] for i in range(batch)], dtype=torch.float32)
    if config.get("time_cond_proj_dim"):
        case["guidance"] = guidance_embedding([1.0, 8.5, 4.0][:batch], config["time_cond_proj_dim"])
        case["guidance_scale"] = torch.tensor([1.0, 8.5, 4.0][:batch])
    return case


def guidance_embedding(scales, width):
    """As LatentConsistencyModelPipeline.get_guidance_scale_embedding makes it."""
    from diffusers import LatentConsistencyModelPipeline

    return LatentConsistencyModelPipeline.get_guidance_scale_embedding(None, torch.tensor(scales) - 1, width)


SD1_TINY = dict(
    sample_size=16, block_out_channels=(16, 32), layers_per_block=1, norm_num_groups=8, attention_head_dim=4,
    cross_attention_dim=32, in_channels=4, out_channels=4,
    down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
)
# The real network's levels and layers; it is also the UNet of the tiny pipeline.
SD1_FOUR_LEVELS = SD1_TINY | dict(
    sample_size=8, block_out_channels=(8, 16, 24, 24), layers_per_block=2, cross_attention_dim=8,
    down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
SD2_TINY = SD1_TINY | dict(
    block_out_channels=(8, 16), attention_head_dim=[2, 4], cross_attention_dim=24, use_linear_projection=True,
    upcast_attention=True,
)
SDXL_TINY = dict(
    sample_size=8, block_out_channels=(8, 16, 24), layers_per_block=2, norm_num_groups=8, attention_head_dim=[1, 2, 3],
    cross_attention_dim=10, in_channels=4, out_channels=4, use_linear_projection=True,
    transformer_layers_per_block=[1, 2, 3],
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    addition_embed_type="text_time", addition_time_embed_dim=8, projection_class_embeddings_input_dim=56,
)
LCM_TINY = SD1_TINY | dict(block_out_channels=(8, 16), time_cond_proj_dim=32)
# As small as the models that diffusers tests itself with: fewer channels than a vector register has lanes.
NARROW = SD1_TINY | dict(
    block_out_channels=(4, 8), layers_per_block=1, norm_num_groups=2, attention_head_dim=2, cross_attention_dim=8
)

# Every norm reads variances near its eps.
FAINT = SD1_TINY | dict(block_out_channels=(8, 16), norm_num_groups=4, attention_head_dim=2, cross_attention_dim=8)

MODELS = {
    # name: configuration, seed of the weights, where its folder is
    "sd1-tiny": (SD1_TINY, 101, "sd1-tiny/unet"),
    "sd1-four-levels": (SD1_FOUR_LEVELS, 102, "sd1-pipeline/unet"),
    "sd2-tiny": (SD2_TINY, 103, "sd2-tiny/unet"),
    "sdxl-tiny": (SDXL_TINY, 104, "sdxl-pipeline/unet"),
    "lcm-tiny": (LCM_TINY, 105, "lcm-tiny/unet"),
    "narrow": (NARROW, 106, "narrow/unet"),
    "unet-faint": (FAINT, 107, "unet-faint/unet"),
}
WRITERS = re.compile(
    r"conv_in|conv[12]\.|conv_shortcut|time_emb_proj|proj_in|proj_out|to_out\.0|ff\.net\.2|samplers\.0\.conv\.bias"
)


def make(name):
    config, seed, _ = MODELS[name]
    model = redraw(UNet2DConditionModel(**config), seed)
    return make_faint(model, WRITERS, 2e-3) if name == "unet-faint" else model


def main():
    for name, (config, seed, folder) in MODELS.items():
        model = make(name)
        write_diffusers_model(folder, model)
        draw = lambda number, timestep, **sizes: draw_case(config, 10 * seed + number, timestep, **sizes)
        small = dict(height=16, width=8) if len(config["block_out_channels"]) > 2 else dict(height=12, width=6)
        add(name, folder, model, {
            "t981": draw(1, 981, **small),
            "t0": draw(2, 0, batch=1),
            "t499.5": draw(3, 499.5, batch=1),
            "t3.7631": draw(4, [3.7631, 913.7394]),
        })
        if name in ("sd1-tiny", "sd1-four-levels", "sdxl-tiny"):
            odd = dict(height=17, width=23, tokens=154)
            add(f"{name}-odd", folder, model, {
                "t601": draw(5, 601, **odd),
                "wide": draw(6, 77.25, batch=1, height=9, width=31),
                "three": draw(7, [999, 1, 333.3333], batch=3, height=10, width=6, tokens=1),
            }, blocks=False)


if __name__ == "__main__":
    main()
