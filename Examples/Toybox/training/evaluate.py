"""Says how often samples show what their captions ask for, by a classifier trained on drawings; and shows them.

    python evaluate.py WORK [--count 64] [--sheet samples.png] [--guidance 5]

The captions are random ones that the training never saw. The classifier is trained once and kept in
WORK/classifier.pt; its accuracy on fresh drawings is printed beside that on samples.
"""

import argparse
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DPMSolverMultistepScheduler, StableDiffusionPipeline
from torch import nn

from common import DEVICE, as_images, batch_of, rate
from world import ACCESSORIES, BACKGROUNDS, CHARACTERS, COLOURS, Scene, draw, save_picture

SEED = 71
QUESTIONS = {
    "character": list(CHARACTERS), "colour": list(COLOURS), "background": list(BACKGROUNDS),
    "accessory": ["", *ACCESSORIES],
}


class Classifier(nn.Module):
    """Four answers for a picture of 128 x 128."""

    def __init__(self):
        super().__init__()
        layers, channels = [nn.AvgPool2d(2)], 3
        for width in (24, 48, 96, 128):
            layers += [nn.Conv2d(channels, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU(),
                       nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = nn.ModuleDict({name: nn.Linear(128 * 16, len(answers)) for name, answers in QUESTIONS.items()})

    def forward(self, images):
        features = self.body(images)
        return {name: head(features) for name, head in self.heads.items()}


def scenes_and_images(count, random):
    scenes = [Scene.draw_lot(random) for _ in range(count)]
    return scenes, as_images(np.stack([draw(scene, random) for scene in scenes]))


def right_answers(scenes):
    return {name: torch.tensor([answers.index(getattr(scene, name)) for scene in scenes], device=DEVICE)
            for name, answers in QUESTIONS.items()}


def trained_classifier(path, steps):
    torch.manual_seed(SEED)
    model = Classifier().to(DEVICE)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        random, generator = batch_of(step, SEED)
        scenes, images = scenes_and_images(48, random)
        images = images + 0.1 * torch.randn(images.shape, generator=generator).to(DEVICE)
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, 2e-3, warm_up=50)
        answers = model(images)
        loss = sum(F.cross_entropy(answers[name], right) for name, right in right_answers(scenes).items())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 99:
            print(f"classifier: step {step + 1}/{steps}, loss {loss.item():.3f}", flush=True)
    torch.save(model.state_dict(), path)
    return model.eval()


@torch.no_grad()
def accuracy(model, scenes, images):
    """The share of right answers to each question, and to the first three at once."""
    answers = model(images)
    right = {name: answers[name].argmax(1) == correct for name, correct in right_answers(scenes).items()}
    right["all but accessory"] = right["character"] & right["colour"] & right["background"]
    return ", ".join(f"{name} {share.float().mean():.1%}" for name, share in right.items())


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("work", type=pathlib.Path)
    arguments.add_argument("--count", type=int, default=64)
    arguments.add_argument("--sheet", type=pathlib.Path)
    arguments.add_argument("--guidance", type=float, default=5.0)
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--classifier-steps", type=int, default=450)
    options = arguments.parse_args()

    model = trained_classifier(options.work / "classifier.pt", options.classifier_steps)
    random = np.random.default_rng(SEED + 1)
    print("drawings:", accuracy(model, *scenes_and_images(256, random)))
    known = set(torch.load(options.work / "latents.pt", weights_only=True)["captions"])
    scenes = []
    while len(scenes) < options.count:
        scene = Scene.draw_lot(random)
        if scene.caption() not in known:
            scenes.append(scene)
    pipeline = StableDiffusionPipeline.from_pretrained(
        options.work / "toybox", torch_dtype=torch.float32, safety_checker=None).to(DEVICE)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    pictures = pipeline(
        [scene.caption() for scene in scenes], height=128, width=128, num_inference_steps=options.steps,
        guidance_scale=options.guidance, generator=torch.Generator().manual_seed(SEED), output_type="np").images
    pictures = np.round(pictures * 255).astype(np.uint8)
    print("samples:", accuracy(model, scenes, as_images(pictures)))
    if options.sheet:
        for number, scene in enumerate(scenes):
            print(f"{number // 8 + 1}.{number % 8 + 1} {scene.caption()}")
        rows = [np.hstack(pictures[start:start + 8]) for start in range(0, len(pictures) // 8 * 8, 8)]
        save_picture(np.vstack(rows), options.sheet)


if __name__ == "__main__":
    main()
