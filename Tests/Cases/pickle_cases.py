"""Torch pickles."""

import numpy as np
import torch

from cases import case

LEVEL = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_"
TARGET, OTHER = LEVEL + "q", LEVEL + "k"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"


def factors(name=TARGET, inputs=64, outputs=64):
    return {f"{name}.lora_down.weight": torch.randn(4, inputs), f"{name}.lora_up.weight": torch.randn(outputs, 4)}


def saved(value, name):
    """The value in both forms of torch's files, and as a `state_dict` in each."""
    for form, is_zip in (("zip", True), ("old", False)):
        for kind, whole in (("plain", value), ("inner", {"state_dict": value, "epoch": 3})):
            path = f"{name}-{form}-{kind}.pt"
            torch.save(whole, path, _use_new_zipfile_serialization=is_zip)
            yield path


@case("an alpha that is a plain number counts as one")
def number_as_alpha(place):
    alphas = {
        "tensor": torch.tensor(1.0), "float": 1.0, "int": 1, "bool": True, "float32": np.float32(1), "float64": np.float64(1),
        "int64": np.int64(1),
    }  # fmt: skip
    for name, alpha in alphas.items():
        for path in saved(factors() | {f"{TARGET}.alpha": alpha}, name):
            place.run("inspect", path, "--targets").expect(0, "0.25")


@case("a value of a pickle that could be weights and is no dense tensor is refused by name")
def unread_values(place):
    first = factors() | {f"{TARGET}.alpha": torch.tensor(4.0)}
    second = factors(OTHER)
    values = {
        "sparse": ({k: v.to_sparse() for k, v in second.items()}, f"{OTHER}.lora_down.weight and 1 more", "a sparse tensor"),
        "numpy": ({k: v.numpy() for k, v in second.items()}, f"{OTHER}.lora_down.weight and 1 more", "a NumPy array"),
        "nested": ({"text_encoder": factors(TEXT, 128, 512)}, "text_encoder", "a dictionary of tensors"),
        "lists": ({k: v.tolist() for k, v in second.items()}, f"{OTHER}.lora_down.weight and 1 more", "a list"),
        "text": ({f"{TARGET}.alpha": "1"}, f"{TARGET}.alpha", "a text"),
        "none": ({f"{TARGET}.alpha": None}, f"{TARGET}.alpha", "None"),
        "quantised": (
            {k: torch.quantize_per_tensor(v, 0.1, 0, torch.qint8) for k, v in second.items()},
            f"{OTHER}.lora_down.weight and 1 more", "a quantised tensor",
        ),
        "complex": ({k: v.to(torch.complex64) for k, v in second.items()}, f"{OTHER}.lora_down.weight", "ComplexFloatStorage"),
        "number-as-key": ({0: torch.randn(4, 4)}, "an entry without a name", "a tensor"),
    }  # fmt: skip
    for name, (others, *words) in values.items():
        for path in saved(first | others, name):
            place.run("inspect", path).expect(65, *words)
            place.run("bake", place.model, path, "-o", "out", "--dry-run").expect(65, *words)


@case("what training leaves beside weights in a pickle is left out by name")
def bookkeeping(place):
    torch.save(
        {
            "state_dict": factors(), "epoch": 3, "global_step": 100, "pytorch-lightning_version": "2.0",
            "optimizer_states": [{"state": {0: {"exp_avg": torch.randn(4)}}}], "best_loss": torch.tensor(0.5),
        }, "a.ckpt")  # fmt: skip
    words = "left out: epoch, global_step, pytorch-lightning_version, optimizer_states, best_loss"
    place.run("inspect", "a.ckpt").expect(0, words)
    torch.save({"state_dict": factors(), "text_encoder": factors(TEXT, 128, 512)}, "b.ckpt")
    place.run("inspect", "b.ckpt").expect(65, "text_encoder", "a dictionary of tensors")
    torch.save(factors() | {"state_dict": factors(OTHER)}, "c.ckpt")
    place.run("inspect", "c.ckpt").expect(65, f"{TARGET}.lora_down.weight and 1 more")


@case("a base as a pickle with values that could be weights is refused by name")
def unread_base(place):
    name = "blocks.0.self_attn.q.weight"
    for path in saved({name: torch.randn(64, 64), "head.head.weight": torch.randn(8, 8).to_sparse()}, "sparse"):
        place.run("check", factors_file(), path).expect(65, "head.head.weight: expected a dense tensor, found a sparse tensor")
    for path in saved({name: torch.randn(64, 64), "blocks.0.self_attn.q.scale": 0.5}, "number"):
        place.run("check", factors_file(), path).expect(65, "blocks.0.self_attn.q.scale: expected a tensor, found the number 0.5")


def factors_file():
    torch.save(factors(), "adapter.pt")
    return "adapter.pt"
