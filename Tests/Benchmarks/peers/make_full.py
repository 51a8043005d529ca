"""Writes pipelines of the real sizes of SD1.5 and SDXL with random weights, as diffusers' folders in half precision.

    python make_full.py FOLDER [sd15] [sdxl]     makes FOLDER/sd15 (2.1 GB), FOLDER/sdxl (6.9 GB); both unless named

Weights as in Tests/Goldens/diffusion: matrices and kernels N(0, 1) / sqrt(fan in), biases N(0, 0.1), norms' weights
U(0.5, 1.5), embeddings N(0, 1). Each tensor's seed follows from its component and name. One tensor is in memory at a
time.
"""

import json
import pathlib
import struct
import sys
import zlib

HERE = pathlib.Path(__file__).resolve().parent
sys.path.append(str(HERE.parents[1] / "Goldens" / "diffusion"))

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

import pipelines

SD15_UNET = dict(
    sample_size=64, block_out_channels=(320, 640, 1280, 1280), layers_per_block=2, attention_head_dim=8,
    cross_attention_dim=768, down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
)
SDXL_UNET = dict(
    sample_size=128, block_out_channels=(320, 640, 1280), layers_per_block=2, attention_head_dim=[5, 10, 20],
    cross_attention_dim=2048, transformer_layers_per_block=[1, 2, 10], use_linear_projection=True,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    addition_embed_type="text_time", addition_time_embed_dim=256, projection_class_embeddings_input_dim=2816,
)
VAE = dict(
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, latent_channels=4, sample_size=512,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
)
CLIP_L = dict(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu",
    projection_dim=768,
)
CLIP_G = dict(
    hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, hidden_act="gelu",
    projection_dim=1280,
)


def draw(seed, shape, kind):
    generator = torch.Generator().manual_seed(seed)
    if kind == "bias":
        return 0.1 * torch.randn(shape, generator=generator)
    if kind == "norm":
        return 0.5 + torch.rand(shape, generator=generator)
    deviation = 1.0 if kind == "embedding" else shape[1:].numel() ** -0.5
    return deviation * torch.randn(shape, generator=generator)


def kind_of(module, name):
    if name.endswith("bias"):
        return "bias"
    if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
        return "norm"
    return "embedding" if isinstance(module, torch.nn.Embedding) else "matrix"


def write_weights(path, component, model, rename=lambda name: name):
    """A safetensors file in half precision, tensor by tensor; `model` has no memory of its own."""
    listed = {}
    for module_name, module in model.named_modules():
        for own, weight in module.named_parameters(recurse=False):
            name = f"{module_name}.{own}" if module_name else own
            listed[rename(name)] = (weight.shape, kind_of(module, own))
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, _) in sorted(listed.items()):
        end = offset + 2 * shape.numel()
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name, (shape, kind) in sorted(listed.items()):
            values = draw(zlib.crc32(f"{component}/{name}".encode()), shape, kind)
            file.write(values.half().numpy().tobytes())
    print(f"{path}: {len(listed)} tensors, {offset / 1e9:.2f} GB", flush=True)


def write_diffusers(folder, component, model_class, config):
    with torch.device("meta"):
        model = model_class(**config)
    model.save_config(folder / component)
    write_weights(folder / component / "diffusion_pytorch_model.safetensors", component, model)


def write_text_encoder(folder, component, model_class, config):
    config = CLIPTextConfig(bos_token_id=0, eos_token_id=2, pad_token_id=1, **config)
    config.architectures = [model_class.__name__]
    with torch.device("meta"):
        model = model_class(config)
    # Files have a level that transformers' plain class has not.
    prefix = lambda name: name if name.startswith(("text_model.", "text_projection.")) else f"text_model.{name}"
    write_weights(folder / component / "model.safetensors", component, model, prefix)
    (folder / component / "config.json").write_text(config.to_json_string(use_diff=False))


def write_index(folder, index, scheduler):
    (folder / "scheduler").mkdir(parents=True, exist_ok=True)
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler, indent=1))
    (folder / "model_index.json").write_text(json.dumps(index, indent=1))


def sd15(folder):
    write_diffusers(folder, "unet", UNet2DConditionModel, SD15_UNET)
    write_diffusers(folder, "vae", AutoencoderKL, VAE | dict(scaling_factor=0.18215))
    write_text_encoder(folder, "text_encoder", CLIPTextModel, CLIP_L)
    write_index(folder, {
        "_class_name": "StableDiffusionPipeline", "safety_checker": [None, None], "feature_extractor": [None, None],
        "requires_safety_checker": False, "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"], "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }, pipelines.SD1_SCHEDULER)


def sdxl(folder):
    write_diffusers(folder, "unet", UNet2DConditionModel, SDXL_UNET)
    write_diffusers(folder, "vae", AutoencoderKL, VAE | dict(scaling_factor=0.13025, sample_size=1024))
    write_text_encoder(folder, "text_encoder", CLIPTextModel, CLIP_L)
    write_text_encoder(folder, "text_encoder_2", CLIPTextModelWithProjection, CLIP_G)
    write_index(folder, {
        "_class_name": "StableDiffusionXLPipeline", "force_zeros_for_empty_prompt": True,
        "scheduler": ["diffusers", "EulerDiscreteScheduler"], "text_encoder": ["transformers", "CLIPTextModel"],
        "text_encoder_2": ["transformers", "CLIPTextModelWithProjection"],
        "tokenizer": ["transformers", "CLIPTokenizer"], "tokenizer_2": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }, pipelines.SDXL_SCHEDULER)


def main(folder, *chosen):
    for name in chosen or ("sd15", "sdxl"):
        {"sd15": sd15, "sdxl": sdxl}[name](pathlib.Path(folder) / name)


if __name__ == "__main__":
    main(*sys.argv[1:])
