"""Adapters of other algorithms than LoRA, made by LyCORIS itself, and what its modules do.

What it makes (beside this script)
    adapter.safetensors     targets of LoHa, LoKr and full differences: linear, convolutions of one and of 3 x 3 points, with
                            and without Tucker cores, all ways to take LoKr's matrices apart, with and without alpha.
    expected.safetensors    the delta of each target by its name, in float64: measured, not computed. A module's answer to unit
                            impulses, less that of the layer it changes, is its delta; so the formula is the one of forward().
    targets.json            by name: the algorithm, the shape, and what is special about it; and the versions.

How to run
    python make.py          some seconds; the same numbers each time with the same versions.
"""

import json
import os
import platform
from importlib.metadata import version

import torch
from lycoris.modules.full import FullModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from safetensors.torch import save_file
from torch import nn

HERE = os.path.dirname(os.path.abspath(__file__))
torch.set_default_dtype(torch.float64)


def layer(kind, outputs, inputs):
    if kind == "linear":
        return nn.Linear(inputs, outputs, bias=False)
    points = {"point": 1, "conv": 3}[kind]
    return nn.Conv2d(inputs, outputs, points, padding=0, bias=False)


def answers(module, shape):
    """What a linear map without bias does to unit impulses, as a weight of `shape`."""
    if len(shape) == 2:
        return module(torch.eye(shape[1])).T
    impulses = torch.eye(shape[1] * shape[2] * shape[3]).reshape(-1, *shape[1:])
    return module(impulses).squeeze(-1).squeeze(-1).T.reshape(shape)


def build(case, seed):
    torch.manual_seed(seed)
    org = layer(case["kind"], *case["shape"])
    arguments = dict(case["arguments"])
    make = {"loha": LohaModule, "lokr": LokrModule, "full": FullModule}[case["algorithm"]]
    module = make("target", org, multiplier=1.0, lora_dim=case.get("rank", 4), alpha=case.get("alpha", 4), **arguments)
    module = module.to(torch.float64)
    for name, parameter in module.named_parameters():
        # Plain numbers of single precision, so that files hold them exactly.
        nn.init.normal_(parameter, std=0.5)
        parameter.data.copy_(parameter.data.float().double())
    module.eval()
    weight, shape = org.weight.data.clone(), tuple(org.weight.shape)
    before = answers(lambda x: nn.functional.linear(x, weight) if len(shape) == 2 else nn.functional.conv2d(x, weight), shape)
    tensors = {name: value for name, value in module.state_dict().items() if not name.startswith("org_module")}
    module.apply_to()
    if case["algorithm"] == "full":
        # What it trains is the weight itself; files hold how far that has come.
        tensors = {"diff": torch.randn(shape).float().double()}
        module.weight.data.copy_(weight + tensors["diff"])
    with torch.no_grad():
        after = answers(org, shape)
    return tensors, after - before, shape


def cases():
    for kind, shape in [("linear", (12, 20)), ("linear", (20, 9)), ("point", (8, 12)), ("conv", (8, 12))]:
        for alpha in [4, 2.5]:
            yield dict(algorithm="loha", kind=kind, shape=shape, alpha=alpha, arguments={})
    yield dict(algorithm="loha", kind="linear", shape=(32, 40), rank=2, alpha=1, arguments={})
    yield dict(algorithm="loha", kind="linear", shape=(24, 24), rank=1, alpha=1, arguments={})
    yield dict(algorithm="loha", kind="conv", shape=(24, 16), rank=3, alpha=2, arguments={"use_tucker": True})
    yield dict(algorithm="loha", kind="conv", shape=(8, 6), rank=4, alpha=8, arguments={"use_tucker": True})
    for kind, shape in [("linear", (16, 24)), ("linear", (18, 12)), ("point", (16, 12)), ("conv", (16, 12))]:
        for rank, extra in [
            (1, {}), (2, {"decompose_both": True}), (1, {"decompose_both": True, "factor": 4}), (100, {}),
            (2, {"factor": 4}),
        ]:
            yield dict(algorithm="lokr", kind=kind, shape=shape, rank=rank, alpha=3, arguments=extra)
    yield dict(algorithm="lokr", kind="conv", shape=(32, 24), rank=2, alpha=3, arguments={"use_tucker": True, "factor": 4})
    for kind, shape in [("linear", (9, 14)), ("linear", (14, 9)), ("conv", (6, 4))]:
        yield dict(algorithm="full", kind=kind, shape=shape, arguments={})


def main():
    adapter, expected, targets = {}, {}, {}
    for number, case in enumerate(cases()):
        for seed in (1, 2, 3):
            block = f"lora_unet_up_blocks_{3 * number + seed}"
            last = {"linear": "attentions_0_transformer_blocks_0_attn1_to_q", "point": "resnets_0_conv_shortcut",
                    "conv": "resnets_0_conv1"}[case["kind"]]
            name = f"{block}_{last}"
            tensors, delta, shape = build(case, seed)
            if case["algorithm"] == "loha" and seed == 3 and case["alpha"] == 4 and case.get("rank", 4) == 4:
                # Without alpha the scale is 1, which is what 4 / 4 is.
                del tensors["alpha"]
            for key, value in tensors.items():
                adapter[f"{name}.{key}"] = (value if key == "alpha" else value.float()).contiguous().float()
            expected[name] = delta.contiguous()
            targets[name] = dict(
                algorithm=case["algorithm"], shape=list(shape), rank=case.get("rank", 4),
                kind=case["kind"] + (" tucker" if case["arguments"].get("use_tucker") else ""),
                parts=sorted(tensors))
    save_file(adapter, os.path.join(HERE, "adapter.safetensors"), {"ss_network_module": "lycoris.kohya"})
    save_file(expected, os.path.join(HERE, "expected.safetensors"))
    made = {"python": platform.python_version(), **{p: version(p) for p in ("torch", "lycoris-lora", "safetensors")}}
    with open(os.path.join(HERE, "targets.json"), "w") as file:
        json.dump({"made_with": made, "targets": targets}, file, indent=1, sort_keys=True)
        file.write("\n")
    kinds = sorted({(t["algorithm"], t["kind"], tuple(t["parts"])) for t in targets.values()})
    for kind in kinds:
        print(*kind)


if __name__ == "__main__":
    main()
