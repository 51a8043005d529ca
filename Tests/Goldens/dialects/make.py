"""Small adapter files in every spelling, and the dense updates that real libraries read out of them.

What it makes
    Beside this script: small adapter files and PEFT folders (ranks 1 to 7, widths 4 to 40), and expected.json, which
    says for each of them which targets it holds, their rank and scale, and the dense update of each target in the
    shape of the base weight, as float64; and for files of algorithms other than LoRA, which algorithm each module is.

Where the numbers come from
    kohya names          LyCORIS: LoConModule built from the file's tensors, get_diff_weight and forward (on unit
                         inputs), in float64; then diffusers' own kohya loader on a tiny UNet and text encoder, one
                         target at a time (with several different alphas in one file, diffusers 0.42.1 gives most
                         attention targets the commonest alpha). Two cases come from diffusers alone: alpha 0, which
                         LyCORIS takes for alpha = rank, and no alpha, which LyCORIS does not read. Tucker comes
                         from LyCORIS alone, as diffusers does not read it.
    diffusers names      diffusers: load_lora_into_unet / load_lora_into_text_encoder on a tiny UNet and a tiny CLIP
                         text encoder whose weights are float64 zeros, fuse, read the weight.
    PEFT folders         PEFT: PeftModel.from_pretrained on a tiny float64 model, get_delta_weight, and
                         merge_and_unload on zero weights. peft_default_name holds a raw state dict, which PEFT reads
                         through load_state_dict.
    XLabs, native (Wan)  diffusers: its Flux and Wan loaders on tiny transformers.
    cloneofsimo          the plain formula only: the 2022 library cannot be installed any more.
    other algorithms     the tensors are the state dicts of LyCORIS and PEFT modules; no updates are recorded.
    Every update is also computed by a second, separate formula in numpy, and the script stops where the two differ
    by more than 1e-13 of the largest element.

Library versions that printed the committed numbers (also in the JSON, under "versions")
    Python 3.11, torch 2.13.0 (CPU build), numpy 2.4.6, safetensors 0.8.0, diffusers 0.42.1, transformers 5.23.0,
    peft 0.21.2, lycoris-lora 4.1.3.

How to run
    OMP_NUM_THREADS=1 python make.py

    Everything made before is replaced. Random tensors come from torch's CPU generator, one fixed seed for each file
    (SEEDS below, repeated in the JSON).
"""

import hashlib
import importlib.metadata
import json
import logging
import math
import os
import pathlib
import platform
import shutil
import sys
import tempfile
import warnings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
warnings.filterwarnings("ignore")

import numpy as np
import torch
from torch import nn

HERE = pathlib.Path(__file__).resolve().parent

SEEDS = {
    "kohya_linear_conv": 1001,
    "kohya_no_alpha": 1002,
    "kohya_tucker": 1003,
    "kohya_f16": 1004,
    "kohya_bf16": 1005,
    "kohya_f8": 1006,
    "kohya_mixed_dtypes": 1007,
    "kohya_torch_pickle": 1008,
    "diffusers_oldest": 1101,
    "diffusers_processor": 1102,
    "diffusers_lora_layer": 1103,
    "diffusers_peft": 1104,
    "diffusers_peft_metadata": 1105,
    "peft_plain": 1201,
    "peft_patterns": 1202,
    "peft_rslora": 1203,
    "peft_fan_in_fan_out": 1204,
    "peft_conv": 1205,
    "peft_default_name": 1206,
    "peft_bin": 1207,
    "cloneofsimo": 1301,
    "cloneofsimo_list": 1302,
    "xlabs_flux": 1401,
    "native_wan": 1501,
    "native_wan_alpha": 1502,
    "kohya_loha": 1601,
    "kohya_lokr": 1602,
    "kohya_glora": 1603,
    "kohya_dora": 1604,
    "kohya_oft": 1605,
    "kohya_boft": 1606,
    "kohya_ia3": 1607,
    "kohya_full": 1608,
    "kohya_norm": 1609,
    "kohya_several_kinds": 1610,
    "peft_dora": 1611,
}

AGREE = 1e-13


# ---------------------------------------------------------------------------------------------------------------------
# Small helpers


def generator(case):
    return torch.Generator().manual_seed(SEEDS[case])


def normal(gen, *shape):
    return torch.randn(*shape, generator=gen, dtype=torch.float32) * 0.5


def scalar(value, dtype=torch.float32):
    return torch.tensor(float(value), dtype=dtype)


def as_float64(tensors):
    return {k: v.detach().to(torch.float64) for k, v in tensors.items()}


def safetensors_bytes(tensors, metadata=None):
    """The library's bytes, with the metadata put into the header in sorted order (the library's order is random)."""
    from safetensors.torch import save

    blob = save({k: v.detach().contiguous() for k, v in tensors.items()})
    length = int.from_bytes(blob[:8], "little")
    entries = json.loads(blob[8 : 8 + length])
    entries.pop("__metadata__", None)
    header = {}
    if metadata:
        header["__metadata__"] = {k: metadata[k] for k in sorted(metadata)}
    header.update(entries)
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + blob[8 + length :]


def data_hash(tensors):
    """SHA-256 of everything after the header, tensors in the library's own order: kohya's sshs_model_hash."""
    blob = safetensors_bytes(tensors)
    length = int.from_bytes(blob[:8], "little")
    return hashlib.sha256(blob[8 + length :]).hexdigest()


def write_safetensors(name, tensors, metadata=None):
    from safetensors.torch import load_file

    path = HERE / name
    path.write_bytes(safetensors_bytes(tensors, metadata))
    back = load_file(path)
    assert back.keys() == tensors.keys()
    for key, tensor in tensors.items():
        assert back[key].dtype == tensor.dtype and back[key].shape == tensor.shape
        assert torch.equal(back[key].view(torch.uint8) if back[key].ndim else back[key].reshape(1).view(torch.uint8),
                           tensor.contiguous().view(torch.uint8) if tensor.ndim else tensor.reshape(1).view(torch.uint8))
    return path


def plain_delta(up, down, scale, mid=None, transposed=False):
    """The update straight from its definition, by einsum over plain arrays."""
    u = up.detach().to(torch.float64).numpy()
    d = down.detach().to(torch.float64).numpy()
    u = u.reshape(u.shape[0], u.shape[1])
    if mid is not None:
        m = mid.detach().to(torch.float64).numpy()
        out = np.einsum("op,pqxy,qi->oixy", u, m, d.reshape(d.shape[0], d.shape[1]))
    elif d.ndim == 2:
        out = np.einsum("or,ri->oi", u, d)
    else:
        kernel = d.shape[2:]
        out = np.einsum("or,rik->oik", u, d.reshape(d.shape[0], d.shape[1], -1))
        out = out.reshape(u.shape[0], d.shape[1], *kernel)
    out = out * float(scale)
    return out.T.copy() if transposed else out


def check_equal(what, library, formula):
    library = np.asarray(library, dtype=np.float64)
    if library.shape != formula.shape:
        raise SystemExit(f"{what}: shapes {library.shape} and {formula.shape}")
    limit = AGREE * max(float(np.abs(formula).max()), 1e-300)
    gap = float(np.abs(library - formula).max())
    if gap > limit:
        raise SystemExit(f"{what}: library and formula differ by {gap:.3e}, largest element {np.abs(formula).max():.3e}")


