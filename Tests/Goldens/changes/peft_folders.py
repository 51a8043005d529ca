"""Folders of PEFT: saved by it, read by it again over a model that knows only the base, and asked."""

import json
import os
import shutil
from copy import deepcopy
from importlib.metadata import version

import peft
import torch
from peft.tuners.boft import layer as boft_layer
from torch import nn
from transformers.pytorch_utils import Conv1D

from book import HERE, SHAPES, STRENGTHS, answers, double_precision, layer, norm_answers, numbers, rows

PRODUCER = f"peft {version('peft')}"
PLACES = {
    "linear": "attentions.0.transformer_blocks.0.attn1.to_q",
    "point": "resnets.0.conv_shortcut",
    "conv": "resnets.0.conv1",
    "conv1d": "temp_convs.0.conv1",
    "embedding": "embedder",
    "fan_in_fan_out": "attn.c_attn",
    "norm": "attentions.0.transformer_blocks.0.norm1",
    "experts": "mlp.experts",
}


class Experts(nn.Module):
    """Two bare parameters of three axes, as mixtures of experts hold them."""

    def __init__(self, generator, count, shape, is_transposed):
        super().__init__()
        self.is_transposed = is_transposed
        out, width = shape
        first, second = (count, out, width), (count, width, out)
        if is_transposed:
            first, second = second, first
        self.gate_up_proj = nn.Parameter(numbers(generator, first, 0.5))
        self.down_proj = nn.Parameter(numbers(generator, second, 0.5))


def make_layer(kind, shape, generator, bias):
    if kind == "embedding":
        made = nn.Embedding(shape[1], shape[0])
    elif kind == "fan_in_fan_out":
        made = Conv1D(shape[0], shape[1])
    elif kind == "norm":
        made = nn.LayerNorm(shape[1])
    else:
        return layer(kind, shape, generator, bias)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.copy_(numbers(generator, parameter.shape, 0.5))
    return made


def tree(layers):
    """A model of modules with these dotted names."""
    root = nn.Module()
    for name, made in layers.items():
        place, parts = root, name.split(".")
        for part in parts[:-1]:
            if part not in place._modules:
                place.add_module(part, nn.Module())
            place = getattr(place, part)
        place.add_module(parts[-1], deepcopy(made))
    return root


def names_of(kinds, first=0):
    """Three targets of each kind, in blocks of their own, with their shapes."""
    found, block = [], first
    for kind in kinds:
        shapes = SHAPES["linear" if kind in ("embedding", "fan_in_fan_out", "norm") else kind]
        for seed, shape in enumerate(shapes):
            found.append((f"down_blocks.{block}.{PLACES[kind]}", kind, shape, seed))
            block += 1
    return found


class Folder:
    """A folder `peft-<name>`: the base, the wrapped model with numbers as after training, and what was read again."""

    def __init__(self, book, name, config, layers, seed, deviation=0.4, prepare=None):
        self.book, self.file = book, f"peft-{name}"
        generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        base = tree(layers)
        self.base = {key: value.clone() for key, value in base.state_dict().items()}
        model = peft.get_peft_model(deepcopy(base), config)
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                if not parameter.requires_grad:
                    continue
                noise = numbers(generator, parameter.shape, deviation)
                if "magnitude" in key:
                    parameter.mul_(1 + noise.clamp(-0.8, 0.8))
                elif any(word in key for word in ("boft_s", "ia3_l")):
                    parameter.copy_(1 + noise)
                elif "bias" in key or "modules_to_save" in key or "ln_tuning" in key:
                    parameter.add_(noise)
                else:
                    parameter.copy_(noise)
        if prepare is not None:
            prepare(model)
        path = os.path.join(HERE, self.file)
        shutil.rmtree(path, ignore_errors=True)
        model.save_pretrained(path)
        os.remove(os.path.join(path, "README.md"))
        settings = os.path.join(path, "adapter_config.json")
        with open(settings) as file:
            values = json.load(file)
        # Sets come out in any order.
        for key in ("target_modules", "feedforward_modules", "modules_to_save"):
            if isinstance(values.get(key), list):
                values[key].sort()
        with open(settings, "w") as file:
            file.write(json.dumps(values, indent=2, sort_keys=True))
        self.model = peft.PeftModel.from_pretrained(base, path).eval().double()

    def module(self, name):
        return self.model.get_submodule(f"base_model.model.{name}")

    def cells(self, targets, family, form, rule="peft", strengths=STRENGTHS, biases=False, scale=None):
        """Cells of weights, and of biases where a family changes them."""
        for name, kind, shape, _ in targets:
            module = self.module(name)
            weight = self.base[f"{name}.weight"]
            found = {}
            with double_precision():
                for strength in strengths:
                    if scale is not None:
                        scale(module, STRENGTHS[strength])
                    if kind == "embedding":
                        found[strength] = rows(module, shape[1]), None
                    elif kind == "fan_in_fan_out":
                        changed, bias = answers(module, torch.Size((shape[0], shape[1])))
                        found[strength] = changed.T.contiguous(), bias
                    elif kind == "norm":
                        sample = torch.randn(4, shape[1], generator=torch.Generator().manual_seed(1))
                        found[strength] = norm_answers(
                            module, lambda x: nn.functional.layer_norm(x, x.shape[1:]), sample)
                    else:
                        found[strength] = answers(module, weight.shape)
            cell = dict(file=self.file, target=f"base_model.model.{name}", family=family, producer=PRODUCER)
            shown = {strength: changed for strength, (changed, _) in found.items()}
            self.book.measured(rule, weight, shown, kind=kind, form=form, **cell)
            if biases:
                shown = {strength: bias for strength, (_, bias) in found.items()}
                self.book.measured(rule, self.base[f"{name}.bias"], shown, kind="bias", form=form, parameter="bias",
                                   **cell)


