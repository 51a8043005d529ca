"""What diffusers makes of Toybox and its adapters: the pictures that Lathe must make too.

    python make.py [TOYBOX]

Writes one PNG for each run of runs.json, and single-file.json: the names that the original authors' layout gives the
folder's weights, from diffusers' own converter, run backwards on a UNet of this shape.
"""

import json
import pathlib
import platform
import sys

import diffusers
import peft
import torch
import transformers
from diffusers import (
    DDIMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler, StableDiffusionPipeline,
    UniPCMultistepScheduler,
)
from safetensors.torch import load_file

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "diffusion"))
import single_files  # noqa: E402
TOYBOX = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parents[2] / "Examples/Toybox"
SAMPLERS = {
    "ddim": DDIMScheduler, "euler": EulerDiscreteScheduler, "dpm++2m": DPMSolverMultistepScheduler,
    "unipc": UniPCMultistepScheduler,
}
ROBOT = "a red robot with a blue hat on the beach"
CAT = "a giant yellow cat waving under the night sky"
LUMI = "a lumi owl with a red scarf in the snow"
STACK = {"lumi": 1.0, "sketch": 0.3, "popart": 0.2, "glitter": 0.3, "neon": 0.2, "sepia-r64": 0.2}


def run(name, prompt, adapters=None, sampler="euler", seed=7, steps=12, cfg=4.0, negative=None):
    return dict(name=name, prompt=prompt, adapters=adapters or {}, sampler=sampler, seed=seed, steps=steps, cfg=cfg,
                negative=negative)


RUNS = [
    run("base", ROBOT), run("base-ddim", CAT, sampler="ddim", seed=1), run("base-dpm", CAT, sampler="dpm++2m", seed=2),
    run("base-unipc", LUMI, sampler="unipc"), run("base-negative", "a robot", negative="the beach", seed=3),
    *(run(f"sketch-{strength}", ROBOT, {"sketch": strength}) for strength in (0.3, 0.5, 0.8, 1.0, 1.2)),
    *(run(name, CAT, {name: 1.0}) for name in ("popart", "glitter", "neon", "blueprint", "sepia-r64")),
    *(run(f"lumi-{strength}", LUMI, {"lumi": strength}) for strength in (0.5, 1.0)),
    run("stack", LUMI, STACK),
]


def load(pipeline, name):
    """An adapter in whichever of the three formats it has."""
    folder = TOYBOX / "adapters" / name
    if not folder.is_dir():
        pipeline.load_lora_weights(
            TOYBOX / "adapters", weight_name=f"{name}.safetensors", adapter_name=adapter_name(name))
        return
    config = json.loads((folder / "adapter_config.json").read_text())
    state = {key.replace("base_model.model.", "unet."): value
             for key, value in load_file(folder / "adapter_model.safetensors").items()}
    kept = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "target_modules")
    metadata = {f"unet.{key}": config[key] for key in kept}
    pipeline.load_lora_weights(state, adapter_name=adapter_name(name), metadata=metadata)


def adapter_name(name):
    return name.replace("-", "_")


def write_single_file_names(pipeline):
    parts = {"unet": pipeline.unet, "vae": pipeline.vae, "text_encoder": pipeline.text_encoder}
    listed = single_files.unet(parts, {1, 2}) + single_files.vae(parts)
    listed += single_files.text(parts, "text_encoder", "cond_stage_model.transformer.")
    single_files.check(parts, listed)
    lines = [json.dumps(entry) for entry in sorted(listed, key=lambda entry: entry["name"])]
    (HERE / "single-file.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")


def main():
    torch.set_num_threads(2)
    pipeline = StableDiffusionPipeline.from_pretrained(TOYBOX / "model", torch_dtype=torch.float32, safety_checker=None)
    pipeline.set_progress_bar_config(disable=True)
    write_single_file_names(pipeline)
    config = pipeline.scheduler.config
    for name in sorted({name for one in RUNS for name in one["adapters"]}):
        load(pipeline, name)
    for one in RUNS:
        pipeline.scheduler = SAMPLERS[one["sampler"]].from_config(config)
        if one["adapters"]:
            pipeline.enable_lora()
            pipeline.set_adapters([adapter_name(name) for name in one["adapters"]], list(one["adapters"].values()))
        else:
            pipeline.disable_lora()
        picture = pipeline(
            one["prompt"], negative_prompt=one["negative"], height=128, width=128, num_inference_steps=one["steps"],
            guidance_scale=one["cfg"], generator=torch.Generator().manual_seed(one["seed"])).images[0]
        picture.save(HERE / f"{one['name']}.png")
    made_with = {"diffusers": diffusers.__version__, "peft": peft.__version__, "torch": torch.__version__,
                 "transformers": transformers.__version__, "python": platform.python_version()}
    (HERE / "runs.json").write_text(json.dumps({"made_with": made_with, "runs": RUNS}, indent=1) + "\n")


if __name__ == "__main__":
    main()