class Case:
    """One file or folder and what is expected of it."""

    all = []

    def __init__(self, file, dialect, container="safetensors", **notes):
        self.file, self.dialect, self.container, self.notes = file, dialect, container, notes
        self.targets, self.unsupported = {}, {}
        Case.all.append(self)

    def add(self, name, library, formula, rank, scale, source, **notes):
        check_equal(f"{self.file} {name}", library, formula)
        library = np.asarray(library, dtype=np.float64) + 0.0
        assert name not in self.targets
        self.targets[name] = {
            "shape": list(library.shape),
            "rank": int(rank),
            "scale": float(scale),
            "source": source,
            **notes,
            "delta": [float(v) + 0.0 for v in library.reshape(-1)],
        }

    def text(self):
        head = {"file": self.file, "format": self.dialect, "container": self.container, **self.notes}
        out = compact(head)[:-1] + ',"targets":{'
        if self.targets:
            out += "\n" + ",\n".join(f"{compact(k)}:{compact(v)}" for k, v in self.targets.items()) + "\n"
        return out + '},"unsupported":' + compact(self.unsupported) + "}"


def compact(value):
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


# ---------------------------------------------------------------------------------------------------------------------
# Tiny models. Their weights are float64 zeros, so that a fused weight is the update itself, with no rounding.


def zeroed(model):
    model = model.to(torch.float64)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    return model.eval()


def tiny_unet():
    from diffusers import UNet2DConditionModel

    return zeroed(
        UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=(8, 12),
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            cross_attention_dim=6,
            attention_head_dim=2,
            norm_num_groups=4,
        )
    )


def tiny_text_encoder():
    from transformers import CLIPTextConfig, CLIPTextModel

    return zeroed(
        CLIPTextModel(
            CLIPTextConfig(
                vocab_size=16,
                hidden_size=6,
                intermediate_size=10,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=8,
                projection_dim=6,
            )
        )
    )


