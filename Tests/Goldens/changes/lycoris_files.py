"""Files of LyCORIS: its own modules, its own names and number types, and what its modules do."""

import json
import logging
import os

import torch
from importlib.metadata import version
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.dylora import DyLoraModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from lycoris.modules.tlora import TLoraModule
from safetensors.torch import save_file
from torch import nn

import arithmetic
from book import HERE, SHAPES, STRENGTHS, answers, double_precision, layer, norm_answers, numbers

PRODUCER = f"lycoris {version('lycoris-lora')}"
LAST = {
    "linear": "attentions_0_transformer_blocks_0_attn1_to_q",
    "point": "resnets_0_conv_shortcut",
    "conv": "resnets_0_conv1",
    "conv1d": "temp_convs_0_conv1",
    "layer norm": "attentions_0_transformer_blocks_0_norm1",
    "group norm": "resnets_0_norm1",
}
logging.getLogger("LyCORIS").setLevel(logging.ERROR)


class File:
    """One file as LyCORIS saves it; blocks are counted, so that each target has its own name."""

    def __init__(self, name, algorithm, dtype=None):
        self.name, self.algorithm, self.dtype, self.tensors, self.block = name, algorithm, dtype, {}, 0

    def target(self, kind, prefix="lora_unet"):
        self.block += 1
        return f"{prefix}_down_blocks_{self.block - 1}_{LAST[kind]}"

    def add(self, module, target):
        for name, tensor in module.state_dict(prefix=f"{target}.").items():
            tensor = tensor.detach().clone().contiguous()
            self.tensors[name] = tensor if self.dtype is None else tensor.to(self.dtype)

    def save(self):
        metadata = {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": self.algorithm})}
        save_file(self.tensors, os.path.join(HERE, self.name), metadata)


def fill(module, generator, deviation=0.4, half=False):
    """Gives the module numbers as after training."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.startswith("org_module"):
                continue
            noise = numbers(generator, parameter.shape, deviation)
            if name == "dora_scale":
                parameter.mul_(1 + noise.clamp(-0.8, 0.8))
            elif name == "rescale":
                parameter.copy_(1 + noise)
            elif isinstance(module, TLoraModule):
                parameter.add_(noise / 2)
            else:
                parameter.copy_(noise)
            if half:
                parameter.copy_(parameter.half().float())


def by_strength(module, shape):
    """The weights of the layer that a module of double precision makes of its own, by strength."""
    found = {}
    for name, strength in STRENGTHS.items():
        module.multiplier = strength
        found[name] = answers(module, shape)[0]
    return found


def simple(book, file, kind, shape, seed, make, family, form, deviation=0.4, half=False):
    """One target of a module that keeps its own numbers: built, filled, written down, and asked."""
    generator = torch.Generator().manual_seed(seed)
    original = layer(kind, shape, generator, bias=family == "ia3")
    module = make("target", original)
    fill(module, generator, deviation, half)
    target = file.target(kind)
    file.add(module, target)
    base = original.weight.clone()
    original.double()
    module.double().eval()
    with double_precision():
        found = by_strength(module, base.shape)
    book.measured("lycoris", base, found, file=file.name, target=target, family=family, kind=kind,
                  form=form, producer=PRODUCER)
    return target, base.double(), found, module


def seeds(kind):
    return zip((1, 2, 3), SHAPES[kind])


def dora(book):
    file = File("lycoris-dora.safetensors", "locon")
    algorithms = [
        ("on LoCon", LoConModule, {}, ("linear", "point", "conv", "conv1d")),
        ("on LoHa", LohaModule, {}, ("linear", "conv")),
        ("on LoKr", LokrModule, {}, ("linear", "conv")),
        ("on Tucker LoCon", LoConModule, {"use_tucker": True}, ("conv",)),
    ]
    for words, kind_of_module, arguments, kinds in algorithms:
        for on_out in (True, False):
            for kind in kinds:
                for seed, shape in seeds(kind):
                    form = f"{words}, {'out' if on_out else 'in'} axis"
                    target, base, found, module = simple(
                        book, file, kind, shape, seed + 100 * on_out,
                        lambda name, original: kind_of_module(
                            name, original, lora_dim=3 if seed == 2 else 2, alpha=[2, 1, 1.5][seed - 1],
                            weight_decompose=True, wd_on_out=on_out, **arguments),
                        "dora", form)
                    if seed > 1 and (words != "on LoCon" or kind == "point") or kind == "conv1d":
                        continue
                    # At strength 0 LyCORIS leaves the unscaled sum, which the other loaders start from.
                    magnitude = module.dora_scale.detach().numpy()
                    for rule in ("comfy", "a1111"):
                        changed = arithmetic.dora(rule, base.numpy(), found["0"].numpy(), magnitude)
                        book.cell(file.name, target, "dora", kind, form, "arithmetic", base, changed, rule=rule)
    file.save()


def glora(book):
    file = File("lycoris-glora.safetensors", "glora")
    for kind in ("linear", "point", "conv"):
        for seed, shape in seeds(kind):
            simple(book, file, kind, shape, seed + 200,
                   lambda name, original: GLoRAModule(name, original, lora_dim=seed + 1, alpha=[2, 1, 2.5][seed - 1]),
                   "glora", "new form")
    file.save()


def full_target(book, file, kind, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    original = layer(kind, shape, generator, bias=True)
    base = {name: value.clone() for name, value in original.named_parameters()}
    module = FullModule("target", original)
    module.apply_to()
    with torch.no_grad():
        for parameter in (module.weight, module.bias):
            parameter.add_(numbers(generator, parameter.shape, 0.3))
    target = file.target(kind)
    file.add(module, target)
    again = layer(kind, shape, generator, bias=True).double()
    found = {"weight": {}, "bias": {}}
    with double_precision():
        for name, value in again.named_parameters():
            value.copy_(base[name])
        module = FullModule("target", again)
        module.weight.copy_(file.tensors[f"{target}.diff"])
        module.bias.copy_(file.tensors[f"{target}.diff_b"])
        for name, strength in STRENGTHS.items():
            module.multiplier = strength
            found["weight"][name], found["bias"][name] = answers(module, base["weight"].shape)
    for parameter in ("weight", "bias"):
        book.measured("lycoris", base[parameter], found[parameter], file=file.name, target=target, family="full",
                      kind=kind if parameter == "weight" else "bias", form=f"{kind} with bias", producer=PRODUCER,
                      parameter=parameter)


def norm_target(book, file, kind, size, seed, half=False):
    generator = torch.Generator().manual_seed(seed)
    if kind == "layer norm":
        original, sample = nn.LayerNorm(size), torch.randn(4, size, generator=generator)
    else:
        original, sample = nn.GroupNorm(size // 4, size), torch.randn(2, size, 3, 3, generator=generator)
    with torch.no_grad():
        for parameter in original.parameters():
            parameter.copy_(numbers(generator, parameter.shape, 0.3, 1.0))
    base = {name: value.detach().clone() for name, value in original.named_parameters()}
    module = NormModule("target", original)
    fill(module, generator, half=half)
    target = file.target(kind)
    file.add(module, target)
    original.double()
    module.double()
    found = {"weight": {}, "bias": {}}
    with double_precision():
        def plain(x):
            if kind == "layer norm":
                return nn.functional.layer_norm(x, (size,), eps=original.eps)
            return nn.functional.group_norm(x, size // 4, eps=original.eps)
        for name, strength in STRENGTHS.items():
            module.multiplier = strength
            found["weight"][name], found["bias"][name] = norm_answers(module, plain, sample.double())
    for parameter in ("weight", "bias"):
        book.measured("lycoris", base[parameter], found[parameter], file=file.name, target=target, family="norm",
                      kind="norm" if parameter == "weight" else "bias", form=kind, producer=PRODUCER,
                      parameter=parameter)


def full(book):
    file = File("lycoris-full.safetensors", "full")
    for kind in ("linear", "point", "conv"):
        for seed, shape in seeds(kind):
            full_target(book, file, kind, shape, seed + 300)
    for seed, size in ((1, 12), (2, 9), (3, 16)):
        norm_target(book, file, "layer norm", size, seed + 310)
    for seed, size in ((1, 8), (2, 12), (3, 16)):
        norm_target(book, file, "group norm", size, seed + 320)
    file.save()


def ia3(book):
    file = File("lycoris-ia3.safetensors", "ia3")
    for on_input in (False, True):
        for kind in ("linear", "point", "conv"):
            for seed, shape in seeds(kind):
                simple(book, file, kind, shape, seed + 400,
                       lambda name, original: IA3Module(name, original, train_on_input=on_input),
                       "ia3", f"on_input {int(on_input)}")
    file.save()


def plain(book):
    """What is a LoRA in the file: DyLoRA of blocks of one, and a scale by the root of the rank."""
    file = File("lycoris-dylora.safetensors", "dylora")
    for kind in ("linear", "conv"):
        for seed, shape in seeds(kind):
            generator = torch.Generator().manual_seed(seed + 500)
            original = layer(kind, shape, generator)
            module = DyLoraModule("target", original, lora_dim=3, alpha=2, block_size=1)
            fill(module, generator)
            target = file.target(kind)
            file.add(module, target)
            base = original.weight.clone()
            original.double()
            module.double()
            with double_precision():
                found = {name: module.get_merged_weight(strength, rank=module.lora_dim - 1)[0]
                         for name, strength in STRENGTHS.items()}
            book.measured("lycoris", base, found, file=file.name, target=target, family="lora", kind=kind,
                          form="DyLoRA, block size 1", producer=PRODUCER)
    file.save()
    file = File("lycoris-rs.safetensors", "locon")
    for family, kind_of_module in (("lora", LoConModule), ("loha", LohaModule)):
        for kind in ("linear", "conv"):
            for seed, shape in seeds(kind):
                simple(book, file, kind, shape, seed + 520,
                       lambda name, original: kind_of_module(
                           name, original, lora_dim=[2, 4, 3][seed - 1], alpha=[3, 1, 2][seed - 1], rs_lora=True),
                       family, "rs_lora")
    # Of LoKr only taken apart: with both matrices whole its rs_lora trains with another scale than it loads with.
    for seed, shape in enumerate([(16, 24), (18, 24)], 1):
        simple(book, file, "linear", shape, seed + 540,
               lambda name, original: LokrModule(name, original, lora_dim=2, alpha=3, rs_lora=True), "lokr", "rs_lora")
    file.save()


def oft(book):
    file = File("lycoris-oft.safetensors", "diag-oft")
    shapes = {"linear": [(8, 12), (12, 9), (10, 10)], "point": [(8, 9), (6, 10), (9, 9)],
              "conv": [(6, 2), (4, 3), (8, 2)], "conv1d": [(6, 4), (4, 9), (8, 5)]}
    forms = [("", {}), ("constraint", {"constraint": 0.05}), ("rescale", {"rescaled": True}),
             ("constraint, rescale", {"constraint": 0.1, "rescaled": True}),
             ("loose constraint", {"constraint": 10})]
    for form, arguments in forms:
        for kind in ("linear", "point", "conv", "conv1d"):
            if kind not in ("linear", "conv") and form or kind == "conv" and form == "loose constraint":
                continue
            for seed, shape in zip((1, 2, 3), shapes[kind]):
                target, base, _, module = simple(
                    book, file, kind, shape, seed + 600,
                    lambda name, original: DiagOFTModule(name, original, lora_dim=[4, 3, 2][seed - 1], **arguments),
                    "oft", form)
                if kind == "linear" and seed == 1:
                    blocks = module.oft_blocks.detach().numpy()
                    changed = arithmetic.comfy_oft(base.numpy(), blocks, float(module.alpha))
                    book.cell(file.name, target, "oft", kind, form, "arithmetic", base, changed, rule="comfy")
    file.save()


def boft(book):
    file = File("lycoris-boft.safetensors", "boft")
    shapes = {1: [(8, 7), (6, 9), (10, 5)], 2: [(8, 7), (12, 5), (4, 9)], 3: [(8, 7), (16, 3), (24, 2)]}
    forms = [("", {}), ("rescale", {"rescaled": True}), ("constraint", {"constraint": 0.05})]
    points = {1: [(4, 3), (6, 2), (2, 5)], 2: [(4, 3), (12, 1), (8, 2)], 3: [(8, 2), (16, 1), (8, 1)]}
    for stages in (1, 2, 3):
        for kind in ("linear", "conv"):
            for seed, shape in zip((1, 2, 3), (shapes if kind == "linear" else points)[stages]):
                for form, arguments in forms:
                    if form == "constraint" and (kind == "conv" or stages == 3):
                        continue
                    words = f"M={stages}" + (f", {form}" if form else "")
                    target, base, _, module = simple(
                        book, file, kind, shape, seed + 700,
                        lambda name, original: ButterflyOFTModule(
                            name, original, lora_dim=shape[0] >> (stages - 1), **arguments),
                        "boft", words, deviation=0.3)
                    assert module.boft_m == stages, (shape, module.boft_m, stages)
                    if kind == "linear" and seed == 1:
                        rescale = module.rescale.detach().numpy() if module.rescaled else None
                        blocks = module.oft_blocks.detach().numpy()
                        changed = arithmetic.comfy_boft(base.numpy(), blocks, float(module.alpha), rescale)
                        book.cell(file.name, target, "boft", kind, words, "arithmetic", base, changed, rule="comfy")
    file.save()


def tlora(book):
    file = File("lycoris-tlora.safetensors", "tlora")
    for kind in ("linear", "point"):
        for seed, shape in seeds(kind):
            generator = torch.Generator().manual_seed(seed + 800)
            original = layer(kind, shape, generator)
            arguments = dict(lora_dim=seed + 1, alpha=[2, 1, 4][seed - 1])
            module = TLoraModule("target", original, **arguments)
            fill(module, generator)
            target = file.target(kind)
            file.add(module, target)
            base = original.weight.clone()
            original.double()
            with double_precision():
                # The part it takes off is found again, in double precision, as at loading.
                again = TLoraModule("target", original, **arguments).double()
                for name in ("q_layer.weight", "p_layer.weight", "lambda_layer"):
                    again.get_parameter(name).copy_(file.tensors[f"{target}.{name}"])
                found = by_strength(again, base.shape)
            book.measured("lycoris", base, found, file=file.name, target=target, family="tlora", kind=kind,
                          form="principal", producer=PRODUCER)
    file.save()


def mixed(book):
    """Neighbouring modules of one file, saved in half precision: LoRA, differences with bias, norms."""
    file = File("lycoris-mixed.safetensors", "locon", torch.float16)
    for seed, (first, second) in enumerate(zip(SHAPES["linear"], SHAPES["conv"]), 1):
        start = file.block
        simple(book, file, "linear", first, seed + 900,
               lambda name, original: LoConModule(name, original, lora_dim=2, alpha=1), "lora", "mixed", half=True)
        file.block = start
        full_target(book, file, "conv", second, seed + 910)
        file.block = start
        norm_target(book, file, "layer norm", 12, seed + 920, half=True)
        file.block = start
        norm_target(book, file, "group norm", 8, seed + 930, half=True)
    file.save()
