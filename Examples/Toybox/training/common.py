"""What the training scripts share: drawings, optimizers, averages, and runs that can be taken up again."""

import dataclasses
import math
import os
import pathlib
import re
import time

import numpy as np
import torch

from styles import STYLES
from world import Scene, draw

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
STYLE_SHARES = {style: 0.58 if style == "flat" else 0.06 for style in STYLES}


def autocast():
    return torch.autocast(DEVICE, torch.bfloat16)


def drawings(count, seed, styles=STYLE_SHARES, owls=0.1):
    """`count` pictures as bytes, channels last: scenes in all styles, a tenth of them with the owl."""
    random = np.random.default_rng(seed)
    names, shares = list(styles), list(styles.values())
    pictures = np.empty((count, 128, 128, 3), np.uint8)
    for index in range(count):
        scene = Scene.draw_lot(random)
        if random.random() < owls:
            scene = dataclasses.replace(scene, character="owl")
        pictures[index] = draw(scene, random, str(random.choice(names, p=shares)))
    return pictures


def as_images(pictures):
    """Bytes, channels last, as numbers from -1 to 1, channels first."""
    return torch.from_numpy(pictures).to(DEVICE).permute(0, 3, 1, 2).float() / 127.5 - 1


def rate(step, steps, peak, warm_up=200):
    """The learning rate: a linear rise, then half a cosine down to a fiftieth."""
    if step < warm_up:
        return peak * (step + 1) / warm_up
    share = (step - warm_up) / max(1, steps - warm_up)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1, share))))


class Optimizers:
    """Muon for matrices and convolutions; AdamW for the rest, and for layers whose names match `by_adam`.

    torch's Muon takes matrices only: it works on views of the convolutions' weights, a row for each output channel.
    """

    def __init__(self, modules, peak, by_adam):
        matrices, rest = [], []
        self.views = []
        for module in modules:
            for name, value in module.named_parameters():
                if value.ndim < 2 or re.search(by_adam, name):
                    rest.append(value)
                    continue
                flat = value.data.permute(0, 2, 3, 1).reshape(len(value), -1) if value.ndim == 4 else value.data
                assert flat.data_ptr() == value.data_ptr(), "channels must come last"
                view = torch.nn.Parameter(flat)
                self.views.append((value, view))
                matrices.append(view)
        self.peak = peak
        self.parts = [
            torch.optim.AdamW(rest, lr=peak, betas=(0.9, 0.99), weight_decay=0.0, fused=True),
            torch.optim.Muon(matrices, lr=peak, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")]

    def step(self, share):
        for value, view in self.views:
            view.grad = value.grad.permute(0, 2, 3, 1).reshape(view.shape) if value.ndim == 4 else value.grad
        for part in self.parts:
            for group in part.param_groups:
                group["lr"] = self.peak * share
            part.step()
        for value, view in self.views:
            value.grad = view.grad = None
        self.parts[0].zero_grad(set_to_none=True)

    def state_dict(self):
        return {str(index): part.state_dict() for index, part in enumerate(self.parts)}

    def load_state_dict(self, state):
        for index, part in enumerate(self.parts):
            part.load_state_dict(state[str(index)])


class Average:
    """An exponential moving average of a module's parameters."""

    def __init__(self, module, decay):
        self.decay = decay
        self.values = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module, step):
        decay = min(self.decay, (1 + step) / (10 + step))
        names = list(self.values)
        current = dict(module.named_parameters())
        torch._foreach_lerp_([self.values[name] for name in names], [current[name] for name in names], 1 - decay)

    def state_dict(self):
        return self.values

    def load_state_dict(self, values):
        self.values = values

    @torch.no_grad()
    def copy_to(self, module):
        for name, value in module.named_parameters():
            value.copy_(self.values[name])


class Run:
    """Steps of a training that can be stopped and taken up again: its state is a file, replaced as a whole."""

    def __init__(self, path, steps, state, every=120, on_save=lambda: None):
        """`state`: named things with state_dict() and load_state_dict()."""
        self.path = pathlib.Path(path)
        self.steps, self.state, self.every, self.on_save = steps, state, every, on_save
        self.first = 0
        if self.path.exists():
            saved = torch.load(self.path, map_location=DEVICE, weights_only=True)
            for name, part in state.items():
                part.load_state_dict(saved[name])
            self.first = saved["step"]
            print(f"taken up again at step {self.first}", flush=True)

    def save(self, step):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        torch.save({"step": step} | {name: part.state_dict() for name, part in self.state.items()}, partial)
        os.replace(partial, self.path)
        self.on_save()

    def __iter__(self):
        started = saved = time.time()
        for step in range(self.first, self.steps):
            yield step
            now = time.time()
            if now - saved > self.every or step + 1 == self.steps:
                self.save(step + 1)
                saved = now
            if (step + 1) % 200 == 0:
                pace = (now - started) / (step + 1 - self.first)
                left = pace * (self.steps - step - 1) / 60
                print(f"step {step + 1}/{self.steps}, {pace:.3f} s a step, {left:.0f} min left", flush=True)


def batch_of(step, seed):
    """The random numbers of one step: the same whether or not the training was interrupted before it."""
    return np.random.default_rng((seed, step)), torch.Generator().manual_seed(seed * 1_000_003 + step)
