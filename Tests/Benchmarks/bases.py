"""Random UNets in the authors' names, as files in the formats that people keep them in. Used by survival.py and quantised.py."""

import re

import gguf
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file

SD15 = {"block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768, "attention_head_dim": 8}
SDXL = {
    "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048, "attention_head_dim": [5, 10, 20],
    "transformer_layers_per_block": [1, 2, 10], "use_linear_projection": True, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
}  # fmt: skip


def single_file_name(name, is_sdxl):
    """The authors' name of a tensor of a UNet that diffusers names otherwise."""
    resnets = {"norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
               "conv2": "out_layers.3", "conv_shortcut": "skip_connection"}  # fmt: skip

    def place(part):
        for pattern, result in [
            (r"down_blocks\.(\d)\.(resnets|attentions)\.(\d)", lambda i, kind, j: f"input_blocks.{3 * i + j + 1}.{kind}"),
            (r"up_blocks\.(\d)\.(resnets|attentions)\.(\d)", lambda i, kind, j: f"output_blocks.{3 * i + j}.{kind}"),
        ]:
            if found := re.match(pattern, part):
                i, kind, j = int(found[1]), 0 if found[2] == "resnets" else 1, int(found[3])
                return result(i, kind, j) + part[found.end() :]
        if found := re.match(r"down_blocks\.(\d)\.downsamplers\.0\.conv", part):
            return f"input_blocks.{3 * int(found[1]) + 3}.0.op" + part[found.end() :]
        if found := re.match(r"up_blocks\.(\d)\.upsamplers\.0\.conv", part):
            return f"output_blocks.{3 * int(found[1]) + 2}.{1 if found[1] == '0' and not is_sdxl else 2}.conv" + part[found.end() :]
        if found := re.match(r"mid_block\.(resnets|attentions)\.(\d)", part):
            return f"middle_block.{1 if found[1] == 'attentions' else 2 * int(found[2])}" + part[found.end() :]
        for old, new in [("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
                         ("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"),
                         ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2")]:  # fmt: skip
            part = part.replace(old, new)
        return part

    result = place(name)
    if "resnets" in name:
        for old, new in resnets.items():
            result = result.replace("." + old + ".", f".{new}.")
    return "model.diffusion_model." + result


def unet(configuration):
    """Random weights in half precision. Each matrix's σ is 1 ÷ √inputs; numbers repeat from tensor to tensor, which nobody can profit from."""
    with torch.device("meta"):
        network = UNet2DConditionModel(**configuration)
    numbers, result = torch.randn(1 << 24, generator=torch.Generator().manual_seed(15)), {}
    for name, value in network.state_dict().items():
        spread = value[0].numel() ** -0.5 if value.ndim > 1 else 0.1
        own = numbers.repeat(-(-value.numel() // len(numbers)))[: value.numel()]
        result[single_file_name(name, configuration is SDXL)] = (spread * own).reshape(value.shape).half()
    return result


def write_gguf(path, tensors, kind="sd1"):
    """The same in half precision; what has rows that no block fits is stored in rows of 256, its shape beside it."""
    writer = gguf.GGUFWriter(path, kind)
    for name, value in tensors.items():
        if value.ndim > 1 and value.numel() % 256 == 0:
            if value.ndim > 2 or value.shape[-1] % 256:
                writer.add_array(f"comfy.gguf.orig_shape.{name}", list(value.shape))
                value = value.reshape(-1, 256)
            writer.add_tensor(name, value.numpy())
        else:
            writer.add_tensor(name, value.float().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_fp8(path, tensors):
    """Scaled fp8 as ComfyUI writes it."""
    stored = {}
    for name, value in tensors.items():
        stored[name] = value
        if value.ndim == 2:
            module, scale = name.removesuffix(".weight"), value.float().abs().max() / 448
            stored[name] = (value.float() * (1 / scale)).clamp(-448, 448).to(torch.float8_e4m3fn)
            stored[f"{module}.weight_scale"] = scale
            stored[f"{module}.comfy_quant"] = torch.tensor(list(b'{"format": "float8_e4m3fn"}'), dtype=torch.uint8)
    save_file(stored, path)