def merged_weights(model):
    """Dotted path -> fused weight, for every layer an adapter sits on."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    out = {}
    for name, module in model.named_modules():
        if isinstance(module, BaseTunerLayer):
            before = module.get_base_layer().weight.detach().clone()
            assert before.dtype == torch.float64
            module.merge()
            out[name] = (module.get_base_layer().weight.detach() - before).numpy()
    return out


def diffusers_pipeline(tensors, metadata_file=None):
    """What diffusers makes of a UNet / text encoder adapter: component.path -> update.

    Values are raised to float64 before they are handed over, so that the library computes in float64.
    With metadata_file, the library reads that file's header itself.
    """
    from diffusers.loaders import StableDiffusionLoraLoaderMixin as Loader

    if metadata_file is not None:
        state, alphas, metadata = Loader.lora_state_dict(
            str(metadata_file.parent), weight_name=metadata_file.name, return_lora_metadata=True
        )
        assert metadata
    else:
        state, alphas, metadata = Loader.lora_state_dict(dict(tensors), return_lora_metadata=True)
    state = as_float64(state)
    out = {}
    if any(k.startswith("unet.") for k in state):
        unet = tiny_unet()
        Loader.load_lora_into_unet(state, network_alphas=alphas, unet=unet, metadata=metadata)
        out.update({f"unet.{k}": v for k, v in merged_weights(unet).items()})
    if any(k.startswith("text_encoder.") for k in state):
        encoder = tiny_text_encoder()
        Loader.load_lora_into_text_encoder(state, network_alphas=alphas, text_encoder=encoder, metadata=metadata)
        for k, v in merged_weights(encoder).items():
            k = k.removeprefix("text_model.")
            out[f"text_encoder.text_model.{k}"] = v
    return out


# ---------------------------------------------------------------------------------------------------------------------
# Kohya names


def kohya_target(tensors, name, up, down, alpha=None, mid=None):
    tensors[f"{name}.lora_up.weight"] = up
    tensors[f"{name}.lora_down.weight"] = down
    if mid is not None:
        tensors[f"{name}.lora_mid.weight"] = mid
    if alpha is not None:
        tensors[f"{name}.alpha"] = alpha


def base_layer_for(up, down, mid):
    """A zero base layer whose weight has the shape of the update."""
    out_size, in_size = up.shape[0], down.shape[1]
    kernel = tuple((mid if mid is not None else down).shape[2:])
    if not kernel:
        return zeroed(nn.Linear(in_size, out_size))
    padding = tuple(k // 2 for k in kernel)
    return zeroed(nn.Conv2d(in_size, out_size, kernel, padding=padding))


@torch.no_grad()
def lycoris_delta(tensors, name):
    """The update as LyCORIS sees it: its merge path, confirmed by its forward path on unit inputs."""
    from lycoris.modules import get_module, make_module

    up, down = tensors[f"{name}.lora_up.weight"], tensors[f"{name}.lora_down.weight"]
    mid = tensors.get(f"{name}.lora_mid.weight")
    base = base_layer_for(up, down, mid)
    kind, params = get_module(as_float64(tensors), name)
    module = make_module(kind, params, name, base).to(torch.float64).eval()
    assert kind.name == "locon"
    delta = module.get_diff_weight()[0].reshape(base.weight.shape)
    if base.weight.ndim == 2:
        seen = module(torch.eye(base.in_features, dtype=torch.float64)).T
    else:
        # One pixel set in each input channel; around it the output shows the kernel, mirrored.
        kh, kw = base.kernel_size
        picture = torch.zeros(base.in_channels, base.in_channels, kh, kw, dtype=torch.float64)
        picture[range(base.in_channels), range(base.in_channels), kh // 2, kw // 2] = 1
        seen = module(picture).flip(2, 3).transpose(0, 1)
    check_equal(f"{name}: LyCORIS forward", seen.numpy(), delta.numpy())
    return delta.numpy()


def diffusers_single(tensors, name):
    """The update of one kohya target as diffusers sees it, alone in its file.

    diffusers knows the text encoder's attention names only where an out_proj is among them, so one of zeros with the
    same rank and alpha goes along, and is left out of the answer.
    """
    part = {k: v for k, v in tensors.items() if k.split(".")[0] == name}
    filler = None
    if name.startswith("lora_te_") and "_self_attn_" in name:
        filler = "lora_te_text_model_encoder_layers_0_self_attn_out_proj"
        assert name != filler
        rank = tensors[f"{name}.lora_down.weight"].shape[0]
        kohya_target(part, filler, torch.zeros(6, rank), torch.zeros(rank, 6), tensors.get(f"{name}.alpha"))
    found = diffusers_pipeline(as_float64(part))
    if filler is not None:
        assert not found.pop("text_encoder.text_model.encoder.layers.0.self_attn.out_proj").any()
    assert len(found) == 1, (name, list(found))
    return next(iter(found.items()))


def kohya_expect(case, tensors, diffusers=True):
    names = []
    for key in tensors:
        if key.split(".")[0] not in names:
            names.append(key.split(".")[0])
    for name in names:
        up, down = tensors[f"{name}.lora_up.weight"], tensors[f"{name}.lora_down.weight"]
        mid, alpha = tensors.get(f"{name}.lora_mid.weight"), tensors.get(f"{name}.alpha")
        rank = down.shape[0]
        scale = 1.0 if alpha is None else float(alpha.to(torch.float64)) / rank
        formula = plain_delta(up, down, scale, mid)
        notes, sources, delta = {}, [], None
        if alpha is not None and float(alpha) != 0:
            delta = lycoris_delta(tensors, name)
            sources.append("lycoris")
        if diffusers and mid is None:
            base, other = diffusers_single(tensors, name)
            notes["base"] = base
            check_equal(f"{case.file} {name}: diffusers", other, formula)
            sources.append("diffusers")
            delta = other if delta is None else delta
        case.add(name, delta, formula, rank, scale, "+".join(sources), **notes)


def training_metadata(dim, alpha, module="networks.lora", args=None):
    """The kind of header a kohya trainer leaves; every value is text."""
    return {
        "ss_base_model_version": "sd_v1",
        "ss_v2": "False",
        "ss_network_module": module,
        "ss_network_dim": dim,
        "ss_network_alpha": alpha,
        "ss_network_args": json.dumps(args) if args is not None else "{}",
        "ss_output_name": "tiny",
        "ss_learning_rate": "0.0001",
        "ss_unet_lr": "0.0001",
        "ss_text_encoder_lr": "5e-05",
        "ss_clip_skip": "None",
        "ss_num_train_images": "30",
        "ss_epoch": "3",
        "ss_steps": "90",
        "ss_resolution": "(512, 512)",
        "ss_training_started_at": "1700000000.25",
        "ss_training_finished_at": "1700000100.75",
        "ss_bucket_info": json.dumps({"buckets": {"0": {"resolution": [512, 512], "count": 30}}, "mean_img_ar_error": 0.0}),
        "ss_dataset_dirs": json.dumps({"10_harbour": {"n_repeats": 10, "img_count": 2}, "5_lamp": {"n_repeats": 5, "img_count": 2}}),
        "ss_tag_frequency": json.dumps(
            {
                "10_harbour": {"harbour": 2, "boat": 2, "morning fog": 1},
                "5_lamp": {"lamp": 2, "boat": 1, "caf\u00e9": 1, "\u706f": 1},
            }
        ),
    }


ATTN = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0"


def make_kohya():
    # Every plain shape in one float32 file, with the right hash.
    g = generator("kohya_linear_conv")
    t = {}
    kohya_target(t, f"{ATTN}_attn1_to_q", normal(g, 8, 4), normal(g, 4, 8), scalar(4))
    kohya_target(t, f"{ATTN}_attn2_to_k", normal(g, 8, 2), normal(g, 2, 6), scalar(1))
    kohya_target(t, f"{ATTN}_attn2_to_v", normal(g, 8, 7), normal(g, 7, 6), scalar(3))  # rank above the smaller width
    kohya_target(t, f"{ATTN}_attn1_to_k", normal(g, 8, 2), normal(g, 2, 8), scalar(0))  # alpha zero
    kohya_target(t, f"{ATTN}_attn1_to_v", normal(g, 8, 3), normal(g, 3, 8), None)  # no alpha
    kohya_target(t, f"{ATTN}_attn2_to_out_0", normal(g, 8, 1), normal(g, 1, 8), scalar(0.5))  # rank one
    kohya_target(t, "lora_unet_down_blocks_0_attentions_0_proj_in", normal(g, 8, 2, 1, 1), normal(g, 2, 8, 1, 1), scalar(1))
    kohya_target(t, "lora_unet_conv_in", normal(g, 8, 2, 1, 1), normal(g, 2, 4, 3, 3), scalar(3))
    kohya_target(t, "lora_te_text_model_encoder_layers_0_self_attn_q_proj", normal(g, 6, 2), normal(g, 2, 6), scalar(1))
    kohya_target(t, "lora_te_text_model_encoder_layers_1_mlp_fc1", normal(g, 10, 3), normal(g, 3, 6), scalar(2))
    meta = training_metadata("4", "4.0", args={"conv_dim": "2", "conv_alpha": "3"})
    meta["sshs_model_hash"] = data_hash(t)
    meta["sshs_legacy_hash"] = hashlib.sha256(b"").hexdigest()[:8]
    case = Case("kohya_linear_conv.safetensors", "kohya", model_hash={"stored": meta["sshs_model_hash"], "actual": data_hash(t)})
    write_safetensors(case.file, t, meta)
    kohya_expect(case, t)

    # No alpha anywhere, no metadata, and ranks that differ.
    g = generator("kohya_no_alpha")
    t = {}
    kohya_target(t, f"{ATTN}_attn1_to_q", normal(g, 8, 2), normal(g, 2, 8))
    kohya_target(t, f"{ATTN}_attn2_to_k", normal(g, 8, 3), normal(g, 3, 6))
    case = Case("kohya_no_alpha.safetensors", "kohya")
    write_safetensors(case.file, t)
    kohya_expect(case, t)

    # Tucker: a middle tensor that is not symmetric in its two rank axes, square and oblong kernels.
    g = generator("kohya_tucker")
    t = {}
    kohya_target(t, "lora_unet_conv_in", normal(g, 8, 3, 1, 1), normal(g, 3, 4, 1, 1), scalar(1.5), normal(g, 3, 3, 3, 3))
    kohya_target(
        t, "lora_unet_down_blocks_0_resnets_0_conv1", normal(g, 6, 2, 1, 1), normal(g, 2, 5, 1, 1), scalar(2), normal(g, 2, 2, 1, 3)
    )
    meta = training_metadata("3", "1.5", module="lycoris.kohya", args={"algo": "locon", "use_tucker": "True"})
    case = Case("kohya_tucker.safetensors", "kohya")
    write_safetensors(case.file, t, meta)
    kohya_expect(case, t, diffusers=False)

    # Narrow number formats. The hash of the first is left over from another file.
    for label, dtype, stale in [
        ("kohya_f16", torch.float16, True),
        ("kohya_bf16", torch.bfloat16, False),
        ("kohya_f8", torch.float8_e4m3fn, False),
    ]:
        g = generator(label)
        t = {}
        kohya_target(t, f"{ATTN}_attn2_to_k", normal(g, 8, 2).to(dtype), normal(g, 2, 6).to(dtype), scalar(1.5, dtype))
        kohya_target(
            t,
            "lora_unet_down_blocks_0_attentions_0_proj_in",
            normal(g, 8, 3, 1, 1).to(dtype),
            normal(g, 3, 8, 1, 1).to(dtype),
            scalar(2, dtype),
        )
        meta = training_metadata("2", "1.5")
        notes = {}
        if stale:
            meta["sshs_model_hash"] = hashlib.sha256(b"an earlier version of this file").hexdigest()
            notes["model_hash"] = {"stored": meta["sshs_model_hash"], "actual": data_hash(t)}
        case = Case(f"{label}.safetensors", "kohya", **notes)
        write_safetensors(case.file, t, meta)
        kohya_expect(case, t)

    # Several number formats in one file and in one target; one alpha of shape [1].
    g = generator("kohya_mixed_dtypes")
    t = {}
    kohya_target(
        t, f"{ATTN}_attn1_to_q", normal(g, 8, 2), normal(g, 2, 8).to(torch.float16), scalar(1, torch.bfloat16)
    )
    kohya_target(
        t, f"{ATTN}_attn2_to_k", normal(g, 8, 2).to(torch.bfloat16), normal(g, 2, 6).to(torch.float8_e4m3fn), scalar(4)
    )
    kohya_target(
        t,
        f"{ATTN}_attn2_to_v",
        normal(g, 8, 3).to(torch.float8_e5m2),
        normal(g, 3, 6).to(torch.float64),
        scalar(1.5, torch.float16).reshape(1),
    )
    case = Case("kohya_mixed_dtypes.safetensors", "kohya")
    write_safetensors(case.file, t)
    kohya_expect(case, t)

    # The same names inside a torch pickle: a dictionary under "state_dict", beside numbers that are no tensors.
    g = generator("kohya_torch_pickle")
    t = {}
    kohya_target(t, f"{ATTN}_attn1_to_q", normal(g, 8, 2).to(torch.float16), normal(g, 2, 8).to(torch.float16), scalar(1, torch.float16))
    kohya_target(t, "lora_te_text_model_encoder_layers_0_self_attn_v_proj", normal(g, 6, 2), normal(g, 2, 6), scalar(1))
    case = Case("kohya_torch_pickle.pt", "kohya", container="torch-pickle")
    torch.save({"state_dict": t, "epoch": 3, "global_step": 90}, HERE / case.file)
    kohya_expect(case, t)


# ---------------------------------------------------------------------------------------------------------------------
# Diffusers names, by age

BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
MID = "mid_block.attentions.0.transformer_blocks.0"
TE_LAYER = "text_encoder.text_model.encoder.layers"


def diffusers_expect(case, pairs, found):
    """pairs: name in the file -> (component.path, up, down, scale)."""
    assert set(found) == {p[0] for p in pairs.values()}, (case.file, sorted(found))
    for name, (base, up, down, scale) in pairs.items():
        case.add(name, found[base], plain_delta(up, down, scale), down.shape[0], scale, "diffusers", base=base)


def make_diffusers():
    def attention(gen, rows, columns, rank):
        return normal(gen, rows, rank), normal(gen, rank, columns)

    # The first age: attention processors, no component in front.
    g = generator("diffusers_oldest")
    t, pairs = {}, {}
    for path, part, columns in [
        (f"{BLOCK}.attn1", "to_q", 8),
        (f"{BLOCK}.attn1", "to_out", 8),
        (f"{BLOCK}.attn2", "to_k", 6),
        (f"{BLOCK}.attn2", "to_v", 6),
    ]:
        up, down = attention(g, 8, columns, 2)
        t[f"{path}.processor.{part}_lora.down.weight"] = down
        t[f"{path}.processor.{part}_lora.up.weight"] = up
        base = f"unet.{path}.{part}" + (".0" if part == "to_out" else "")
        pairs[f"{path}.processor.{part}"] = (base, up, down, 1.0)
    case = Case("diffusers_oldest.safetensors", "diffusers")
    write_safetensors(case.file, t, {"format": "pt"})
    # Today's loader wants the component in front.
    diffusers_expect(case, pairs, diffusers_pipeline({f"unet.{k}": v for k, v in t.items()}))

    # The second age: the same with a component, and the text encoder in the same style.
    g = generator("diffusers_processor")
    t, pairs = {}, {}
    for path, part, size in [(f"{BLOCK}.attn1", "to_k", 8), (f"{MID}.attn1", "to_out", 12)]:
        up, down = attention(g, size, size, 2)
        t[f"unet.{path}.processor.{part}_lora.down.weight"] = down
        t[f"unet.{path}.processor.{part}_lora.up.weight"] = up
        base = f"unet.{path}.{part}" + (".0" if part == "to_out" else "")
        pairs[f"unet.{path}.processor.{part}"] = (base, up, down, 1.0)
    for part, modern in [("to_q", "q_proj"), ("to_k", "k_proj"), ("to_v", "v_proj"), ("to_out", "out_proj")]:
        up, down = attention(g, 6, 6, 2)
        stem = f"{TE_LAYER}.0.self_attn"
        t[f"{stem}.{part}_lora.down.weight"] = down
        t[f"{stem}.{part}_lora.up.weight"] = up
        pairs[f"{stem}.{part}"] = (f"{stem}.{modern}", up, down, 1.0)
    case = Case("diffusers_processor.safetensors", "diffusers")
    write_safetensors(case.file, t, {"format": "pt"})
    diffusers_expect(case, pairs, diffusers_pipeline(t))

    # The third age: `.lora.down`, `.lora_linear_layer.down`, convolutions too, ranks that differ.
    g = generator("diffusers_lora_layer")
    t, pairs = {}, {}
    for path, up, down in [
        (f"{BLOCK}.attn1.to_q", *attention(g, 8, 8, 3)),
        (f"{BLOCK}.attn2.to_k", *attention(g, 8, 6, 1)),
        (f"{MID}.attn1.to_out.0", *attention(g, 12, 12, 3)),
        ("down_blocks.0.attentions.0.proj_in", normal(g, 8, 2, 1, 1), normal(g, 2, 8, 1, 1)),
    ]:
        t[f"unet.{path}.lora.down.weight"] = down
        t[f"unet.{path}.lora.up.weight"] = up
        pairs[f"unet.{path}"] = (f"unet.{path}", up, down, 1.0)
    for part, rows in [("self_attn.q_proj", 6), ("self_attn.out_proj", 6), ("mlp.fc1", 10)]:
        up, down = attention(g, rows, 6, 2)
        stem = f"{TE_LAYER}.1.{part}"
        t[f"{stem}.lora_linear_layer.down.weight"] = down
        t[f"{stem}.lora_linear_layer.up.weight"] = up
        pairs[stem] = (stem, up, down, 1.0)
    case = Case("diffusers_lora_layer.safetensors", "diffusers")
    write_safetensors(case.file, t, {"format": "pt"})
    diffusers_expect(case, pairs, diffusers_pipeline(t))

    # Today's names without a config: scale one whatever the ranks.
    g = generator("diffusers_peft")
    t, pairs = {}, {}
    for path, up, down in [
        (f"unet.{BLOCK}.attn1.to_q", *attention(g, 8, 8, 4)),
        (f"unet.{BLOCK}.attn2.to_v", *attention(g, 8, 6, 2)),
        (f"unet.{MID}.attn2.to_k", *attention(g, 12, 6, 4)),
        ("unet.conv_in", normal(g, 8, 2, 1, 1), normal(g, 2, 4, 3, 3)),
        (f"{TE_LAYER}.0.self_attn.k_proj", *attention(g, 6, 6, 4)),
    ]:
        t[f"{path}.lora_A.weight"] = down
        t[f"{path}.lora_B.weight"] = up
        pairs[path] = (path, up, down, 1.0)
    case = Case("diffusers_peft.safetensors", "diffusers")
    write_safetensors(case.file, t, {"format": "pt"})
    diffusers_expect(case, pairs, diffusers_pipeline(t))

    make_diffusers_metadata()


def make_diffusers_metadata():
    """A file that diffusers itself saves, with both components' LoraConfig in the header."""
    from diffusers import StableDiffusionPipeline
    from diffusers.loaders.lora_base import _pack_dict_with_prefix
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict
    from safetensors import safe_open
    from safetensors.torch import load_file

    g = generator("diffusers_peft_metadata")
    unet, encoder = tiny_unet().to(torch.float32), tiny_text_encoder().to(torch.float32)
    unet_config = LoraConfig(
        r=4,
        lora_alpha=8,
        target_modules=[f"{BLOCK}.attn1.to_q", f"{BLOCK}.attn1.to_out.0", f"{BLOCK}.attn2.to_k", f"{MID}.attn1.to_v"],
        rank_pattern={f"{BLOCK}.attn2.to_k": 2, "mid_block.*to_v": 3},
        alpha_pattern={f"^{BLOCK}.attn1.to_out.0": 1, "attn2.to_k": 5},
        use_rslora=True,
    )
    encoder_config = LoraConfig(r=2, lora_alpha=3, target_modules=["q_proj", "v_proj"], alpha_pattern={"layers.1.self_attn.q_proj": 1})
    unet.add_adapter(unet_config)
    encoder.add_adapter(encoder_config)
    components = []
    for model, config in [(unet, unet_config), (encoder, encoder_config)]:
        state = get_peft_model_state_dict(model, adapter_name="default")
        state = {k: normal(g, *state[k].shape) for k in sorted(state)}
        plain = {k: sorted(v) if isinstance(v, set) else v for k, v in config.to_dict().items()}
        components.append((state, plain))
    # Old and present spelling of the text encoder's layers; files keep the level "text_model".
    components[1] = (
        {k if k.startswith("text_model.") else f"text_model.{k}": v for k, v in components[1][0].items()},
        components[1][1],
    )
    with tempfile.TemporaryDirectory() as folder:
        StableDiffusionPipeline.save_lora_weights(
            folder,
            unet_lora_layers=components[0][0],
            text_encoder_lora_layers=components[1][0],
            unet_lora_adapter_metadata=components[0][1],
            text_encoder_lora_adapter_metadata=components[1][1],
            safe_serialization=True,
        )
        saved = pathlib.Path(folder) / "pytorch_lora_weights.safetensors"
        t = load_file(saved)
        with safe_open(saved, "pt") as handle:
            header = handle.metadata()
    config = json.loads(header["lora_adapter_metadata"])
    expected = {
        **_pack_dict_with_prefix(components[0][1], "unet"),
        **_pack_dict_with_prefix(components[1][1], "text_encoder"),
    }
    assert set(config) == set(expected)
    config = {k: config[k] for k in sorted(config)}
    header["lora_adapter_metadata"] = json.dumps(config, indent=2)
    case = Case("diffusers_peft_metadata.safetensors", "diffusers")
    path = write_safetensors(case.file, t, header)
    found = diffusers_pipeline(None, metadata_file=path)
    scales = {
        f"unet.{BLOCK}.attn1.to_q": 8 / math.sqrt(4),
        f"unet.{BLOCK}.attn1.to_out.0": 1 / math.sqrt(4),
        f"unet.{BLOCK}.attn2.to_k": 5 / math.sqrt(2),
        f"unet.{MID}.attn1.to_v": 8 / math.sqrt(3),
        f"{TE_LAYER}.0.self_attn.q_proj": 3 / 2,
        f"{TE_LAYER}.0.self_attn.v_proj": 3 / 2,
        f"{TE_LAYER}.1.self_attn.q_proj": 1 / 2,
        f"{TE_LAYER}.1.self_attn.v_proj": 3 / 2,
    }
    pairs = {m: (m, t[f"{m}.lora_B.weight"], t[f"{m}.lora_A.weight"], c) for m, c in scales.items()}
    assert len(t) == 2 * len(pairs)
    diffusers_expect(case, pairs, found)


