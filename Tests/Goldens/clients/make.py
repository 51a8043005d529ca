"""Does what `lathe` writes load in the libraries that people use, and is the update the same there?

What it makes
    expected.json beside this script: for every adapter written by one run of the tool, the updates that a client
    library reads out of it: their Frobenius norms and eight numbers of each. The tool's files themselves are not kept.

Clients
    diffusers         StableDiffusionPipeline.load_lora_weights on a UNet of SD1.5's widths, then get_delta_weight of
                      every PEFT layer. The oldest names (`...processor.to_q_lora.down.weight`) have no component in
                      front, and load_lora_weights leaves such a file aside with a warning (the script checks that;
                      the adapter that was put in has the same names). There the file is read as it is by
                      unet.load_lora_adapter(prefix=None), and once more by load_lora_weights with `unet.` put in
                      front of every key; both must give the same.
    peft              PeftModel.from_pretrained on GPT-2, then get_delta_weight.
    kohya arithmetic  What sd-scripts' loader and merge do, written out below: a module's name is found among the
                      base model's names flattened with `_`, the factors must have the shapes of the layers that the
                      loader would create, and the update is up @ down * alpha / rank, by conv2d where the kernel is
                      more than 1 x 1.
    lycoris           LoConModule.make_module_from_state_dict, get_diff_weight. Targets without an alpha are left out:
                      LyCORIS does not read such files.
    Not asked: diffusers about a kohya file whose alphas differ. It gives nearly every attention layer the commonest
    alpha (to 0.42.1), whoever wrote the file. And before 0.40 it misreads files without alphas whose ranks differ.
    The models have no trained weights (zeros, or nothing where no adapter reaches): an update does not depend on them.

What is checked here (the script stops at the first failure)
    - The tool ends with 0.
    - No client warns; every tensor of the file is in the loaded model, number for number, and every adapter weight of
      the loaded model is in the file.
    - The client's update is that of the plain formula on the file's numbers, in float64, to 1e-5 of its largest
      element and of its norm.
    - Against the updates that went in (plain formula; for dialects/ the dense updates of its expected.json): an exact
      merge gives the weighted sum to 1e-6, half precision gives the update to 1e-3, a cut to a rank is as near as the
      best of that rank, to 1e-5 of the whole, and what any cut leaves is orthogonal to what it takes away, to 1e-5.

What the fields mean
    arguments      the command line; adapters are file names of ADAPTERS_DIR or `dialects/...` (the folder beside this
                   one), and OUT stands for the output, a path ending in .safetensors or, for a PEFT folder, a folder.
    targets        module as the output spells it -> the client's update: `shape` as the client gives it (that of the
                   base weight, so (in, out) for GPT-2's Conv1D), `fro`, and `sample`: its row-major elements
                   (k * 7919 + 13) mod count, k = 0 ... 7. Client's numbers are float32, made float64; fro is summed in
                   float64.
    Of the SD1.5 outputs every fourth target is here, in sorted order, from the first on.

Library versions that printed the committed numbers (also in the JSON, under "versions")
    Python 3.11, torch 2.13.0 (CPU build), numpy 2.4.6, safetensors 0.8.0, diffusers 0.42.1, transformers 5.23.0,
    peft 0.21.2, lycoris-lora 4.1.3.

How to run
    OMP_NUM_THREADS=1 python make.py LATHE ADAPTERS_DIR

    About a minute on one core. The models' weights are not random but empty, and no number recorded depends on a seed.
    The last digits may depend on the processor.
"""

import argparse
import importlib.metadata
import json
import logging
import math
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent
DIALECTS = HERE.parent / "dialects"

POKEMON = "sd15_diffusers_pokemon.safetensors"
STYLE = "sd15_diffusers_processor_style.safetensors"
PREFIX = "sd15_diffusers_unet_prefix.safetensors"
GPT2 = "gpt2_peft_rank8"
LINEAR_CONV = "dialects/kohya_linear_conv.safetensors"
TUCKER = "dialects/kohya_tucker.safetensors"

AGREE = 1e-5
SAMPLES = 8


