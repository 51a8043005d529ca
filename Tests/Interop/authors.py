"""Names of Stable Diffusion's authors for the modules of diffusers' UNets."""


def authors_name(path):
    """The name of a UNet's module in the authors' single files, by the numbers of blocks with two layers down, three up."""
    fixed = {
        "conv_in": "input_blocks.0.0", "conv_out": "out.2",
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    }  # fmt: skip
    if path in fixed:
        return fixed[path]
    kind, *rest = path.split(".")
    if kind == "mid_block":
        part, layer, *module = rest
        block = "middle_block.1" if part == "attentions" else f"middle_block.{int(layer) * 2}"
    else:
        level, part, layer, *module = rest
        if part == "downsamplers":
            return f"input_blocks.{int(level) * 3 + 3}.0.op"
        if part == "upsamplers":
            return f"output_blocks.{int(level) * 3 + 2}.2.conv"
        number = int(level) * 3 + int(layer)
        place = 1 if part == "attentions" else 0
        block = f"input_blocks.{number + 1}.{place}" if kind == "down_blocks" else f"output_blocks.{number}.{place}"
    parts = {
        "conv1": "in_layers.2", "conv2": "out_layers.3", "time_emb_proj": "emb_layers.1", "conv_shortcut": "skip_connection",
    }  # fmt: skip
    return f"{block}.{'.'.join(parts.get(word, word) for word in module)}"
