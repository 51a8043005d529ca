"""Whole pipelines of SD1's and SDXL's structure, tiny, from a prompt to pixels.

Each folder has everything but the tokenizer's table, and in `runs.json` what was asked of diffusers' pipelines; in
`outputs.safetensors` what came of it. The folders' UNets and autoencoders are those of unets.py and vaes.py.
"""

import json

import diffusers
import numpy as np
import torch
from diffusers import (
    DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LCMScheduler,
    PNDMScheduler, StableDiffusionImg2ImgPipeline, StableDiffusionPipeline, StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline, TCDScheduler, UniPCMultistepScheduler,
)
from PIL import Image
from transformers import CLIPTextModel, CLIPTextModelWithProjection

import single_files
import texts
import tokens
import unets
import vaes
from fixture import HERE, describe, redraw, write_json, write_tensors

SAMPLERS = {
    "ddim": (DDIMScheduler, {}),
    "euler": (EulerDiscreteScheduler, {}),
    "euler-a": (EulerAncestralDiscreteScheduler, {}),
    "dpm++2m": (DPMSolverMultistepScheduler, {}),
    "dpm++2m-karras": (DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpm++2m-sde": (DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (UniPCMultistepScheduler, {}),
    "lcm": (LCMScheduler, {}),
    "tcd": (TCDScheduler, {}),
}
ZERO_SNR = {"prediction_type": "v_prediction", "rescale_betas_zero_snr": True, "timestep_spacing": "trailing"}

SD1_SCHEDULER = {
    "_class_name": "PNDMScheduler", "_diffusers_version": diffusers.__version__, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "num_train_timesteps": 1000,
    "prediction_type": "epsilon", "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1,
    "timestep_spacing": "leading", "trained_betas": None,
}
SDXL_SCHEDULER = {
    "_class_name": "EulerDiscreteScheduler", "_diffusers_version": diffusers.__version__, "beta_end": 0.012,
    "beta_schedule": "scaled_linear", "beta_start": 0.00085, "clip_sample": False, "interpolation_type": "linear",
    "num_train_timesteps": 1000, "prediction_type": "epsilon", "sample_max_value": 1.0, "set_alpha_to_one": False,
    "skip_prk_steps": True, "steps_offset": 1, "timestep_spacing": "leading", "trained_betas": None,
    "use_karras_sigmas": False,
}
SHOWN = (
    "num_train_timesteps beta_start beta_end beta_schedule prediction_type timestep_spacing steps_offset "
    "clip_sample set_alpha_to_one rescale_betas_zero_snr use_karras_sigmas algorithm_type solver_order "
    "solver_type final_sigmas_type "
    "lower_order_final original_inference_steps"
).split()


def text_config(**changes):
    own = dict(
        vocab_size=49408, hidden_size=8, intermediate_size=16, num_hidden_layers=3, num_attention_heads=2,
        projection_dim=8, bos_token_id=0, eos_token_id=2, pad_token_id=1,
    )
    return texts.config(**(own | changes))


def write_folder(folder, index, scheduler, tokenizers):
    write_json(f"{folder}/model_index.json", index)
    write_json(f"{folder}/scheduler/scheduler_config.json", scheduler)
    for name, pad in tokenizers.items():
        write_json(f"{folder}/{name}/tokenizer_config.json", {
            "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "pad_token": pad,
            "bos_token": "<|startoftext|>", "eos_token": tokens.END, "unk_token": tokens.END,
        })


def sd1_parts(merges):
    text_encoder = redraw(CLIPTextModel(text_config()), 401)
    texts.write_text_encoder("sd1-pipeline/text_encoder", text_encoder)
    write_folder("sd1-pipeline", {
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None], "image_encoder": [None, None], "requires_safety_checker": False,
        "safety_checker": [None, None], "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }, SD1_SCHEDULER, {"tokenizer": tokens.END})
    return dict(
        vae=vaes.make("vae-tiny"), text_encoder=text_encoder, tokenizer=tokens.tokenizer(merges),
        unet=unets.make("sd1-four-levels"), scheduler=PNDMScheduler.from_pretrained(HERE / "sd1-pipeline/scheduler"),
    )


def sdxl_parts(merges):
    first = redraw(CLIPTextModel(text_config(hidden_size=4, intermediate_size=12, projection_dim=4)), 411)
    larger = text_config(hidden_size=6, num_hidden_layers=4, hidden_act="gelu")
    second = redraw(CLIPTextModelWithProjection(larger), 412)
    texts.write_text_encoder("sdxl-pipeline/text_encoder", first)
    texts.write_text_encoder("sdxl-pipeline/text_encoder_2", second)
    write_folder("sdxl-pipeline", {
        "_class_name": "StableDiffusionXLPipeline", "_diffusers_version": diffusers.__version__,
        "feature_extractor": [None, None], "force_zeros_for_empty_prompt": True, "image_encoder": [None, None],
        "scheduler": ["diffusers", "EulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }, SDXL_SCHEDULER, {"tokenizer": tokens.END, "tokenizer_2": "!"})
    return dict(
        vae=vaes.make("vae-narrow"), text_encoder=first, text_encoder_2=second, tokenizer=tokens.tokenizer(merges),
        tokenizer_2=tokens.tokenizer(merges, pad="!"), unet=unets.make("sdxl-tiny"),
        scheduler=EulerDiscreteScheduler.from_pretrained(HERE / "sdxl-pipeline/scheduler"),
    )


def first_image(folder):
    """Something smooth with edges and a little noise, 64 x 64."""
    y, x = np.mgrid[0:64, 0:64] / 63
    noise = np.random.default_rng(5).normal(0, 6, (64, 64, 3))
    colours = np.stack([255 * x, 255 * (1 - y), 128 + 100 * np.sin(9 * x * y)], -1) + noise
    colours[20:36, 30:50] = [230, 40, 60]
    image = Image.fromarray(np.clip(colours, 0, 255).astype(np.uint8))
    image.save(HERE / folder / "first-image.png", optimize=True)
    return image


class Runner:
    def __init__(self, folder, parts, text_to_image, image_to_image):
        self.folder, self.parts = folder, parts
        self.classes = {False: text_to_image, True: image_to_image}
        self.image = first_image(folder)
        self.runs, self.outputs, self.conditions = [], {}, []

    def pipeline(self, sampler, changes, from_image):
        scheduler, own = SAMPLERS[sampler]
        parts = self.parts | {"scheduler": scheduler.from_config(self.parts["scheduler"].config, **own, **changes)}
        extra = {"add_watermarker": False} if "text_encoder_2" in parts else {
            "safety_checker": None, "feature_extractor": None, "requires_safety_checker": False
        }
        result = self.classes[from_image](**parts, **extra)
        result.set_progress_bar_config(disable=True)
        return result

    def once(self, sampler, changes, seeds, images, mean, call):
        """Latents after each step, the conditioning, and pixels."""
        pipe = self.pipeline(sampler, changes, "strength" in call)
        caught = {"step": []}
        call = dict(call)
        if "strength" in call:
            call["image"] = self.image
            if mean:
                pixels = pipe.image_processor.preprocess(self.image)
                call["image"] = pipe.vae.encode(pixels).latent_dist.mean * pipe.vae.config.scaling_factor
        else:
            call |= {"height": call.get("height", 64), "width": call.get("width", 64)}
        generators = [torch.Generator().manual_seed(s) for s in seeds]
        call |= {"generator": generators if len(seeds) > 1 else generators[0], "num_images_per_prompt": images}

        def keep(module, arguments, options):
            context = options["encoder_hidden_states"]
            added = options.get("added_cond_kwargs") or {}
            caught.setdefault("context", context.clone())
            caught.setdefault("model_input", arguments[0].clone())
            caught.setdefault("times", []).append(float(arguments[1]))
            if "text_embeds" in added:
                caught.setdefault("pooled", added["text_embeds"].clone())
                caught.setdefault("time_ids", added["time_ids"].float().clone())

        def step(pipe, index, time, values):
            caught["step"].append(values["latents"].clone())
            return values

        hook = pipe.unet.register_forward_pre_hook(keep, with_kwargs=True)
        image = pipe(**call, output_type="np", callback_on_step_end=step).images
        hook.remove()
        pixels = np.stack([np.asarray(i) for i in pipe.image_processor.numpy_to_pil(image)])
        caught["pixels"] = torch.from_numpy(pixels)
        return caught, pipe.scheduler

    def run(self, name, sampler, seeds=(7,), images=1, changes=None, mean=False, note=None, **call):
        call = {"prompt": "a photo of a cat", "num_inference_steps": 3, "guidance_scale": 5.0} | call
        changes = changes or {}
        caught, scheduler = self.once(sampler, changes, seeds, images, mean, call)
        # The same with other loops in torch: how much the order of additions alone changes.
        with torch.backends.mkldnn.flags(enabled=False):
            other, _ = self.once(sampler, changes, seeds, images, mean, call)
        latents, pixels = caught["step"][-1], caught["pixels"]
        difference = (other["step"][-1] - latents).abs().max().item()
        levels = (other["pixels"].int() - pixels.int()).abs()
        shown = {n: v for n, v in call.items() if not torch.is_tensor(v)}
        entry = {
            "name": name, "sampler": sampler, "seeds": list(seeds), "images": images, **shown,
            "scheduler": type(scheduler).__name__, "changes": SAMPLERS[sampler][1] | changes,
            "config": {n: scheduler.config[n] for n in SHOWN if n in scheduler.config},
            "timesteps": [float(t) for t in caught["times"]],
        }
        if hasattr(scheduler, "sigmas"):
            entry["sigmas"] = [float(s) for s in scheduler.sigmas]
        if "strength" in call:
            entry |= {"image": "first-image.png", "encoded": "mean" if mean else "sample"}
        if note:
            entry["note"] = note
        entry["other_order"] = {
            "latents": float(f"{difference:.2g}"), "pixels": int((levels > 0).sum()), "levels": int(levels.max())
        }
        self.runs.append(entry)
        own = {f"step.{i}": t for i, t in enumerate(caught["step"])} | {"latents": latents, "pixels": pixels}
        own["model_input"] = caught["model_input"]
        # The conditioning, unless an earlier run had the same.
        for what in ("context", "pooled", "time_ids"):
            if what in caught and not any(torch.equal(caught[what], t) for t in self.conditions):
                own[what] = caught[what]
                self.conditions.append(caught[what])
        self.outputs |= {f"{name}/{n}": t for n, t in own.items()}
        part = pixels.double()
        clipped = ((pixels == 0) | (pixels == 255)).double().mean()
        print(
            f"  {name}: latents std {latents.std():.2f}, pixels mean {part.mean():.0f} std {part.std():.0f} "
            f"clipped {clipped:.0%}; other order {entry['other_order']}"
        )

    def write(self):
        write_json(f"{self.folder}/runs.json", self.runs)
        write_tensors(f"{self.folder}/outputs.safetensors", self.outputs)


def skipped(pipe_parts, prompt, skip):
    """The context of SD1 with the last `skip` layers left out, and the final norm."""
    ids = pipe_parts["tokenizer"](prompt, padding="max_length", max_length=77, truncation=True, return_tensors="pt")
    model = pipe_parts["text_encoder"]
    values = texts.evaluate(model, ids.input_ids)
    layers = model.config.num_hidden_layers
    return texts.body(model).final_layer_norm(values[f"hidden.{layers - skip}"])


def by_diffusers(parts):
    """The prompt's context with clip_skip 1 from diffusers' own method."""
    if not hasattr(CLIPTextModel, "text_model"):
        # diffusers still looks for a level that transformers 5 has taken out.
        CLIPTextModel.text_model = property(lambda self: self)
    pipe = StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    result = pipe.encode_prompt("a photo of a cat", "cpu", 1, False, clip_skip=1)[0]
    del CLIPTextModel.text_model
    return result


def sd1(merges):
    print("sd1-pipeline")
    parts = sd1_parts(merges)
    runner = Runner("sd1-pipeline", parts, StableDiffusionPipeline, StableDiffusionImg2ImgPipeline)
    run = runner.run
    for sampler in SAMPLERS:
        run(sampler, sampler)
    for sampler in ("ddim", "euler", "dpm++2m"):
        run(f"v-zero-snr-{sampler}", sampler, changes=ZERO_SNR, guidance_rescale=0.7)
    run("v-ddim", "ddim", changes={"prediction_type": "v_prediction"})
    run("negative", "euler", negative_prompt="blurry, low quality", prompt="An old house, by the sea (evening)")
    run("long", "ddim", prompt="a very " + "long " * 90 + "prompt", note="cut to 75 tokens")
    both = {
        "prompt": None, "prompt_embeds": skipped(parts, "a photo of a cat", 1),
        "negative_prompt_embeds": skipped(parts, "", 1),
    }
    run("clip-skip-1", "ddim", note="one layer left out for the prompt and for the negative prompt alike", **both)
    runner.runs[-1] |= {"prompt": "a photo of a cat", "clip_skip": 1}
    one = both | {"negative_prompt_embeds": skipped(parts, "", 0)}
    run("clip-skip-1-prompt", "ddim", note="as diffusers does it: for the prompt, not for the negative prompt", **one)
    runner.runs[-1] |= {"prompt": "a photo of a cat", "clip_skip": 1}
    assert torch.equal(by_diffusers(parts), one["prompt_embeds"])
    run("no-guidance", "lcm", guidance_scale=1.0)
    run("wide", "dpm++2m", width=104, height=72, note="latents 9 x 13: no multiple of the UNet's 8")
    run("batch-seeds", "euler-a", seeds=(7, 8), images=2, note="each image has its own generator")
    run("batch-one-generator", "euler-a", images=2, note="both images draw from one generator")
    for sampler in ("ddim", "euler", "euler-a", "dpm++2m"):
        run(f"image-{sampler}", sampler, strength=0.6, num_inference_steps=5, mean=True)
    run("image-sample-ddim", "ddim", strength=0.6, num_inference_steps=5)
    runner.write()
    single_files.sd1(parts)


def sdxl(merges):
    print("sdxl-pipeline")
    parts = sdxl_parts(merges)
    runner = Runner("sdxl-pipeline", parts, StableDiffusionXLPipeline, StableDiffusionXLImg2ImgPipeline)
    run = runner.run
    for sampler in SAMPLERS:
        run(sampler, sampler)
    run("empty-negative", "euler", negative_prompt="", note="encoded; without a negative prompt it is zeros")
    run("negative", "euler", negative_prompt="blurry, low quality")
    run("sizes", "euler", original_size=(1024, 768), crops_coords_top_left=(16, 32), target_size=(512, 640))
    run("wide", "ddim", width=104, height=72)
    run("clip-skip-1", "ddim", clip_skip=1)
    run("v-zero-snr-euler", "euler", changes=ZERO_SNR, guidance_rescale=0.7)
    run("batch-seeds", "euler-a", seeds=(7, 8), images=2)
    run("image-euler", "euler", strength=0.6, num_inference_steps=5, mean=True)
    run("no-guidance", "tcd", guidance_scale=1.0)
    runner.write()
    single_files.sdxl(parts)


def main(merges):
    sd1(merges)
    sdxl(merges)


if __name__ == "__main__":
    import sys

    main(sys.argv[1])