class Output:
    """One run of the tool, and who is to read what it writes."""

    def __init__(self, name, clients, arguments, exact=None, rank=None, folder=False, every=1):
        self.name, self.clients, self.arguments = name, clients, arguments
        self.exact = exact  # how near the output has to be to what went in
        self.rank = rank  # or: the rank it was cut to
        self.folder, self.every = folder, every

    def inputs(self):
        """(file, strength) of the adapters on the command line."""
        found = []
        for argument in self.arguments:
            file, _, strength = argument.partition("@")
            if file.endswith(".safetensors") or file == GPT2:
                found.append((file, float(strength or 1)))
        return found


def plan(adapters):
    outputs = []
    for label, file in [("pokemon", POKEMON), ("processor style", STYLE), ("unet prefix", PREFIX)]:
        half = (adapters / file).stat().st_size // 2
        for rule, settings, limits in [
            ("rank 2", ["--rank", "2"], {"rank": 2}),
            ("half size", ["--size", str(half)], {}),
            ("rank 4 f16", ["--rank", "4", "--dtype", "f16"], {"exact": 1e-3}),
        ]:
            outputs.append(
                Output(f"{label} {rule}", ["diffusers"], ["resize", file, *settings, "-o", "OUT"], every=4, **limits)
            )
    three = [f"{POKEMON}@0.7", f"{PREFIX}@0.5", f"{STYLE}@-0.3"]
    both = ["diffusers", "kohya arithmetic"]
    small = ["kohya arithmetic", "lycoris"]
    return outputs + [
        Output("merge of three", ["diffusers"], ["merge", *three, "-o", "OUT"], exact=1e-6, every=4),
        Output(
            "merge of three, kohya rank 6",
            both,
            ["merge", *three, "--format", "kohya", "--rank", "6", "-o", "OUT"],
            rank=6,
            every=4,
        ),
        # Ranks that differ: diffusers misreads alphas that do, so the tool writes one for the whole file.
        Output(
            "merge of three, kohya 3 MB",
            both,
            ["merge", *three, "--format", "kohya", "--size", "3000000", "-o", "OUT"],
            every=4,
        ),
        Output("gpt2 rank 4", ["peft"], ["resize", GPT2, "--rank", "4", "-o", "OUT"], rank=4, folder=True),
        Output("linear and conv rank 1", small, ["resize", LINEAR_CONV, "--rank", "1", "-o", "OUT"], rank=1),
        Output("tucker rank 1", small, ["resize", TUCKER, "--rank", "1", "-o", "OUT"], rank=1),
        Output(
            "merge of linear, conv and tucker",
            small,
            ["merge", f"{LINEAR_CONV}@0.8", f"{TUCKER}@-0.5", "-o", "OUT"],
            exact=1e-6,
        ),
    ]


def fail(text):
    raise SystemExit(text)


# ---------------------------------------------------------------------------------------------------------------------
# Adapters by the plain formula, in float64

# Endings of the tensor keys of the down (first) and up (second) factor, longest first.
ENDINGS = [
    (".lora_down.weight", ".lora_up.weight"),
    (".lora.down.weight", ".lora.up.weight"),
    ("_lora.down.weight", "_lora.up.weight"),
    (".lora_A.weight", ".lora_B.weight"),
]

# kohya writes `lora_te_` for SD1's and SD2's only text encoder. A merge of the tiny files here, whose widths are those
# of no known model, comes out with `lora_te1_`.
TEXT_PREFIXES = ("lora_te_", "lora_te1_")


def read_tensors(path):
    with safe_open(path, "pt") as handle:
        return {key: handle.get_tensor(key) for key in handle.keys()}


def float64(tensor):
    return tensor.detach().to(torch.float64).numpy()


class Module:
    """One target of a file: its tensors as stored, and its update."""

    def __init__(self, name, up, down, alpha, scale, transposed):
        self.name, self.up, self.down, self.alpha, self.scale, self.transposed = name, up, down, alpha, scale, transposed

    def flat(self):
        """scale * up @ down, (out, everything else), float64."""
        u, d = float64(self.up), float64(self.down)
        return self.scale * (u.reshape(u.shape[0], -1) @ d.reshape(d.shape[0], -1))

    def dense(self):
        flat = self.flat()
        if self.transposed:
            return flat.T
        return flat.reshape(flat.shape[0], *self.down.shape[1:])