# ---------------------------------------------------------------------------------------------------------------------
# PEFT folders


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q_proj, self.k_proj, self.v_proj = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 8)


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.self_attn = Attention()


class TinyDecoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([Layer(), Layer()])


class TinyGPT(nn.Module):
    """Modules named and stored as GPT-2 does: Conv1D keeps its weight as (in, out)."""

    def __init__(self):
        super().__init__()
        from transformers.pytorch_utils import Conv1D

        block = nn.Module()
        block.attn = nn.Module()
        block.attn.c_attn = Conv1D(12, 6)
        block.attn.c_proj = Conv1D(6, 6)
        block.mlp = nn.Module()
        block.mlp.c_proj = Conv1D(6, 10)
        self.transformer = nn.Module()
        self.transformer.h = nn.ModuleList([block])


class TinyConvs(nn.Module):
    def __init__(self):
        super().__init__()
        self.square = nn.Conv2d(4, 6, 3, padding=1)
        self.oblong = nn.Conv2d(4, 6, (1, 3), stride=2)
        self.point = nn.Conv2d(6, 8, 1)
        self.line = nn.Conv1d(5, 6, 3)


def peft_folder(case_name, model, config, binary=False, raw_names=False):
    """Let PEFT make and save an adapter with random weights; return the tensors as the file has them."""
    from peft import get_peft_model
    from safetensors.torch import load_file

    g = generator(case_name)
    wrapped = get_peft_model(model, config)
    names = sorted(n for n, _ in wrapped.named_parameters() if "lora_" in n)
    parameters = dict(wrapped.named_parameters())
    with torch.no_grad():
        for name in names:
            parameters[name].copy_(normal(g, *parameters[name].shape))
    folder = HERE / case_name
    wrapped.save_pretrained(folder)
    for extra in folder.glob("*.md"):
        extra.unlink()
    saved = folder / "adapter_model.safetensors"
    t = load_file(saved)
    if raw_names:
        t = {n: parameters[n].detach() for n in names}
    if binary:
        saved.unlink()
        torch.save({k: t[k] for k in sorted(t)}, folder / "adapter_model.bin")
    else:
        write_safetensors(f"{case_name}/adapter_model.safetensors", t, {"format": "pt"})
    # Sets come out of PEFT in no fixed order.
    path = folder / "adapter_config.json"
    settings = json.loads(path.read_text())
    if isinstance(settings.get("target_modules"), list):
        settings["target_modules"].sort()
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n")
    return t


