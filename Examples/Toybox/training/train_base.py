"""Trains Toybox's UNet and text encoder, from scratch and together, on flat scenes and their captions.

    python train_base.py WORK [--steps 1850]

Needs WORK/vae. Keeps the scenes' latents in WORK/latents.pt, resumes from WORK/base.state, and writes WORK/toybox, a
folder that diffusers loads, each time it saves.
"""

import argparse
import json
import pathlib
import re

import numpy as np
import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import Attention
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel

from common import DEVICE, Average, Optimizers, Run, autocast, batch_of, rate
from tokenizer import Words, write_tokenizer
from train_autoencoder import latents_of
from world import ACCESSORIES, ACCESSORY_COLOURS, BACKGROUNDS, CHARACTERS, COLOURS, PLACES, POSES, SIZES, Scene, draw

SEED = 23
# Words that no caption has: they keep their first, random embedding, for adapters that teach something new.
SPARE_WORDS = ("lumi", "owl", "fox", "dog", "bear", "dragon", "wizard", "pirate", "princess", "alien", "style", "toy")


def unet():
    return UNet2DConditionModel(
        sample_size=16, block_out_channels=(64, 96, 96), layers_per_block=2, cross_attention_dim=128,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"), attention_head_dim=(2, 3, 3),
        norm_num_groups=16)


def text_encoder(words):
    return CLIPTextModel(CLIPTextConfig(
        vocab_size=words, hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, hidden_act="quick_gelu", projection_dim=128, bos_token_id=49406, eos_token_id=49407,
        pad_token_id=49407))


def scheduler():
    return PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", set_alpha_to_one=False, skip_prk_steps=True,
        steps_offset=1)


def all_words():
    """Captions that use every word there is, singly."""
    phrases = [*CHARACTERS, *COLOURS, *ACCESSORIES, *ACCESSORY_COLOURS, *BACKGROUNDS.values(), *POSES.values(), *SIZES]
    phrases += [place for place, _ in PLACES.values()]
    return [f"a {phrase} with a {phrase}" for phrase in [*phrases, *SPARE_WORDS]]


def shortened(caption, random):
    """The caption with something left out now and then, so that short prompts work too; a tenth are empty."""
    if random.random() < 0.1:
        return ""
    if random.random() < 0.05:
        caption = re.sub(rf"^(a (?:tiny |giant )?)(?:{'|'.join(COLOURS)}) ", r"\1", caption)
    if random.random() < 0.05:
        for background in BACKGROUNDS.values():
            caption = caption.replace(f" {background}", "")
    return caption


def latents_of_scenes(vae, count, path):
    """`count` random flat scenes: their captions and the means of their latents, kept in a file."""
    if path.exists():
        saved = torch.load(path, weights_only=True)
        return saved["captions"], saved["latents"]
    random = np.random.default_rng(SEED)
    captions, latents = [], []
    for start in range(0, count, 64):
        scenes = [Scene.draw_lot(random) for _ in range(min(64, count - start))]
        captions += [scene.caption() for scene in scenes]
        pictures = np.stack([draw(scene, random) for scene in scenes])
        latents.append(latents_of(vae, pictures).half().cpu())
    latents = torch.cat(latents)
    torch.save({"captions": captions, "latents": latents}, path)
    print(f"{count} latents of standard deviation {latents.float().std():.3f}", flush=True)
    return captions, latents


def noise_and_times(count, generator):
    noise = torch.randn((count, 4, 16, 16), generator=generator).to(DEVICE)
    return noise, torch.randint(0, 1000, (count,), generator=generator).to(DEVICE)


class PlainAttention:
    """Attention as two products and a softmax. For heads this small torch's fused kernel is several times slower."""

    def __call__(self, attention, hidden_states, encoder_hidden_states=None, attention_mask=None):
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            x.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for x in (attention.to_q(hidden_states), attention.to_k(context), attention.to_v(context)))
        shares = (query @ key.transpose(-1, -2) * attention.scale).softmax(-1)
        return attention.to_out[0]((shares @ value).transpose(1, 2).flatten(-2))