def read_adapter(path):
    """Module name as the file spells it -> Module. Every tensor must belong to one."""
    scale, transposed = None, False
    if path.is_dir():
        config = json.loads((path / "adapter_config.json").read_text())
        assert config["peft_type"] == "LORA" and not config["use_rslora"]
        assert not config["rank_pattern"] and not config["alpha_pattern"]
        scale, transposed = config["lora_alpha"] / config["r"], config["fan_in_fan_out"]
        path = path / "adapter_model.safetensors"
    tensors = read_tensors(path)
    parts = {}
    for key, tensor in tensors.items():
        if key.endswith(".alpha"):
            parts.setdefault(key.removesuffix(".alpha"), {})["alpha"] = tensor
            continue
        for ending in ENDINGS:
            found = next((i for i in (0, 1) if key.endswith(ending[i])), None)
            if found is not None:
                parts.setdefault(key.removesuffix(ending[found]), {})[("down", "up")[found]] = tensor
                break
        else:
            fail(f"{path.name}: a tensor that belongs to no target: {key}")
    modules = {}
    for name in sorted(parts):
        up, down, alpha = (parts[name].get(k) for k in ("up", "down", "alpha"))
        if up is None or down is None:
            fail(f"{path.name}: {name}: half a target")
        rank = down.shape[0]
        own = float(alpha) / rank if alpha is not None else (1.0 if scale is None else scale)
        modules[name] = Module(name, up, down, alpha, own, transposed)
    return modules


def dotted_name(module):
    """diffusers: the module in the UNet, by the names' history."""
    module = module.removeprefix("unet.")
    if ".processor." in module:
        module = module.replace(".processor.", ".")
        if module.endswith(".to_out"):
            module += ".0"
    return module


def common_name(module):
    """One spelling for the dotted and the flat names of a target."""
    for prefix in TEXT_PREFIXES:
        if module.startswith(prefix):
            return "te " + module.removeprefix(prefix)
    module = module.removeprefix("base_model.model.").removeprefix("lora_unet_")
    return dotted_name(module).replace(".", "_")


def wanted_updates(output, adapters, dialects):
    """What went in: common name -> weighted sum of updates, flattened to (out, rest)."""
    wanted = {}
    for file, strength in output.inputs():
        if file.startswith("dialects/"):
            entry = next(f for f in dialects["files"] if f["file"] == file.removeprefix("dialects/"))
            assert not entry["unsupported"]
            updates = {
                name: np.array(target["delta"]).reshape(target["shape"][0], -1)
                for name, target in entry["targets"].items()
            }
        else:
            updates = {name: module.flat() for name, module in read_adapter(adapters / file).items()}
        for name, update in updates.items():
            name = common_name(name)
            wanted[name] = wanted.get(name, 0) + strength * update
    return wanted


def check_against_input(output, modules, wanted):
    """How far the file is from what went in, relative."""
    written = {common_name(name): module.flat() for name, module in modules.items()}
    if len(written) != len(modules) or not written.keys() <= wanted.keys():
        fail(f"{output.name}: targets that were in no input: {sorted(written.keys() - wanted.keys())}")
    whole = math.fsum(np.square(w).sum() for w in wanted.values())
    gap = math.fsum(np.square(w - written.get(n, 0)).sum() for n, w in wanted.items())
    error = math.sqrt(gap / whole)
    if output.exact is not None and error > output.exact:
        fail(f"{output.name}: {error:.3e} away from what went in")
    if output.exact is None:
        lean = math.fsum(((w - written[n]) * written[n]).sum() for n, w in wanted.items() if n in written) / whole
        if abs(lean) > AGREE:
            fail(f"{output.name}: what is left and what was cut are not orthogonal: {lean:.3e}")
    if output.rank is not None:
        best = 0.0
        for w in wanted.values():
            best += np.square(small_singular_values(w, output.rank)).sum()
        best = math.sqrt(best / whole)
        if abs(error - best) > AGREE:
            fail(f"{output.name}: error {error!r}, the best of rank {output.rank} has {best!r}")
    return error