@torch.no_grad()
def peft_deltas(folder, model, tensors, raw_names=False):
    """Module path -> update, from the folder as PEFT reads it back."""
    from peft import PeftConfig, PeftModel, get_peft_model
    from peft.tuners.tuners_utils import BaseTunerLayer

    base = zeroed(model)
    if raw_names:
        # Names that still carry the adapter's name are those of the wrapped model itself.
        wrapped = get_peft_model(base, PeftConfig.from_pretrained(folder))
        strangers = wrapped.load_state_dict(tensors, strict=False).unexpected_keys
        assert not strangers
    else:
        wrapped = PeftModel.from_pretrained(base, folder)
    wrapped.eval()
    found = {}
    for name, module in wrapped.named_modules():
        if isinstance(module, BaseTunerLayer):
            found[name] = module.get_delta_weight("default").to(torch.float64).numpy().copy()
    merged = wrapped.merge_and_unload()
    for name, delta in found.items():
        weight = merged.get_submodule(name.removeprefix("base_model.model.")).weight
        check_equal(f"{folder.name} {name}: merge", weight.detach().numpy(), delta)
    return found


def peft_expect(case, tensors, found, scales, transposed=False, infix=""):
    assert len(tensors) == 2 * len(found) and set(scales) == {n.removeprefix("base_model.model.") for n in found}
    for name, delta in found.items():
        up, down = tensors[f"{name}.lora_B{infix}.weight"], tensors[f"{name}.lora_A{infix}.weight"]
        base = name.removeprefix("base_model.model.")
        scale = scales[base]
        case.add(name, delta, plain_delta(up, down, scale, transposed=transposed), down.shape[0], scale, "peft", base=base)


