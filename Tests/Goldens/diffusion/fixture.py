"""What all fixtures share: drawing weights, catching the outputs of blocks, writing files."""

import json
import os
import pathlib
import platform

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["OMP_NUM_THREADS"] = "1"

import diffusers
import numpy as np
import safetensors
import torch
import transformers
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 1_000_000
NORMS = (torch.nn.GroupNorm, torch.nn.LayerNorm)

torch.set_num_threads(1)
torch.set_grad_enabled(False)


def redraw(model, seed):
    """New weights that hide nothing: softmax is not flat, norms and biases matter. All are exact in half precision.

    Matrices and kernels N(0, 1) / sqrt(fan in), biases N(0, 0.1), norms' weights U(0.5, 1.5), embeddings N(0, 1).
    """
    generator = torch.Generator().manual_seed(seed)
    kinds = {}
    for name, module in model.named_modules():
        for own, _ in module.named_parameters(recurse=False):
            kinds[f"{name}.{own}" if name else own] = module
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            drawn = 0.1 * torch.randn(weight.shape, generator=generator)
        elif isinstance(kinds[name], NORMS):
            drawn = 0.5 + torch.rand(weight.shape, generator=generator)
        elif isinstance(kinds[name], torch.nn.Embedding):
            drawn = torch.randn(weight.shape, generator=generator)
        else:
            drawn = torch.randn(weight.shape, generator=generator) / weight[0].numel() ** 0.5
        weight.data = drawn.half().float()
    return model.eval()


def make_faint(model, writers, factor):
    """Scales what writes into the stream that norms read, so that the norms' eps is as large as the variances."""
    for name, weight in model.named_parameters():
        if writers.search(name):
            weight.data = (factor * weight.data).half().float()
    return model


def first_tensor(output):
    while not torch.is_tensor(output):
        output = output[0]
    return output


class Catch:
    """While it is entered, keeps the outputs of the modules whose names `wanted` accepts."""

    def __init__(self, model, wanted):
        self.model, self.wanted, self.caught = model, wanted, {}

    def __enter__(self):
        def hook(name):
            def keep(module, inputs, output):
                self.caught[name] = first_tensor(output).detach().clone()

            return keep

        self.hooks = [m.register_forward_hook(hook(n)) for n, m in self.model.named_modules() if self.wanted(n)]
        return self.caught

    def __exit__(self, *_):
        for hook in self.hooks:
            hook.remove()


def write_tensors(path, tensors, metadata=None):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {n: t.detach().contiguous().clone() for n, t in tensors.items()}
    for name, tensor in tensors.items():
        if tensor.is_floating_point():
            assert torch.isfinite(tensor).all(), name
    save_file(tensors, path, metadata=metadata)
    path.chmod(0o644)
    size = path.stat().st_size
    assert size < LIMIT, f"{path}: {size} bytes"
    print(f"  {path.relative_to(HERE)}: {len(tensors)} tensors, {size // 1000} kB")


def write_json(path, value):
    path = HERE / path
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, list):
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in value)
        text = f"[\n{lines}\n]\n"
    else:
        text = json.dumps(value, indent=1, ensure_ascii=False) + "\n"
    path.write_text(text)


def write_diffusers_model(folder, model):
    """config.json and half precision weights, as diffusers names them."""
    (HERE / folder).mkdir(parents=True, exist_ok=True)
    model.save_config(HERE / folder)
    weights = {n: t.half() for n, t in model.state_dict().items()}
    write_tensors(f"{folder}/diffusion_pytorch_model.safetensors", weights, {"format": "pt"})


def describe(name, tensor):
    tensor = tensor.double()
    numbers = f"mean {tensor.mean():.3f} std {tensor.std():.3f} max {tensor.abs().max():.2f}"
    print(f"  {name}: {list(tensor.shape)} {numbers}")


def versions():
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "safetensors": safetensors.__version__,
        "numpy": np.__version__,
    }