def small_singular_values(matrix, keep):
    """Singular values after the first `keep`. Large updates here have rank 12 at most; a sketch of 32 columns has it all."""
    if min(matrix.shape) > 32:
        sketch = np.random.default_rng(0).standard_normal((matrix.shape[1], 32))
        basis, _ = np.linalg.qr(matrix @ sketch)
        inside = basis.T @ matrix
        assert np.abs(matrix - basis @ inside).max() <= 1e-9 * np.abs(matrix).max()
        matrix = inside
    return np.linalg.svd(matrix, compute_uv=False)[keep:]


# ---------------------------------------------------------------------------------------------------------------------
# Clients. Each returns module name as the file spells it -> update as the library has it (float32 tensor), and has made
# sure that nothing of the file was left over and nothing of the model left empty.


class Complaints(logging.Handler):
    """Warnings that a library logs or raises."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.said = []

    def emit(self, record):
        self.said.append(record.getMessage())

    def __enter__(self):
        self.caught = warnings.catch_warnings(record=True)
        self.raised = self.caught.__enter__()
        warnings.simplefilter("always")
        # Heard here, the libraries need not print them.
        self.printing = {}
        for name in ("diffusers", "transformers", "peft"):
            logger = logging.getLogger(name)
            self.printing[logger], logger.handlers = logger.handlers, [self]
        return self

    def __exit__(self, *error):
        for logger, handlers in self.printing.items():
            logger.handlers = handlers
        self.said += [str(w.message) for w in self.raised if issubclass(w.category, UserWarning)]
        return self.caught.__exit__(*error)


def sd15_pipeline():
    """A pipeline of a UNet with SD1.5's widths; only the attention layers have (zero) weights in memory."""
    from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(
            sample_size=64,
            in_channels=4,
            out_channels=4,
            layers_per_block=2,
            block_out_channels=(320, 640, 1280, 1280),
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=768,
            attention_head_dim=8,
            norm_num_groups=32,
        )
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964  # SD1.5's own count
    unet.to_empty(device="cpu").eval()
    with torch.no_grad():
        for name, parameter in unet.named_parameters():
            if ".attn1.to_" in name or ".attn2.to_" in name:
                parameter.zero_()
    return StableDiffusionPipeline(
        vae=None,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def tuner_layers(model):
    from peft.tuners.tuners_utils import BaseTunerLayer

    return {name: module for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)}


def layer_updates(what, model, modules, place, adapter):
    """Every layer of a model that PEFT put an adapter on, against the file's modules; place: file's name -> layer."""
    layers = tuner_layers(model)
    places = {place(name): name for name in modules}
    if len(places) != len(modules) or layers.keys() != places.keys():
        fail(f"{what}: layers and targets differ: {sorted(layers.keys() ^ places.keys())[:6]}")
    parameters = {n: p for n, p in model.named_parameters() if "lora_" in n}
    updates = {}
    for path, layer in layers.items():
        module = modules[places[path]]
        assert list(layer.active_adapters) == [adapter] and not layer.disable_adapters and not layer.merged
        for factor, stored in [("lora_A", module.down), ("lora_B", module.up)]:
            inside = parameters.pop(f"{path}.{factor}.{adapter}.weight")
            if inside.device.type != "cpu" or not torch.equal(inside.detach().to(torch.float32), stored.to(torch.float32)):
                fail(f"{what}: {path}: {factor} is not what the file has")
            # An update formed in half precision would be rounded; the numbers themselves are unchanged by this.
            inside.data = inside.data.to(torch.float32)
        with torch.no_grad():
            updates[module.name] = layer.get_delta_weight(adapter).clone()
        assert updates[module.name].shape == layer.get_base_layer().weight.shape
    if parameters:
        fail(f"{what}: adapter weights that are not in the file: {sorted(parameters)[:6]}")
    return {name: updates[name] for name in modules}


