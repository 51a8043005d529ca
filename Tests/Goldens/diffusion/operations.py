"""Single operations and blocks of real widths, with seeded inputs and weights (seeded.py), in double precision.

`operations/` and `blocks/` each have `seeded.json` (every tensor that is drawn), `cases.json` and
`outputs.safetensors`. Each case: `name`, `kind`, `settings`, `inputs` (role: the drawn tensor's name), `shape` of the
output, and `stride`: of the output's elements in row-major order, every `stride`-th from the first is stored, as one
row of numbers. The numbers are those of double precision, rounded once. `float32` is the largest difference of
torch's own result in single precision, `rms` the root of the outputs' mean square.
"""

import copy
import math

import torch
import torch.nn.functional as functional
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention
from diffusers.models.embeddings import get_timestep_embedding
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.upsampling import Upsample2D

from fixture import write_json, write_tensors
from seeded import Seeded


class Cases:
    def __init__(self, folder, first_seed, stored):
        self.folder, self.seeded, self.stored = folder, Seeded(first_seed), stored
        self.cases, self.outputs = [], {}

    def finish(self, name, kind, settings, inputs, exact, single):
        assert torch.isfinite(exact).all(), name
        stride = max(1, -(-exact.numel() // self.stored))
        while any(math.gcd(size, stride) > 1 for size in exact.shape):
            stride += 1
        rms, difference = exact.square().mean().sqrt().item(), (single - exact).abs().max().item()
        self.outputs[name] = exact.float().reshape(-1)[::stride]
        self.cases.append({
            "name": name, "kind": kind, "settings": settings, "inputs": inputs, "shape": list(exact.shape),
            "stride": stride, "float32": float(f"{difference:.2g}"), "rms": float(f"{rms:.3g}"),
        })
        print(f"  {name}: {list(exact.shape)} / {stride}, rms {rms:.3f}, float32 {difference:.1e}")

    def add(self, name, kind, function, settings, **inputs):
        """`inputs`: role = (shape, deviation, offset)."""
        drawn = {r: self.seeded.draw(f"{name}/{r}", *spec) for r, spec in inputs.items()}
        exact = function(**{r: t.double() for r, t in drawn.items()}, **settings)
        single = function(**drawn, **settings)
        self.finish(name, kind, settings, {r: f"{name}/{r}" for r in inputs}, exact, single)

    def block(self, name, kind, module, settings, run, **inputs):
        """A module of diffusers; its weights are `<name>/<the module's own names>`."""
        self.seeded.weights(module, f"{name}/")
        drawn = {r: self.seeded.draw(f"{name}/{r}", *spec) for r, spec in inputs.items()}
        exact = run(copy.deepcopy(module).double(), **{r: t.double() for r, t in drawn.items()})
        single = run(module, **drawn)
        self.finish(name, kind, settings, {r: f"{name}/{r}" for r in inputs}, exact, single)

    def write(self):
        write_json(f"{self.folder}/cases.json", self.cases)
        write_json(f"{self.folder}/seeded.json", self.seeded.entries)
        write_tensors(f"{self.folder}/outputs.safetensors", self.outputs)


def group_norm(x, weight, bias, groups, eps, silu):
    y = functional.group_norm(x, groups, weight, bias, eps)
    return functional.silu(y) if silu else y


def layer_norm(x, weight, bias, eps):
    return functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def convolution(x, weight, bias, stride, padding):
    """`padding`: left, right, top, bottom, with zeros."""
    return functional.conv2d(functional.pad(x, padding), weight, bias, stride)


def upsampled_convolution(x, weight, bias, size):
    """Nearest to `size` (height, width), then 3x3."""
    return functional.conv2d(functional.interpolate(x, size=size, mode="nearest"), weight, bias, padding=1)


def linear(x, weight, bias=None):
    return functional.linear(x, weight, bias)


def geglu(x, weight, bias):
    module = GEGLU(x.shape[-1], weight.shape[0] // 2).to(x.dtype)
    module.proj.weight.data, module.proj.bias.data = weight, bias
    return module(x)


def attention(q, k, v, heads, causal):
    """q [B,Lq,heads*d], k and v [B,Lk,heads*d] -> [B,Lq,heads*d]; written out, not a fused kernel."""
    split = lambda x: x.unflatten(-1, (heads, -1)).transpose(1, 2)
    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if causal:
        scores += torch.full(scores.shape[-2:], float("-inf"), dtype=q.dtype).triu(1)
    return (torch.softmax(scores, -1) @ v).transpose(1, 2).flatten(2)


def activation(x, function):
    return {
        "silu": functional.silu, "gelu": functional.gelu, "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    }[function](x)


def operations():
    print("operations")
    cases = Cases("operations", 80_000, 4000)
    add = cases.add
    for name, shape, groups, eps, deviation, offset, silu in [
        # Variances near eps: 1e-5 and 1e-6 give different results.
        ("group-norm-small-1e-6", (2, 32, 5, 7), 32, 1e-6, 2e-3, 0.01, False),
        ("group-norm-small-1e-5", (2, 32, 5, 7), 32, 1e-5, 2e-3, 0.01, False),
        ("group-norm-silu", (1, 64, 9, 11), 8, 1e-5, 1.0, 0.3, True),
        ("group-norm-far-mean", (1, 320, 6, 5), 32, 1e-5, 0.5, 10.0, False),
        ("group-norm-one-group", (1, 6, 3, 3), 1, 1e-6, 1.0, 0.0, False),
    ]:
        add(name, "group-norm", group_norm, dict(groups=groups, eps=eps, silu=silu), x=(shape, deviation, offset),
            weight=(shape[1:2], 0.3, 1.0), bias=(shape[1:2], 0.1))
    for name, shape, deviation in [("layer-norm", (2, 77, 96), 1.0), ("layer-norm-small", (33, 40), 3e-3)]:
        add(name, "layer-norm", layer_norm, dict(eps=1e-5), x=(shape, deviation, 0.1), weight=(shape[-1:], 0.3, 1.0),
            bias=(shape[-1:], 0.1))
    same, right = [1, 1, 1, 1], [0, 1, 0, 1]
    for name, shape, output, kernel, stride, padding in [
        ("conv-3x3", (1, 64, 9, 13), 96, 3, 1, same),
        ("conv-3x3-batch", (3, 32, 16, 16), 32, 3, 1, same),
        ("conv-3x3-stride-2", (2, 32, 9, 14), 48, 3, 2, same),
        ("conv-3x3-stride-2-right-bottom", (2, 32, 9, 14), 48, 3, 2, right),
        ("conv-3x3-odd-channels", (1, 5, 6, 7), 7, 3, 1, same),
        ("conv-3x3-one-pixel", (1, 16, 1, 1), 16, 3, 1, same),
        ("conv-3x3-one-row", (1, 24, 1, 37), 16, 3, 1, same),
        ("conv-1x1", (1, 48, 7, 9), 80, 1, 1, [0, 0, 0, 0]),
        ("conv-in", (2, 4, 9, 10), 320, 3, 1, same),
        ("conv-out", (2, 320, 9, 10), 4, 3, 1, same),
        ("conv-3x3-wide", (1, 320, 24, 17), 320, 3, 1, same),
        ("conv-image", (1, 128, 33, 31), 3, 3, 1, same),
    ]:
        fan = shape[1] * kernel * kernel
        add(name, "convolution", convolution, dict(stride=stride, padding=padding), x=(shape,),
            weight=((output, shape[1], kernel, kernel), fan**-0.5), bias=((output,), 0.1))
    for name, shape, size in [
        ("upsample-conv", (1, 16, 5, 6), [10, 12]), ("upsample-conv-odd", (1, 16, 5, 6), [9, 11]),
        ("upsample-conv-batch", (2, 40, 9, 12), [17, 23]),
    ]:
        add(name, "upsampled-convolution", upsampled_convolution, dict(size=size), x=(shape,),
            weight=((shape[1], shape[1], 3, 3), (9 * shape[1]) ** -0.5), bias=((shape[1],), 0.1))
    for name, shape, output, bias in [
        ("linear", (2, 77, 96), 160, True), ("linear-no-bias", (1, 130, 320), 320, False),
        ("linear-long", (1, 5, 5120), 72, True), ("linear-one-row", (1, 1, 320), 1280, True),
    ]:
        extra = {"bias": ((output,), 0.1)} if bias else {}
        add(name, "linear", linear, {}, x=(shape,), weight=((output, shape[-1]), shape[-1] ** -0.5), **extra)
    for name, shape, inner in [("geglu", (2, 77, 64), 256), ("geglu-odd", (1, 13, 24), 50)]:
        add(name, "geglu", geglu, {}, x=(shape, 1.5), weight=((2 * inner, shape[-1]), 1.5 * shape[-1] ** -0.5),
            bias=((2 * inner,), 0.1))
    for function in ("silu", "gelu", "quick_gelu"):
        add(function, "activation", activation, dict(function=function), x=((4000,), 5.0))
    for name, batch, heads, width, queries, keys, causal, deviation in [
        ("attention-40", 2, 3, 40, 130, 77, False, 1.5),
        ("attention-64", 2, 3, 64, 77, 77, False, 1.5),
        ("attention-64-causal", 2, 3, 64, 77, 77, True, 1.5),
        ("attention-80", 1, 2, 80, 130, 77, False, 1.5),
        ("attention-160", 1, 2, 160, 77, 130, False, 1.5),
        ("attention-512", 1, 1, 512, 130, 130, False, 1.5),
        ("attention-long", 1, 2, 40, 600, 600, False, 2.0),
        ("attention-sharp", 1, 2, 64, 130, 130, False, 8.0),
        ("attention-small", 2, 2, 5, 7, 3, False, 1.0),
        ("attention-one-key", 1, 2, 40, 9, 1, False, 1.0),
    ]:
        full = heads * width
        add(name, "attention", attention, dict(heads=heads, causal=causal), q=((batch, queries, full), deviation),
            k=((batch, keys, full), deviation), v=((batch, keys, full),))
    for width in (32, 320):
        times = torch.tensor([0, 1, 3.7631, 77.25, 499.5, 981, 999])
        single = get_timestep_embedding(times, width, flip_sin_to_cos=True, downscale_freq_shift=0)
        frequency = 1e4 ** (-torch.arange(width // 2, dtype=torch.float64) / (width // 2))
        angle = times.double()[:, None] * frequency
        exact = torch.cat([angle.cos(), angle.sin()], -1)
        settings = dict(times=[float(t) for t in times], width=width)
        cases.finish(f"time-{width}", "time", settings, {}, exact, single)
    cases.write()


def blocks():
    print("blocks")
    cases = Cases("blocks", 90_000, 8000)
    resnet = lambda m, x, time=None: m(x, time)
    for name, kind, inputs, outputs, time, eps, size in [
        ("resnet-320", "resnet", 320, 320, 1280, 1e-5, (1, 24, 20)),
        ("resnet-960-320", "resnet", 960, 320, 1280, 1e-5, (2, 9, 8)),
        ("vae-resnet-128", "resnet", 128, 128, None, 1e-6, (1, 40, 33)),
        ("vae-resnet-512-256", "resnet", 512, 256, None, 1e-6, (1, 12, 11)),
    ]:
        module = ResnetBlock2D(in_channels=inputs, out_channels=outputs, temb_channels=time, groups=32, eps=eps)
        shapes = {"x": ((size[0], inputs, *size[1:]),)} | ({"time": ((size[0], time),)} if time else {})
        settings = dict(inputs=inputs, outputs=outputs, time=time, groups=32, eps=eps)
        cases.block(name, kind, module, settings, resnet, **shapes)
    transformer = lambda m, x, context: m(x, encoder_hidden_states=context, return_dict=False)[0]
    for name, heads, width, layers, context, is_linear, size in [
        ("transformer-320", 8, 40, 1, 768, False, (1, 18, 16)),
        ("transformer-640", 10, 64, 2, 2048, True, (2, 7, 9)),
    ]:
        full = heads * width
        module = Transformer2DModel(
            heads, width, in_channels=full, num_layers=layers, cross_attention_dim=context, norm_num_groups=32,
            use_linear_projection=is_linear,
        )
        settings = dict(heads=heads, layers=layers, context=context, linear=is_linear, groups=32)
        cases.block(name, "transformer", module, settings, transformer, x=((size[0], full, *size[1:]),),
                    context=((size[0], 77, context),))
    module = Attention(
        512, heads=1, dim_head=512, bias=True, norm_num_groups=32, eps=1e-6, residual_connection=True,
        upcast_softmax=True, _from_deprecated_attn_block=True,
    )
    cases.block("vae-attention-512", "vae-attention", module, dict(groups=32, eps=1e-6), lambda m, x: m(x),
                x=((1, 512, 9, 11),))
    module = Upsample2D(256, use_conv=True, out_channels=256)
    cases.block("vae-upsample-256", "upsample", module, {}, lambda m, x: m(x), x=((1, 256, 20, 17),))
    cases.write()


def main():
    operations()
    blocks()


if __name__ == "__main__":
    main()