class Trainer:
    """Noise prediction with min-SNR weights (Hang et al. 2023, gamma 5)."""

    def __init__(self, denoiser, encoder):
        self.denoiser, self.encoder = denoiser, encoder
        for module in denoiser.modules():
            if isinstance(module, Attention):
                module.set_processor(PlainAttention())
        self.alphas = scheduler().alphas_cumprod.to(DEVICE)

    def loss(self, latents, tokens, noise, times):
        kept = self.alphas[times][:, None, None, None]
        noisy = (kept.sqrt() * latents + (1 - kept).sqrt() * noise).contiguous(memory_format=torch.channels_last)
        ratio = (kept / (1 - kept)).flatten()
        with autocast():
            text = self.encoder(tokens).last_hidden_state
            predicted = self.denoiser(noisy, times, encoder_hidden_states=text).sample
        errors = (predicted.float() - noise).square().mean(dim=(1, 2, 3))
        return (errors * ratio.clamp(max=5) / ratio).mean()


def forget(path, name):
    """Takes a field out of a configuration."""
    fields = json.loads(path.read_text())
    fields.pop(name, None)
    path.write_text(json.dumps(fields, indent=2) + "\n")


def export(work, words, averages):
    """Writes the averaged networks as a pipeline folder of 16-bit weights."""
    denoiser = unet()
    averages["unet"].copy_to(denoiser)
    small = text_encoder(len(words.tokens))
    averages["text"].copy_to(small)
    values = small.state_dict()
    key = next(name for name in values if name.endswith("token_embedding.weight"))
    full = text_encoder(len(words.tokenizer))
    full.load_state_dict(values | {key: words.expanded(values[key])})
    pipeline = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(work / "vae"), text_encoder=full, tokenizer=words.tokenizer, unet=denoiser,
        scheduler=scheduler(), safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    folder = work / "toybox"
    pipeline.to(torch.float16).save_pretrained(folder)
    write_tokenizer(folder / "tokenizer")
    # Where it was loaded from is a folder that nobody else has; and SD1's own file leaves the spacing to each sampler.
    forget(folder / "vae/config.json", "_name_or_path")
    forget(folder / "scheduler/scheduler_config.json", "timestep_spacing")
    # transformers 5 leaves out the prefix that every other reader of SD1 expects.
    weights = folder / "text_encoder/model.safetensors"
    named = {"text_model." + name.removeprefix("text_model."): value for name, value in load_file(weights).items()}
    save_file(named, weights, {"format": "pt"})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", type=pathlib.Path)
    arguments.add_argument("--steps", type=int, default=1850)
    arguments.add_argument("--scenes", type=int, default=40000)
    arguments.add_argument("--batch", type=int, default=40)
    arguments.add_argument("--rate", type=float, default=1.5e-3)
    options = arguments.parse_args()

    torch.manual_seed(SEED)
    write_tokenizer(options.work / "tokenizer")
    vae = AutoencoderKL.from_pretrained(options.work / "vae").to(DEVICE, memory_format=torch.channels_last)
    captions, latents = latents_of_scenes(vae, options.scenes, options.work / "latents.pt")
    del vae
    words = Words(options.work / "tokenizer", ["", *all_words()])
    denoiser = unet().to(DEVICE, memory_format=torch.channels_last)
    encoder = text_encoder(len(words.tokens)).to(DEVICE)
    trainer = Trainer(denoiser, encoder)
    optimizers = Optimizers([denoiser, encoder], options.rate, by_adam="conv_in|conv_out|embedding|time_emb")
    averages = {"unet": Average(denoiser, 0.998), "text": Average(encoder, 0.998)}
    run = Run(options.work / "base.state", options.steps, {
        "unet": denoiser, "text": encoder, "optimizers": optimizers, "unet average": averages["unet"],
        "text average": averages["text"]}, on_save=lambda: export(options.work, words, averages))
    losses = []
    for step in run:
        random, generator = batch_of(step, SEED)
        chosen = random.integers(0, len(latents), options.batch)
        tokens = words.ids([shortened(captions[index], random) for index in chosen]).to(DEVICE)
        loss = trainer.loss(latents[chosen].float().to(DEVICE), tokens, *noise_and_times(options.batch, generator))
        loss.backward()
        optimizers.step(rate(step, options.steps, 1.0))
        averages["unet"].update(denoiser, step)
        averages["text"].update(encoder, step)
        losses.append(loss.item())
        if step % 100 == 99:
            print(f"step {step + 1}: loss {np.mean(losses[-100:]):.4f}", flush=True)


if __name__ == "__main__":
    main()