class Diffusers:
    client = "diffusers"

    def __init__(self):
        self.pipeline = sd15_pipeline()
        self.flat = {n.replace(".", "_"): n for n, _ in self.pipeline.unet.named_modules() if n}

    def place(self, name):
        if name.startswith("lora_unet_"):
            return self.flat[name.removeprefix("lora_unet_")]
        return dotted_name(name)

    def read(self, load, what, modules):
        """Load by `load`, which must not complain; read; unload."""
        with Complaints() as complaints:
            load()
        # Said for every file without text encoder targets.
        said = [s for s in complaints.said if "No LoRA keys associated to NoneType" not in s]
        if said:
            fail(f"{what}: {said}")
        updates = layer_updates(what, self.pipeline.unet, modules, self.place, "lathe")
        self.pipeline.unload_lora_weights()
        assert not tuner_layers(self.pipeline.unet)
        return updates

    def updates(self, what, path, modules):
        folder, file = str(path.parent), path.name
        if any(name.startswith(("unet.", "lora_unet_")) for name in modules):
            return self.read(
                lambda: self.pipeline.load_lora_weights(folder, weight_name=file, adapter_name="lathe"), what, modules
            )
        self.ignores(path)
        found = self.read(
            lambda: self.pipeline.unet.load_lora_adapter(folder, weight_name=file, prefix=None, adapter_name="lathe"),
            what,
            modules,
        )
        with_component = {f"unet.{key}": tensor for key, tensor in read_tensors(path).items()}
        again = self.read(
            lambda: self.pipeline.load_lora_weights(with_component, adapter_name="lathe"), what, modules
        )
        assert all(torch.equal(found[name], again[name]) for name in modules)
        return found

    def ignores(self, path):
        """Without a component in front load_lora_weights takes nothing, and says so."""
        with Complaints() as complaints:
            self.pipeline.load_lora_weights(str(path.parent), weight_name=path.name, adapter_name="lathe")
        assert any("No LoRA keys associated to UNet2DConditionModel" in s for s in complaints.said), complaints.said
        assert not tuner_layers(self.pipeline.unet)


class Peft:
    client = "peft"

    def updates(self, what, path, modules):
        from peft import PeftModel
        from transformers import GPT2Config, GPT2LMHeadModel

        with torch.device("meta"):
            base = GPT2LMHeadModel(GPT2Config())
        base.to_empty(device="cpu")
        with Complaints() as complaints:
            model = PeftModel.from_pretrained(base, path)
        if complaints.said:
            fail(f"{what}: {complaints.said}")
        return layer_updates(what, model, modules, lambda name: name, "default")


def tiny_layers():
    """Dotted name -> layer, for the names and widths of the tiny kohya files in dialects/."""
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    layer = "text_model.encoder.layers"
    unet = {
        "conv_in": nn.Conv2d(4, 8, 3, padding=1),
        "down_blocks.0.attentions.0.proj_in": nn.Conv2d(8, 8, 1),
        "down_blocks.0.resnets.0.conv1": nn.Conv2d(5, 6, (1, 3), padding=(0, 1)),
    }
    for attention, width in [("attn1", 8), ("attn2", 6)]:
        unet[f"{block}.{attention}.to_q"] = nn.Linear(8, 8)
        unet[f"{block}.{attention}.to_k"] = nn.Linear(width, 8)
        unet[f"{block}.{attention}.to_v"] = nn.Linear(width, 8)
        unet[f"{block}.{attention}.to_out.0"] = nn.Linear(8, 8)
    text = {}
    for i in range(2):
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            text[f"{layer}.{i}.self_attn.{part}"] = nn.Linear(6, 6)
        text[f"{layer}.{i}.mlp.fc1"] = nn.Linear(6, 10)
        text[f"{layer}.{i}.mlp.fc2"] = nn.Linear(10, 6)
    return unet, text


def flattened(unet, text):
    """kohya's names -> layers."""
    names = {f"lora_unet_{path.replace('.', '_')}": layer for path, layer in unet.items()}
    for prefix in TEXT_PREFIXES:
        names.update({prefix + path.replace(".", "_"): layer for path, layer in text.items()})
    return names


