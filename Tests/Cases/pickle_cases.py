"""Torch pickles."""

import torch

from cases import case

TARGET = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"


@case("an alpha that is a plain number counts as one")
def number_as_alpha(place):
    factors = {f"{TARGET}.lora_down.weight": torch.randn(4, 64), f"{TARGET}.lora_up.weight": torch.randn(64, 4)}
    for name, alpha in {"tensor": torch.tensor(1.0), "float": 1.0, "int": 1}.items():
        torch.save(factors | {f"{TARGET}.alpha": alpha}, f"{name}.pt")
        place.run("inspect", f"{name}.pt", "--targets").expect(0, "0.25")