def layers_of(targets, seed, bias=False):
    generator = torch.Generator().manual_seed(seed)
    return {name: make_layer(kind, shape, generator, bias) for name, kind, shape, _ in targets}


def set_scale(module, strength):
    module.set_scale("default", strength)


def folder(book, name, kinds, config, seed, family, form, bias=False, deviation=0.4, targets=None, prepare=None,
           **cell):
    targets = targets or names_of(kinds)
    made = Folder(book, name, config([target[0] for target in targets]), layers_of(targets, seed, bias), seed,
                  deviation, prepare)
    made.cells(targets, family, form, **cell)
    return made


def dora(book):
    def config(names):
        return peft.LoraConfig(r=3, lora_alpha=2, use_dora=True, target_modules=names)
    folder(book, "dora", ("linear", "point", "conv", "conv1d"), config, 2000, "dora", "out axis", scale=set_scale)
    folder(book, "dora-embedding", ("embedding",), config, 2010, "dora", "axis of the dimension", scale=set_scale)


def ia3(book):
    def config(names):
        return peft.IA3Config(target_modules=names, feedforward_modules=[])
    folder(book, "ia3", ("linear", "point", "conv"), config, 2100, "ia3", "attention, out", bias=True, biases=True,
           strengths=["1"])

    def forward(names):
        return peft.IA3Config(target_modules=names, feedforward_modules=names)
    folder(book, "ia3-feedforward", ("linear", "point", "conv"), forward, 2150, "ia3", "feed-forward, in", bias=True,
           biases=True, strengths=["1"])


def lora(book):
    def config(**arguments):
        return lambda names: peft.LoraConfig(target_modules=names, **arguments)
    folder(book, "lora-bias", ("linear", "conv"), config(r=2, lora_alpha=3, lora_bias=True), 2200, "lora", "lora_bias",
           bias=True, biases=True, scale=set_scale)
    folder(book, "rslora", ("linear", "conv"), config(r=3, lora_alpha=2, use_rslora=True), 2210, "lora", "rsLoRA",
           scale=set_scale)
    folder(book, "embedding", ("embedding",), config(r=2, lora_alpha=3), 2220, "lora", "embedding", scale=set_scale)
    folder(book, "fan-in-fan-out", ("fan_in_fan_out",), config(r=2, lora_alpha=1, fan_in_fan_out=True), 2230, "lora",
           "fan_in_fan_out", scale=set_scale)