class Kohya:
    """sd-scripts' networks/lora.py, create_network_from_weights and merge_to, in our words."""

    client = "kohya arithmetic"

    def __init__(self, names):
        self.names = names

    def updates(self, what, path, modules):
        tensors = read_tensors(path)
        # The ranks and alphas come first; an alpha that is missing is the rank.
        ranks, alphas = {}, {}
        for key, tensor in tensors.items():
            name, _, ending = key.partition(".")
            if ending == "alpha":
                alphas[name] = tensor
            elif ending == "lora_down.weight":
                ranks[name] = tensor.shape[0]
        updates, used = {}, set()
        for name, rank in ranks.items():
            if name not in self.names:
                fail(f"{what}: no layer for {name}")
            layer = self.names[name]
            down, up = tensors[f"{name}.lora_down.weight"], tensors[f"{name}.lora_up.weight"]
            used |= {f"{name}.lora_down.weight", f"{name}.lora_up.weight"}
            if isinstance(layer, nn.Conv2d):
                shapes = (rank, layer.in_channels, *layer.kernel_size), (layer.out_channels, rank, 1, 1)
            else:
                shapes = (rank, layer.in_features), (layer.out_features, rank)
            if (tuple(down.shape), tuple(up.shape)) != shapes:
                fail(f"{what}: {name}: factors {tuple(down.shape)}, {tuple(up.shape)}, the loader has {shapes}")
            alpha = rank
            if name in alphas:
                used.add(f"{name}.alpha")
                assert alphas[name].numel() == 1
                alpha = float(alphas[name].detach().float().numpy())
            alpha = rank if alpha == 0 else alpha
            scale = alpha / rank
            down, up = down.to(torch.float32), up.to(torch.float32)
            if down.ndim == 2:
                update = (up @ down) * scale
            elif down.shape[2:4] == (1, 1):
                update = (up.squeeze(3).squeeze(2) @ down.squeeze(3).squeeze(2)).unsqueeze(2).unsqueeze(3) * scale
            else:
                update = F.conv2d(down.permute(1, 0, 2, 3), up).permute(1, 0, 2, 3) * scale
            updates[name] = update
        if used != tensors.keys() or updates.keys() != modules.keys():
            fail(f"{what}: tensors left over: {sorted(tensors.keys() - used)}")
        return {name: updates[name] for name in modules}


class Lycoris:
    client = "lycoris"

    def __init__(self, names):
        self.names = names

    def updates(self, what, path, modules):
        from lycoris.modules import get_module
        from lycoris.modules.locon import LoConModule

        tensors = read_tensors(path)
        found = {}
        for name, module in modules.items():
            if module.alpha is None:
                continue
            kind, parameters = get_module(tensors, name)
            if kind is not LoConModule:
                fail(f"{what}: {name}: LyCORIS takes it for {kind}")
            with torch.no_grad():
                loaded = LoConModule.make_module_from_state_dict(name, self.names[name], *parameters).eval()
                state = {f"{name}.{k}": v for k, v in loaded.custom_state_dict().items()}
                update = loaded.get_diff_weight()[0].reshape(self.names[name].weight.shape)
            stored = {k: v for k, v in tensors.items() if k.split(".")[0] == name}
            if state.keys() != stored.keys() or not all(torch.equal(state[k].reshape(v.shape), v) for k, v in stored.items()):
                fail(f"{what}: {name}: LyCORIS does not give back what the file has")
            found[name] = update
        return found


# ---------------------------------------------------------------------------------------------------------------------


def describe(what, module, update):
    """The client's update, checked against the plain formula."""
    assert update.dtype == torch.float32, update.dtype
    numbers = float64(update)
    formula = module.dense()
    if numbers.shape != formula.shape:
        fail(f"{what}: {module.name}: shapes {numbers.shape} and {formula.shape}")
    gap = np.abs(numbers - formula).max() / np.abs(formula).max()
    norm = math.sqrt(math.fsum(np.square(numbers).reshape(numbers.shape[0], -1).sum(axis=1)))
    off = np.linalg.norm(numbers - formula) / np.linalg.norm(formula)
    if not (gap <= AGREE and off <= AGREE):
        fail(f"{what}: {module.name}: the client is {gap:.3e} (norm {off:.3e}) away from the formula")
    flat = numbers.reshape(-1)
    sample = [float(flat[(k * 7919 + 13) % flat.size]) + 0.0 for k in range(SAMPLES)]
    return {"shape": list(numbers.shape), "fro": norm, "sample": sample}, max(gap, off)