def make_peft():
    from peft import LoraConfig

    def decoder_scales(rule):
        return {f"layers.{i}.self_attn.{p}": rule(i, p) for i in range(2) for p in ("q_proj", "k_proj", "v_proj")}

    def only(scales, *parts):
        return {k: v for k, v in scales.items() if k.endswith(parts)}

    name = "peft_plain"
    t = peft_folder(name, TinyDecoder(), LoraConfig(r=2, lora_alpha=5, target_modules=["q_proj", "v_proj"]))
    case = Case(name, "peft")
    peft_expect(case, t, peft_deltas(HERE / name, TinyDecoder(), t), only(decoder_scales(lambda i, p: 5 / 2), "q_proj", "v_proj"))

    # Patterns: a suffix, a suffix with a layer, keys tied to the start of the name (one of which matches nothing),
    # a regular expression, and two keys that both match one module (the first in the file counts).
    name = "peft_patterns"
    config = LoraConfig(
        r=2,
        lora_alpha=2,
        target_modules=["q_proj", "k_proj", "v_proj"],
        rank_pattern={"^layers.0.self_attn.q_proj": 4, "layers.1.self_attn.v_proj": 3, r"layers\.[0-9].*k_proj": 1},
        alpha_pattern={"^layers.0.self_attn.q_proj": 8, "^self_attn.v_proj": 64, "layers.1.self_attn.v_proj": 7, "q_proj": 5},
    )
    t = peft_folder(name, TinyDecoder(), config)
    case = Case(name, "peft")
    by_hand = {
        "layers.0.self_attn.q_proj": 8 / 4,
        "layers.0.self_attn.k_proj": 2 / 1,
        "layers.0.self_attn.v_proj": 2 / 2,
        "layers.1.self_attn.q_proj": 5 / 2,
        "layers.1.self_attn.k_proj": 2 / 1,
        "layers.1.self_attn.v_proj": 7 / 3,
    }
    peft_expect(case, t, peft_deltas(HERE / name, TinyDecoder(), t), by_hand)

    name = "peft_rslora"
    config = LoraConfig(r=3, lora_alpha=2, target_modules=["q_proj", "k_proj"], use_rslora=True, rank_pattern={"k_proj": 4}, alpha_pattern={"layers.1.self_attn.k_proj": 1})
    t = peft_folder(name, TinyDecoder(), config)
    case = Case(name, "peft")

    def root_scale(i, p):
        if p == "q_proj":
            return 2 / math.sqrt(3)
        return (1 if i == 1 else 2) / math.sqrt(4)

    peft_expect(case, t, peft_deltas(HERE / name, TinyDecoder(), t), only(decoder_scales(root_scale), "q_proj", "k_proj"))

    name = "peft_fan_in_fan_out"
    t = peft_folder(name, TinyGPT(), LoraConfig(r=2, lora_alpha=3, target_modules=["c_attn", "c_proj"], fan_in_fan_out=True))
    case = Case(name, "peft", fan_in_fan_out=True)
    modules = ["transformer.h.0.attn.c_attn", "transformer.h.0.attn.c_proj", "transformer.h.0.mlp.c_proj"]
    peft_expect(case, t, peft_deltas(HERE / name, TinyGPT(), t), {m: 3 / 2 for m in modules}, transposed=True)

    name = "peft_conv"
    t = peft_folder(name, TinyConvs(), LoraConfig(r=2, lora_alpha=1, target_modules=["square", "oblong", "point", "line"]))
    case = Case(name, "peft")
    peft_expect(case, t, peft_deltas(HERE / name, TinyConvs(), t), {m: 1 / 2 for m in ["square", "oblong", "point", "line"]})

    name = "peft_default_name"
    t = peft_folder(name, TinyDecoder(), LoraConfig(r=2, lora_alpha=3, target_modules=["k_proj"]), raw_names=True)
    assert all(".default." in k for k in t)
    case = Case(name, "peft")
    found = peft_deltas(HERE / name, TinyDecoder(), as_float64(t), raw_names=True)
    peft_expect(case, t, found, only(decoder_scales(lambda i, p: 3 / 2), "k_proj"), infix=".default")

    name = "peft_bin"
    t = peft_folder(name, TinyDecoder(), LoraConfig(r=3, lora_alpha=6, target_modules=["v_proj"]), binary=True)
    case = Case(name, "peft", container="torch-pickle")
    peft_expect(case, t, peft_deltas(HERE / name, TinyDecoder(), t), only(decoder_scales(lambda i, p: 2.0), "v_proj"))


# ---------------------------------------------------------------------------------------------------------------------
# cloneofsimo: numbered targets


