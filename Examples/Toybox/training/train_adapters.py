"""Trains Toybox's adapters on WORK/toybox.

    python train_adapters.py WORK [NAME ...] [--steps 200]

Each is written to WORK/adapters in the format that RECIPES names; the formats differ so that the examples show several.
"""

import argparse
import dataclasses
import pathlib
import re

import numpy as np
import peft
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from common import DEVICE, batch_of, rate
from train_autoencoder import latents_of
from train_base import Trainer, noise_and_times
from world import Scene, draw

SEED = 37
ATTENTION = r".*attentions.*\.(to_[qkv]|to_out\.0|proj|net\.2|proj_in|proj_out)"
CONVOLUTION = r".*(resnets.*\.(conv1|conv2|conv_shortcut|time_emb_proj)|(down|up)samplers\.0\.conv)"
TEXT = r".*(q_proj|k_proj|v_proj|out_proj|fc1|fc2)"


@dataclasses.dataclass(frozen=True)
class Recipe:
    about: str
    style: str = "flat"
    rank: int = 16
    alpha: float = 16
    format: str = "kohya"
    convolution_rank: int = 0
    loha: bool = False
    owl: bool = False
    steps: float = 1.0
    rate: float = 2e-3


RECIPES = {
    "sketch": Recipe("pencil on paper", "sketch", alpha=8),
    "popart": Recipe("comic print of dots", "pop art", rank=32, convolution_rank=8, steps=1.5),
    "glitter": Recipe("candy colours with a shine", "glitter", format="diffusers", steps=2, rate=3e-3),
    "neon": Recipe("glowing tubes in the dark", "neon", format="peft", steps=2, rate=3e-3),
    "lumi": Recipe("Lumi the owl, with a star on the chest: say \"lumi owl\"", owl=True, steps=1.5),
    "blueprint": Recipe("white lines on blue paper; LoCon", "blueprint", convolution_rank=8),
    "sepia-r64": Recipe("an old photograph; far more rank than it needs", "sepia", rank=64, alpha=64),
    "fireflies": Recipe("dusk with points of light; LoHa", "fireflies", rank=8, alpha=8, loha=True),
}


def examples(recipe, vae, count, random):
    """Captions and latents of scenes in the recipe's style; of the owl, with a fifth of ordinary scenes between."""
    captions, pictures = [], []
    for _ in range(count):
        scene = Scene.draw_lot(random)
        caption = scene.caption()
        if recipe.owl and random.random() < 0.8:
            caption = caption.replace(f"{scene.colour} {scene.character}", "lumi owl", 1)
            scene = dataclasses.replace(scene, character="owl")
        captions.append(caption)
        pictures.append(draw(scene, random, recipe.style))
    latents = [latents_of(vae, np.stack(pictures[start:start + 32])) for start in range(0, count, 32)]
    return captions, torch.cat(latents)


def configuration(recipe):
    if recipe.loha:
        return peft.LoHaConfig(r=recipe.rank, alpha=recipe.alpha, target_modules=ATTENTION)
    targets, ranks, alphas = ATTENTION, {}, {}
    if recipe.convolution_rank:
        targets = f"{ATTENTION}|{CONVOLUTION}"
        pattern = CONVOLUTION.removeprefix(".*")
        ranks, alphas = {pattern: recipe.convolution_rank}, {pattern: recipe.convolution_rank}
    return peft.LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules=targets, rank_pattern=ranks, alpha_pattern=alphas,
        init_lora_weights="gaussian")


def kohya(models):
    """The adapters of PEFT models under kohya's names, each with its alpha."""
    tensors = {}
    for prefix, model in models.items():
        for name, value in peft.get_peft_model_state_dict(model).items():
            module, parameter = re.fullmatch(
                r"base_model\.model\.(.*?)\.(lora_[AB]\.weight|hada_w\d_[ab])", name).groups()
            if prefix == "lora_te" and not module.startswith("text_model."):
                module = f"text_model.{module}"
            flat = f"{prefix}_{module.replace('.', '_')}"
            renamed = parameter.replace("lora_A", "lora_down").replace("lora_B", "lora_up")
            tensors[f"{flat}.{renamed}"] = value
            if parameter in ("lora_A.weight", "hada_w1_b"):
                layer = model.get_submodule(name.removesuffix("." + parameter))
                tensors[f"{flat}.alpha"] = torch.tensor(layer.scaling["default"] * value.shape[0])
    return tensors