def replacements(book):
    """Saved values of biases and of whole modules, which take the place of the base's."""
    targets, others = names_of(("linear",)), names_of(("linear",), first=3)
    layers = {**layers_of(targets, 2300, bias=True), **layers_of(others, 2301, bias=True)}
    names = [target[0] for target in targets]
    made = Folder(book, "bias-all", peft.LoraConfig(r=2, lora_alpha=3, bias="all", target_modules=names), layers, 2300)
    made.cells(targets, "lora", "bias all", scale=set_scale)
    for name, kind, shape, _ in targets + others:
        with double_precision():
            _, bias = answers(made.module(name), made.base[f"{name}.weight"].shape)
        stem = f"{name}.base_layer" if name in names else name
        book.cell(made.file, f"base_model.model.{stem}", "bias", "bias", "replacement, bias all", PRODUCER,
                  made.base[f"{name}.bias"], {"1": bias}, parameter="bias")
    targets, norms, whole = names_of(("linear",)), names_of(("norm",), first=3), names_of(("linear", "conv"), first=6)
    layers = {**layers_of(targets, 2310), **layers_of(norms, 2311), **layers_of(whole, 2312, bias=True)}
    config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=[target[0] for target in targets],
                             modules_to_save=[target[0] for target in norms + whole])
    made = Folder(book, "modules-to-save", config, layers, 2310)
    made.cells(targets, "lora", "beside modules_to_save", scale=set_scale)
    made.cells(norms + whole, "modules_to_save", "replacement", strengths=["1"], biases=True)
    norms = names_of(("norm",))
    made = Folder(book, "ln-tuning", peft.LNTuningConfig(target_modules=[target[0] for target in norms]),
                  layers_of(norms, 2320), 2320)
    made.cells(norms, "ln_tuning", "replacement", strengths=["1"], biases=True)


def products(book):
    def loha(**arguments):
        return lambda names: peft.LoHaConfig(target_modules=names, r=2, alpha=3, **arguments)

    def lokr(**arguments):
        return lambda names: peft.LoKrConfig(target_modules=names, alpha=3, **arguments)
    folder(book, "loha", ("linear", "conv"), loha(), 2400, "loha", "alpha / r", scale=set_scale)
    folder(book, "loha-effective", ("conv",), loha(use_effective_conv2d=True), 2410, "loha", "Tucker", scale=set_scale)
    folder(book, "lokr", ("linear", "conv"), lokr(r=1), 2420, "lokr", "alpha / r", scale=set_scale)
    wide = [(f"down_blocks.{n}.{PLACES['linear']}", "linear", shape, n) for n, shape in enumerate([(16, 20), (20, 16)])]
    folder(book, "lokr-both", ("linear",), lokr(r=1, decompose_both=True), 2430, "lokr", "both taken apart",
           scale=set_scale, targets=wide)
    folder(book, "lokr-full", ("linear", "point", "conv"), lokr(r=8), 2440, "lokr",
           "both whole, alpha / r all the same", scale=set_scale)
    large = [(f"down_blocks.{n}.{PLACES['conv']}", "conv", shape, n) for n, shape in enumerate([(6, 8), (6, 6)])]
    folder(book, "lokr-effective", ("conv",), lokr(r=1, use_effective_conv2d=True), 2450, "lokr", "Tucker",
           scale=set_scale, targets=large)

    def adalora(names):
        return peft.AdaLoraConfig(target_modules=names, init_r=3, target_r=2, total_step=10, lora_alpha=2)

    def adalora_scale(module, strength):
        # Its inherited set_scale divides by the rank, which its own scaling does not.
        module.scaling["default"] = strength * module.lora_alpha["default"]

    def prune(model):
        # As its allocator leaves it at the end of training: it drops the least of the triplets, unlike ones by target.
        kept = [[True, False, True], [False, True, False], [True, True, True]]
        names = [name for name, _ in model.base_model.model.named_parameters() if "lora_E" in name]
        model.peft_config["default"].rank_pattern = {name: kept[n % 3] for n, name in enumerate(names)}
    folder(book, "adalora", ("linear", "conv"), adalora, 2460, "adalora", "", scale=adalora_scale)
    folder(book, "adalora-pruned", ("linear", "conv"), adalora, 2465, "adalora", "pruned, divided by init_r",
           scale=adalora_scale, prepare=prune)
    for words, saved in (("with", True), ("without", False)):
        def vera(names):
            return peft.VeraConfig(target_modules=names, r=3, projection_prng_key=7, save_projection=saved)
        folder(book, f"vera-{words}", ("linear",), vera, 2470, "vera", f"{words} projections", strengths=["1"])
    for words, orthogonal in (("", False), ("-gs", True)):
        def hra(names):
            return peft.HRAConfig(target_modules=names, r=3, apply_GS=orthogonal)
        folder(book, f"hra{words}", ("linear", "point", "conv"), hra, 2480, "hra",
               "apply_GS" if orthogonal else "product", strengths=["1"])