def command(lathe, output, adapters, destination):
    """The arguments with the paths of this machine."""
    words = [str(lathe)]
    files = {file for file, _ in output.inputs()}
    for argument in output.arguments:
        file, at, strength = argument.partition("@")
        if file in files:
            folder = HERE.parent if file.startswith("dialects/") else adapters
            argument = str(folder / file) + at + strength
        words.append(str(destination) if argument == "OUT" else argument)
    return [*words, "--quiet"]


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def main():
    parser = argparse.ArgumentParser(description="What client libraries read out of adapters that lathe writes.")
    parser.add_argument("lathe", type=pathlib.Path, help="the tool")
    parser.add_argument("adapters", type=pathlib.Path, help="folder that holds the adapters")
    options = parser.parse_args()
    torch.set_num_threads(1)

    started = time.monotonic()
    diffusers = Diffusers()
    print(f"UNet built, {time.monotonic() - started:.1f} s", flush=True)
    large = flattened({n: m for n, m in diffusers.pipeline.unet.named_modules() if isinstance(m, (nn.Linear, nn.Conv2d))}, {})
    tiny = flattened(*tiny_layers())
    dialects = json.loads((DIALECTS / "expected.json").read_text(encoding="utf-8"))

    lines = []
    with tempfile.TemporaryDirectory() as scratch:
        for number, output in enumerate(plan(options.adapters)):
            path = pathlib.Path(scratch) / (f"{number}" if output.folder else f"{number}.safetensors")
            run = subprocess.run(
                command(options.lathe, output, options.adapters, path), capture_output=True, text=True, check=False
            )
            if run.returncode != 0:
                fail(f"{output.name}: lathe ended with {run.returncode}: {run.stderr.strip()}")
            modules = read_adapter(path)
            error = check_against_input(output, modules, wanted_updates(output, options.adapters, dialects))
            size = sum(f.stat().st_size for f in (path.iterdir() if output.folder else [path]))
            print(f"{output.name}: {size} bytes, {len(modules)} targets, relative error {error:.4g}", flush=True)
            small = any(file.startswith("dialects/") for file, _ in output.inputs())
            names = tiny if small else large
            for client in output.clients:
                reader = {"diffusers": diffusers, "peft": Peft(), "kohya arithmetic": Kohya(names), "lycoris": Lycoris(names)}
                started = time.monotonic()
                what = f"{output.name}, {client}"
                updates = reader[client].updates(what, path, modules)
                seconds = time.monotonic() - started
                described = {name: describe(what, modules[name], update) for name, update in updates.items()}
                worst = max(gap for _, gap in described.values())
                print(f"  {client}: {len(updates)} targets in {seconds:.1f} s, {worst:.1e} from the formula", flush=True)
                chosen = sorted(described)[:: output.every]
                head = compact({"name": output.name, "arguments": output.arguments, "client": client})
                targets = ",\n".join(f"{compact(n)}:{compact(described[n][0])}" for n in chosen)
                lines.append(head[:-1] + ',"targets":{\n' + targets + "\n}}")

    versions = {"python": platform.python_version()}
    for package in ["torch", "numpy", "safetensors", "diffusers", "transformers", "peft", "lycoris-lora"]:
        versions[package] = importlib.metadata.version(package)
    text = '{"versions":' + compact(versions) + ',\n"outputs":[\n' + ",\n".join(lines) + "\n]}\n"
    json.loads(text)
    (HERE / "expected.json").write_text(text, encoding="utf-8")
    print(f"expected.json: {len(text)} characters")


if __name__ == "__main__":
    sys.exit(main())