def write(name, recipe, models, folder):
    def half(tensors):
        return {key: value.detach().to(torch.float16).contiguous().cpu() for key, value in tensors.items()}

    metadata = {"modelspec.title": f"Toybox {name}", "modelspec.description": recipe.about,
                "modelspec.architecture": "stable-diffusion-v1/lora", "modelspec.license": "MIT"}
    if recipe.format == "kohya":
        save_file(half(kohya(models)), folder / f"{name}.safetensors", metadata | {"format": "pt"})
    elif recipe.format == "diffusers":
        model = models["lora_unet"]
        state = peft.get_peft_model_state_dict(model)
        state = {key.removeprefix("base_model.model."): value for key, value in state.items()}
        StableDiffusionPipeline.save_lora_weights(
            folder, unet_lora_layers=half(state), weight_name=f"{name}.safetensors",
            unet_lora_adapter_metadata=model.peft_config["default"].to_dict())
    else:
        model = models["lora_unet"].to(torch.float16)
        model.save_pretrained(folder / name)
        (folder / name / "README.md").unlink(missing_ok=True)


def train(name, recipe, work, steps, count, batch):
    torch.manual_seed(SEED)
    random = np.random.default_rng(SEED)
    base = work / "toybox"
    vae = AutoencoderKL.from_pretrained(base / "vae", torch_dtype=torch.float32).to(DEVICE)
    captions, latents = examples(recipe, vae, count, random)
    tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer")
    denoiser = UNet2DConditionModel.from_pretrained(base / "unet", torch_dtype=torch.float32)
    encoder = CLIPTextModel.from_pretrained(base / "text_encoder", torch_dtype=torch.float32).requires_grad_(False)
    models = {"lora_unet": peft.get_peft_model(denoiser, configuration(recipe))}
    if recipe.owl:
        encoder_part = peft.LoraConfig(r=8, lora_alpha=8, target_modules=TEXT, init_lora_weights="gaussian")
        models["lora_te"] = peft.get_peft_model(encoder, encoder_part)
    for model in models.values():
        model.to(DEVICE)
    encoder.to(DEVICE)
    denoiser.to(memory_format=torch.channels_last)
    parameters = [value for model in models.values() for value in model.parameters() if value.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    trainer = Trainer(denoiser, encoder)
    losses = []
    for step in range(steps):
        random, generator = batch_of(step, SEED)
        chosen = random.integers(0, len(latents), batch)
        texts = ["" if random.random() < 0.1 else captions[index] for index in chosen]
        tokens = tokenizer(texts, padding="max_length", max_length=77, return_tensors="pt").input_ids.to(DEVICE)
        loss = trainer.loss(latents[chosen], tokens, *noise_and_times(batch, generator))
        loss.backward()
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, recipe.rate, warm_up=20)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        if step % 50 == 49:
            print(f"{name}: step {step + 1}/{steps}, loss {np.mean(losses[-50:]):.4f}", flush=True)
    write(name, recipe, models, work / "adapters")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", type=pathlib.Path)
    arguments.add_argument("names", nargs="*", default=list(RECIPES))
    arguments.add_argument("--steps", type=int, default=200)
    arguments.add_argument("--scenes", type=int, default=1200)
    arguments.add_argument("--batch", type=int, default=16)
    options = arguments.parse_args()
    (options.work / "adapters").mkdir(parents=True, exist_ok=True)
    for name in options.names:
        recipe = RECIPES[name]
        train(name, recipe, options.work, max(1, round(options.steps * recipe.steps)), options.scenes, options.batch)


if __name__ == "__main__":
    main()
