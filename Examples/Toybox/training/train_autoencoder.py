"""Trains Toybox's AutoencoderKL on drawings in every style.

    python train_autoencoder.py WORK [--steps 7000 --finish 200]

First on quarters of the pictures, which is four times quicker a step, then `finish` steps on whole ones.
Writes WORK/vae in diffusers' layout; resumes from WORK/autoencoder.state.
"""

import argparse
import math
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from common import DEVICE, STYLE_SHARES, Average, Optimizers, Run, as_images, autocast, batch_of, drawings, rate

SEED = 11
# What SD1 multiplies latents with before its UNet sees them.
SCALE = 0.18215


def autoencoder():
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 96), down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4, layers_per_block=1, norm_num_groups=4, latent_channels=4,
        sample_size=128)


def edges(a, b):
    """The mean difference of the pictures' differences between neighbours."""
    across = (a.diff(dim=3) - b.diff(dim=3)).abs().mean()
    down = (a.diff(dim=2) - b.diff(dim=2)).abs().mean()
    return across + down


def difference(a, b):
    return (a - b).abs().mean() + F.mse_loss(a, b) + 0.5 * edges(a, b)


def loss_of(model, images, generator):
    with autocast():
        posterior = model.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator).to(DEVICE)
        decoded = model.decode(posterior.mean + posterior.std * noise).sample.float()
    divergence = posterior.kl().sum() / posterior.mean.numel()
    return difference(decoded, images) + 1e-4 * divergence


@torch.no_grad()
def latents_of(vae, pictures):
    """The means of pictures' latents, as a UNet is to see them."""
    images = as_images(pictures).contiguous(memory_format=torch.channels_last)
    with autocast():
        return vae.encode(images).latent_dist.mean.float() * SCALE


@torch.no_grad()
def quality(model, pictures):
    """Peak signal-to-noise ratio of decoded means, in dB; and the latents' standard deviation."""
    model.eval()
    errors, latents = [], []
    for start in range(0, len(pictures), 32):
        images = as_images(pictures[start:start + 32])
        with autocast():
            latent = model.encode(images).latent_dist.mean
            decoded = model.decode(latent).sample.float().clamp(-1, 1)
        errors.append(((decoded - images) / 2).square().mean(dim=(1, 2, 3)))
        latents.append(latent.float())
    model.train()
    return (-10 * torch.cat(errors).log10()).mean().item(), torch.cat(latents).std().item()


def report(model, flat, styles):
    decibels, spread = quality(model, flat)
    return f"{decibels:.2f} dB flat, {quality(model, styles)[0]:.2f} dB in styles, latents {spread:.3f}"


@torch.no_grad()
def rescale(model, spread):
    """Scales the latents so that SD1's own factor brings them to a standard deviation of 1."""
    factor = 1 / SCALE / spread
    half = model.config.latent_channels
    model.quant_conv.weight[:half] *= factor
    model.quant_conv.bias[:half] *= factor
    model.quant_conv.bias[half:] += 2 * math.log(factor)
    model.post_quant_conv.weight /= factor


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", type=pathlib.Path)
    arguments.add_argument("--steps", type=int, default=7000)
    arguments.add_argument("--finish", type=int, default=200)
    arguments.add_argument("--pictures", type=int, default=16000)
    arguments.add_argument("--rate", type=float, default=2e-3)
    options = arguments.parse_args()

    torch.manual_seed(SEED)
    model = autoencoder().to(DEVICE, memory_format=torch.channels_last)
    optimizers = Optimizers([model], options.rate, by_adam="conv_in|conv_out|quant_conv")
    average = Average(model, 0.998)
    pictures = drawings(options.pictures, SEED)
    held_out = drawings(64, SEED + 1, styles={"flat": 1.0})
    held_out_styles = drawings(64, SEED + 2, styles={style: 1 / 7 for style in STYLE_SHARES if style != "flat"})
    run = Run(options.work / "autoencoder.state", options.steps + options.finish,
              {"model": model, "optimizers": optimizers, "average": average})
    for step in run:
        random, generator = batch_of(step, SEED)
        whole = step >= options.steps
        count, size = (16, 128) if whole else (8, 64)
        crops = []
        for index in random.integers(0, len(pictures), count):
            y, x = random.integers(0, 128 - size + 1, 2)
            crops.append(pictures[index, y:y + size, x:x + size])
        images = as_images(np.stack(crops)).contiguous(memory_format=torch.channels_last)
        loss = loss_of(model, images, generator)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(rate(step, run.steps, 1.0))
        average.update(model, step)
        if step % 500 == 499:
            print(f"step {step + 1}: loss {loss.item():.4f}, {report(model, held_out, held_out_styles)}", flush=True)
    average.copy_to(model)
    print(f"averaged: {report(model, held_out, held_out_styles)}")
    rescale(model, quality(model, held_out)[1])
    model.save_pretrained(options.work / "vae")


if __name__ == "__main__":
    main()