def experts(book):
    """LoRA of bare parameters of three axes: one of a module, and two of a module, wrapped around each other."""
    for words, is_transposed, parameters in (
            ("one", False, ["gate_up_proj"]), ("one-transposed", True, ["gate_up_proj"]),
            ("two", False, ["down_proj", "gate_up_proj"])):
        generator = torch.Generator().manual_seed(2500)
        shapes = {f"layers.{n}.{PLACES['experts']}": (count, shape)
                  for n, (count, shape) in enumerate([(2, (4, 6)), (3, (5, 4)), (2, (5, 5))])}
        layers = {name: Experts(generator, count, shape, is_transposed) for name, (count, shape) in shapes.items()}
        config = peft.LoraConfig(r=2, lora_alpha=3, target_modules=[],
                                 target_parameters=[f"mlp.experts.{name}" for name in parameters])
        made = Folder(book, f"experts-{words}", config, layers, 2500)
        for name in layers:
            wrapper, stem = made.module(name), f"base_model.model.{name}"
            while hasattr(wrapper, "parameter_name"):
                found, parameter = {}, wrapper.parameter_name
                for strength, value in STRENGTHS.items():
                    with double_precision():
                        whole = wrapper.get_param().data.clone()
                        wrapper.set_scale("default", value)
                        wrapper.merge()
                        found[strength] = wrapper.get_param().data.clone()
                        wrapper.get_param().data.copy_(whole)
                        wrapper.merged_adapters.clear()
                order = "(experts, in, out)" if is_transposed else "(experts, out, in)"
                book.measured("peft", made.base[f"{name}.{parameter}"], found, file=made.file, target=stem,
                              family="lora", kind="experts", form=f"{parameter}, {order}", producer=PRODUCER,
                              parameter="itself", named=f"{name}.{parameter}")
                wrapper, stem = wrapper.base_layer, f"{stem}.base_layer"


def oft(book):
    forms = [("", {}), ("exact", {"use_cayley_neumann": False}), ("share", {"block_share": True}),
             ("share-exact", {"block_share": True, "use_cayley_neumann": False})]
    words = {"": "Neumann", "exact": "Cayley", "share": "Neumann, block_share", "share-exact": "Cayley, block_share"}
    for name, arguments in forms:
        def config(names):
            return peft.OFTConfig(target_modules=names, r=0, oft_block_size=4, **arguments)
        kinds = ("linear", "conv") if "share" in name else ("linear", "point", "conv")
        folder(book, f"oft-{name}" if name else "oft", kinds, config, 2600, "oft", words[name],
               deviation=0.2, strengths=["1"])


class BlockDiagonal:
    """What PEFT's extension for CUDA does to (stages, blocks, b, b)."""

    @staticmethod
    def forward(blocks):
        return [torch.stack([torch.block_diag(*stage) for stage in blocks])]


def boft(book):
    boft_layer._FBD_CUDA = BlockDiagonal
    sorts = [
        (1, 3, [("linear", (8, 12)), ("linear", (12, 9)), ("linear", (10, 6)), ("point", (8, 9)), ("conv", (4, 3))]),
        (2, 2, [("linear", (5, 8)), ("linear", (7, 12)), ("linear", (16, 16)), ("point", (6, 8)), ("conv", (3, 4))]),
        (2, 4, [("linear", (5, 8)), ("linear", (9, 16)), ("conv", (2, 8))]),
        (3, 2, [("linear", (5, 8)), ("linear", (9, 16)), ("conv", (2, 8))]),
    ]
    for factors, size, shapes in sorts:
        targets = [(f"down_blocks.{n}.{PLACES[kind]}", kind, shape, n) for n, (kind, shape) in enumerate(shapes)]

        def config(names):
            return peft.BOFTConfig(target_modules=names, boft_block_size=size, boft_n_butterfly_factor=factors)
        folder(book, f"boft-{factors}-of-{size}", (), config, 2700, "boft", f"M={factors}, blocks of {size}",
               targets=targets, strengths=["1"], bias=True)
    boft_layer._FBD_CUDA = None