def make_cloneofsimo():
    g = generator("cloneofsimo")
    t, case = {}, Case("cloneofsimo.safetensors", "cloneofsimo", embeddings={"<s1>": [1, 6]})
    meta = {"unet": json.dumps(["CrossAttention", "Attention", "GEGLU"]), "text_encoder": json.dumps(["CLIPAttention"])}
    shapes = [("unet", 0, 8, 8, 2), ("unet", 1, 8, 6, 2), ("unet", 2, 16, 8, 1), ("unet", 10, 8, 8, 2)]
    shapes += [("text_encoder", 0, 6, 6, 2), ("text_encoder", 1, 6, 6, 1)]
    for part, index, rows, columns, rank in shapes:
        up, down = normal(g, rows, rank).to(torch.float16), normal(g, rank, columns).to(torch.float16)
        t[f"{part}:{index}:up"], t[f"{part}:{index}:down"] = up, down
        meta[f"{part}:{index}:rank"] = str(rank)
        formula = plain_delta(up, down, 1.0)
        case.add(f"{part}:{index}", (up.to(torch.float64) @ down.to(torch.float64)).numpy(), formula, rank, 1.0, "formula")
    t["<s1>"] = normal(g, 1, 6)
    meta["<s1>"] = "<embed>"
    write_safetensors(case.file, t, meta)

    # A bare list up, down, up, down, ...; one a parameter, one a transposed view, two sharing a storage, one zero.
    g = generator("cloneofsimo_list")
    case = Case("cloneofsimo_list.pt", "cloneofsimo", container="torch-pickle")
    half = torch.float16
    shared = normal(g, 2, 12).to(half)
    items = [
        nn.Parameter(normal(g, 8, 2).to(half)),
        nn.Parameter(normal(g, 2, 6).to(half)),
        normal(g, 3, 8).to(half).T,
        normal(g, 8, 3).to(half).T,
        normal(g, 6, 2).to(half),
        shared[:, :6],
        torch.zeros(6, 2, dtype=half),
        shared[:, 6:],
    ]
    torch.save(items, HERE / case.file)
    back = torch.load(HERE / case.file, weights_only=True)
    assert len(back) == len(items) and all(torch.equal(a, b) for a, b in zip(back, items))
    for i in range(0, len(back), 2):
        up, down = back[i].detach(), back[i + 1].detach()
        delta = (up.to(torch.float64) @ down.to(torch.float64)).numpy()
        case.add(str(i // 2), delta, plain_delta(up, down, 1.0), down.shape[0], 1.0, "formula")


# ---------------------------------------------------------------------------------------------------------------------
# XLabs (Flux) and native names (Wan)


def make_xlabs():
    from diffusers import FluxTransformer2DModel
    from diffusers.loaders import FluxLoraLoaderMixin

    g = generator("xlabs_flux")
    width, heads = 8, 2
    t, case = {}, Case("xlabs_flux.safetensors", "xlabs")
    wide = width + 4 * width
    plan = [
        ("double_blocks.0.processor.qkv_lora1", 3 * width, width, "double_blocks.0.img_attn.qkv", None),
        ("double_blocks.0.processor.qkv_lora2", 3 * width, width, "double_blocks.0.txt_attn.qkv", None),
        ("double_blocks.0.processor.proj_lora1", width, width, "double_blocks.0.img_attn.proj", None),
        ("double_blocks.0.processor.proj_lora2", width, width, "double_blocks.0.txt_attn.proj", None),
        ("single_blocks.0.processor.qkv_lora", 3 * width, width, "single_blocks.0.linear1", [0, 3 * width]),
        ("single_blocks.0.processor.proj_lora", width, wide, "single_blocks.0.linear2", None),
    ]
    for name, rows, columns, _, _ in plan:
        t[f"{name}.down.weight"] = normal(g, 2, columns)
        t[f"{name}.up.weight"] = normal(g, rows, 2)
    write_safetensors(case.file, t)

    model = zeroed(
        FluxTransformer2DModel(
            patch_size=1,
            in_channels=4,
            num_layers=1,
            num_single_layers=1,
            attention_head_dim=width // heads,
            num_attention_heads=heads,
            joint_attention_dim=6,
            pooled_projection_dim=6,
            axes_dims_rope=(0, 2, 2),
        )
    )
    state, alphas = FluxLoraLoaderMixin.lora_state_dict(dict(as_float64(t)), return_alphas=True)
    FluxLoraLoaderMixin.load_lora_into_transformer(as_float64(state), network_alphas=alphas, transformer=model)
    found = merged_weights(model)
    double, single = "transformer_blocks.0.attn", "single_transformer_blocks.0"
    parts = {
        "double_blocks.0.processor.qkv_lora1": [f"{double}.to_q", f"{double}.to_k", f"{double}.to_v"],
        "double_blocks.0.processor.qkv_lora2": [f"{double}.add_q_proj", f"{double}.add_k_proj", f"{double}.add_v_proj"],
        "double_blocks.0.processor.proj_lora1": [f"{double}.to_out.0"],
        "double_blocks.0.processor.proj_lora2": [f"{double}.to_add_out"],
        "single_blocks.0.processor.qkv_lora": [f"{single}.attn.to_q", f"{single}.attn.to_k", f"{single}.attn.to_v"],
        "single_blocks.0.processor.proj_lora": [f"{single}.proj_out"],
    }
    assert sorted(found) == sorted(p for group in parts.values() for p in group)
    for name, _, _, base, rows in plan:
        up, down = t[f"{name}.up.weight"], t[f"{name}.down.weight"]
        library = np.concatenate([found[p] for p in parts[name]], axis=0)
        notes = {"base": base} if rows is None else {"base": base, "base_rows": rows}
        case.add(name, library, plain_delta(up, down, 1.0), 2, 1.0, "diffusers", **notes)


def make_native():
    from diffusers import WanTransformer3DModel
    from diffusers.loaders import WanLoraLoaderMixin

    def wan():
        return zeroed(
            WanTransformer3DModel(
                patch_size=(1, 1, 1),
                num_attention_heads=2,
                attention_head_dim=6,
                in_channels=4,
                out_channels=4,
                text_dim=6,
                freq_dim=6,
                ffn_dim=10,
                num_layers=1,
            )
        )

    width = 12
    plan = [
        ("blocks.0.self_attn.q", "blocks.0.attn1.to_q", width, width, 2, 1.0),
        ("blocks.0.self_attn.o", "blocks.0.attn1.to_out.0", width, width, 2, 3.0),
        ("blocks.0.cross_attn.k", "blocks.0.attn2.to_k", width, width, 1, 0.5),
        ("blocks.0.ffn.0", "blocks.0.ffn.net.0.proj", 10, width, 2, 1.5),
    ]
    for label, down_name, up_name, with_alpha in [
        ("native_wan", "lora_A", "lora_B", False),
        ("native_wan_alpha", "lora_down", "lora_up", True),
    ]:
        g = generator(label)
        t = {}
        for module, _, rows, columns, rank, alpha in plan:
            stem = f"diffusion_model.{module}"
            t[f"{stem}.{down_name}.weight"] = normal(g, rank, columns)
            t[f"{stem}.{up_name}.weight"] = normal(g, rows, rank)
            if with_alpha:
                t[f"{stem}.alpha"] = scalar(alpha)
        case = Case(f"{label}.safetensors", "native")
        write_safetensors(case.file, t)
        model = wan()
        state = WanLoraLoaderMixin.lora_state_dict(dict(as_float64(t)))
        WanLoraLoaderMixin.load_lora_into_transformer(as_float64(state), transformer=model)
        found = merged_weights(model)
        assert set(found) == {p[1] for p in plan}
        for module, path, _, _, rank, alpha in plan:
            stem = f"diffusion_model.{module}"
            up, down = t[f"{stem}.{up_name}.weight"], t[f"{stem}.{down_name}.weight"]
            scale = alpha / rank if with_alpha else 1.0
            case.add(stem, found[path], plain_delta(up, down, scale), rank, scale, "diffusers", base=module)


# ---------------------------------------------------------------------------------------------------------------------
# Other algorithms: real modules' state dicts, to be recognised and refused


@torch.no_grad()
def lycoris_tensors(gen, prefix, kind, layer, **settings):
    """State dict of one LyCORIS module with random values, under its name."""
    module = kind(prefix, layer, 1.0, **settings)
    for name, parameter in sorted(module.named_parameters()):
        parameter.copy_(normal(gen, *parameter.shape))
    return {f"{prefix}.{k}": v.detach().clone() for k, v in module.state_dict().items()}


def make_unsupported():
    from lycoris.modules.boft import ButterflyOFTModule
    from lycoris.modules.diag_oft import DiagOFTModule
    from lycoris.modules.full import FullModule
    from lycoris.modules.glora import GLoRAModule
    from lycoris.modules.ia3 import IA3Module
    from lycoris.modules.locon import LoConModule
    from lycoris.modules.loha import LohaModule
    from lycoris.modules.lokr import LokrModule
    from lycoris.modules.norms import NormModule
    from peft import LoraConfig

    def linear(seed, columns=8, rows=8):
        torch.manual_seed(seed)  # layers start from torch's default random weights
        return nn.Linear(columns, rows)

    def conv(seed):
        torch.manual_seed(seed)
        return nn.Conv2d(4, 8, 3, padding=1)

    first, second, conv_in = f"{ATTN}_attn1_to_q", f"{ATTN}_attn2_to_k", "lora_unet_conv_in"

    plans = {
        "kohya_loha": ("loha", LohaModule, [
            (first, "linear", dict(lora_dim=2, alpha=1)),
            (conv_in, "conv", dict(lora_dim=2, alpha=1, use_tucker=True)),
        ]),
        "kohya_lokr": ("lokr", LokrModule, [
            (first, "linear", dict(lora_dim=1, alpha=1, factor=2)),
            (second, "linear", dict(lora_dim=100, alpha=100, factor=2)),
            (conv_in, "conv", dict(lora_dim=1, alpha=1, factor=2, use_tucker=True)),
        ]),
        "kohya_glora": ("glora", GLoRAModule, [(first, "linear", dict(lora_dim=2, alpha=1)), (conv_in, "conv", dict(lora_dim=2, alpha=1))]),
        "kohya_dora": ("dora", LoConModule, [
            (first, "linear", dict(lora_dim=2, alpha=1, weight_decompose=True, wd_on_out=True)),
            (second, "linear", dict(lora_dim=2, alpha=1, weight_decompose=True, wd_on_out=False)),
            (conv_in, "conv", dict(lora_dim=2, alpha=1, weight_decompose=True, wd_on_out=True)),
        ]),
        "kohya_oft": ("oft", DiagOFTModule, [(first, "linear", dict(lora_dim=4)), (conv_in, "conv", dict(lora_dim=4, rescaled=True))]),
        "kohya_boft": ("boft", ButterflyOFTModule, [(first, "linear", dict(lora_dim=4)), (conv_in, "conv", dict(lora_dim=4))]),
        "kohya_ia3": ("ia3", IA3Module, [
            (first, "linear", dict(train_on_input=True)),
            (second, "linear", dict(train_on_input=False)),
        ]),
    }
    for label, (algorithm, kind, modules) in plans.items():
        g = generator(label)
        t, case = {}, Case(f"{label}.safetensors", "kohya")
        for i, (name, shape, settings) in enumerate(modules):
            layer = linear(SEEDS[label] + i) if shape == "linear" else conv(SEEDS[label] + i)
            t.update(lycoris_tensors(g, name, kind, layer, **settings))
            case.unsupported[name] = algorithm
        write_safetensors(case.file, t, {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": algorithm})})

    # Whole-weight differences, with and without a bias, and one that has only a bias.
    g = generator("kohya_full")
    t, case = {}, Case("kohya_full.safetensors", "kohya")
    for i, name in enumerate([first, conv_in]):
        layer = linear(SEEDS["kohya_full"]) if i == 0 else conv(SEEDS["kohya_full"] + 1)
        module = FullModule(name, layer, 1.0)
        module.apply_to()
        with torch.no_grad():
            module.weight.copy_(module.weight + normal(g, *module.weight.shape))
            module.bias.copy_(module.bias + normal(g, *module.bias.shape))
        state = module.custom_state_dict()
        assert set(state) == {"diff", "diff_b"}
        t.update({f"{name}.{k}": v.detach().clone() for k, v in state.items()})
        case.unsupported[name] = "full"
    t[f"{second}.diff_b"] = normal(g, 8)
    case.unsupported[second] = "full"
    write_safetensors(case.file, t, {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"algo": "full"})})

    g = generator("kohya_norm")
    t, case = {}, Case("kohya_norm.safetensors", "kohya")
    for name, layer in [
        (f"{ATTN}_norm1", nn.LayerNorm(8)),
        ("lora_unet_down_blocks_0_resnets_0_norm1", nn.GroupNorm(4, 8)),
    ]:
        t.update(lycoris_tensors(g, name, NormModule, layer))
        case.unsupported[name] = "norm"
    write_safetensors(case.file, t, {"ss_network_module": "lycoris.kohya", "ss_network_args": json.dumps({"train_norm": "True"})})

    # One file with LoRA targets among modules of other kinds.
    g = generator("kohya_several_kinds")
    t, case = {}, Case("kohya_several_kinds.safetensors", "kohya")
    lora = {}
    kohya_target(lora, first, normal(g, 8, 2), normal(g, 2, 8), scalar(1))
    kohya_target(lora, second, normal(g, 8, 2), normal(g, 2, 6), scalar(2))
    kohya_expect(case, lora)
    t.update(lora)
    t.update(lycoris_tensors(g, f"{ATTN}_attn1_to_k", LohaModule, linear(SEEDS["kohya_several_kinds"]), lora_dim=2, alpha=1))
    t.update(lycoris_tensors(g, f"{ATTN}_attn1_to_v", LokrModule, linear(SEEDS["kohya_several_kinds"] + 1), lora_dim=1, alpha=1, factor=2))
    t.update(lycoris_tensors(g, f"{ATTN}_norm1", NormModule, nn.LayerNorm(8)))
    case.unsupported = {f"{ATTN}_attn1_to_k": "loha", f"{ATTN}_attn1_to_v": "lokr", f"{ATTN}_norm1": "norm"}
    write_safetensors(case.file, t)

    torch.manual_seed(SEEDS["peft_dora"])
    name = "peft_dora"
    t = peft_folder(name, TinyDecoder(), LoraConfig(r=2, lora_alpha=2, target_modules=["q_proj"], use_dora=True))
    assert any("lora_magnitude_vector" in k for k in t)
    case = Case(name, "peft")
    for i in range(2):
        case.unsupported[f"base_model.model.layers.{i}.self_attn.q_proj"] = "dora"


# ---------------------------------------------------------------------------------------------------------------------


def main():
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)
    import transformers

    transformers.utils.logging.disable_progress_bar()
    for old in HERE.iterdir():
        if old.name == "make.py" or old.name.startswith("."):
            continue
        shutil.rmtree(old) if old.is_dir() else old.unlink()

    make_kohya()
    make_diffusers()
    make_peft()
    make_cloneofsimo()
    make_xlabs()
    make_native()
    make_unsupported()

    assert set(SEEDS) == {pathlib.PurePath(c.file).name.split(".")[0] for c in Case.all}
    versions = {"python": platform.python_version()}
    for package in ["torch", "numpy", "safetensors", "diffusers", "transformers", "peft", "lycoris-lora"]:
        versions[package] = importlib.metadata.version(package)
    text = '{"versions":' + compact(versions) + ',\n"seeds":' + compact(SEEDS) + ',\n"files":[\n'
    text += ",\n".join(c.text() for c in Case.all) + "\n]}\n"
    json.loads(text)
    (HERE / "expected.json").write_text(text, encoding="utf-8")
    print(f"{len(Case.all)} adapters, {sum(len(c.targets) for c in Case.all)} targets, expected.json {len(text)} characters")


if __name__ == "__main__":
    sys.exit(main())
