"""diffusers' answers for full-sized networks, in single precision, and how far others' answers are from them.

    python forward.py make FOLDER                      FOLDER: a pipeline's folder, as make_full.py writes it
    python forward.py compare FOLDER unet OUTPUT       OUTPUT: a .safetensors file with the tensor `full/output`
    python forward.py compare FOLDER vae OUTPUT        the same with `full/image`

`make` writes FOLDER/forward/unet-inputs.safetensors (`full/sample`, `full/timestep`, `full/context`, for SDXL
`full/pooled` and `full/time_ids`: as in Tests/Goldens/diffusion), unet-outputs.safetensors (`full/output` and the
outputs of the down, mid and up blocks), vae-inputs.safetensors (`full/latent`, 32 x 32) and vae-outputs.safetensors
(`full/image`). UNet: batch 1, latent 64 x 64 for SD1.5, 32 x 32 for SDXL (whose network takes 10 GB). `compare`
prints one JSON line for each tensor both have.
"""

import json
import pathlib
import re
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

BLOCKS = re.compile(r"conv_in|(down|up)_blocks\.\d+|mid_block|conv_norm_out")


def load(model_class, folder):
    """Single precision, without ever holding two copies of the network."""
    with torch.device("meta"):
        model = model_class.from_config(json.loads((folder / "config.json").read_text()))
    weights = load_file(folder / "diffusion_pytorch_model.safetensors")
    for name in list(weights):
        model.get_submodule(name.rpartition(".")[0]).register_parameter(
            name.rpartition(".")[2], torch.nn.Parameter(weights.pop(name).float(), requires_grad=False)
        )
    return model.eval()


def draw_inputs(config):
    generator = torch.Generator().manual_seed(20)
    is_xl = config["addition_embed_type"] == "text_time"
    size = 32 if is_xl else 64
    inputs = {
        "sample": torch.randn(1, config["in_channels"], size, size, generator=generator),
        "timestep": torch.tensor([601.0]),
        "context": torch.randn(1, 77, config["cross_attention_dim"], generator=generator),
    }
    if is_xl:
        width = config["projection_class_embeddings_input_dim"] - 6 * config["addition_time_embed_dim"]
        inputs["pooled"] = torch.randn(1, width, generator=generator)
        inputs["time_ids"] = torch.tensor([[1024.0, 1024, 0, 0, 1024, 1024]])
    return inputs


def evaluate_unet(folder):
    model = load(UNet2DConditionModel, folder / "unet")
    inputs, caught = draw_inputs(model.config), {}
    for name, module in model.named_modules():
        if BLOCKS.fullmatch(name):
            module.register_forward_hook(lambda m, i, output, name=name: caught.update(
                {name: (output[0] if isinstance(output, tuple) else output).clone()}
            ))
    added = {"text_embeds": inputs["pooled"], "time_ids": inputs["time_ids"]} if "pooled" in inputs else None
    output = model(
        inputs["sample"], inputs["timestep"], inputs["context"], added_cond_kwargs=added, return_dict=False
    )[0]
    return inputs, caught | {"output": output}


def evaluate_vae(folder):
    model = load(AutoencoderKL, folder / "vae")
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(21))
    return {"latent": latent}, {"image": model.decode(latent, return_dict=False)[0]}


def make(folder):
    (folder / "forward").mkdir(exist_ok=True)
    for name, evaluate in [("unet", evaluate_unet), ("vae", evaluate_vae)]:
        inputs, outputs = evaluate(folder)
        for kind, tensors in [("inputs", inputs), ("outputs", outputs)]:
            tensors = {f"full/{n}": t.contiguous() for n, t in tensors.items()}
            save_file(tensors, folder / "forward" / f"{name}-{kind}.safetensors")
        for what, tensor in outputs.items():
            print(f"{name} {what}: {list(tensor.shape)} mean {tensor.mean():.3f} std {tensor.std():.3f}", flush=True)


def compare(folder, name, other):
    expected = load_file(folder / "forward" / f"{name}-outputs.safetensors")
    found = load_file(other)
    common = [n for n in expected if n in found]
    assert common, f"{other}: none of {sorted(expected)}"
    for what in common:
        reference, value = expected[what].double(), found[what].double()
        assert reference.shape == value.shape, f"{what}: expected {list(reference.shape)}, found {list(value.shape)}"
        difference = value - reference
        print(json.dumps({
            "tensor": what,
            "largest_over_deviation": float(f"{(difference.abs().max() / reference.std()).item():.4g}"),
            "relative_rms": float(f"{(difference.norm() / reference.norm()).item():.4g}"),
        }))


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    action, folder, *rest = sys.argv[1:]
    {"make": make, "compare": compare}[action](pathlib.Path(folder), *rest)
