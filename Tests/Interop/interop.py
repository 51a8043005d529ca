"""Opens adapters that Lathe wrote in diffusers and PEFT, and compares the weights that come of them with Lathe's bake.

    python interop.py LATHE FOLDER      the built program, and a folder for files

Every difference is ‖W − W'‖ ÷ ‖W − base‖ over all weights of a network, so that it is about the deltas alone. It may be
1e-5: both sides add in single precision, in another order.
"""

import json
import pathlib
import subprocess
import sys

import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
from diffusers.utils import logging as diffusers_logging
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, CLIPTextModelWithProjection
from transformers.utils import logging

logging.set_verbosity_error()
logging.disable_progress_bar()
diffusers_logging.set_verbosity(diffusers_logging.CRITICAL)
torch.set_grad_enabled(False)
torch.set_num_threads(2)
ROOT = pathlib.Path(__file__).resolve().parents[2]
LATHE, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
LIMIT = 1e-5
failures = []


def lathe(*arguments):
    done = subprocess.run([LATHE, *map(str, arguments)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"lathe {' '.join(map(str, arguments))}\n{done.stderr}")
    return done.stdout


class Base:
    """A pipeline's folder: its networks, fresh for every question, and what Lathe bakes of them."""

    def __init__(self, folder):
        self.folder = ROOT / folder
        self.is_xl = (self.folder / "text_encoder_2").exists()
        self.before = self.weights(self.networks())

    def networks(self):
        found = {"unet": UNet2DConditionModel.from_pretrained(self.folder / "unet", torch_dtype=torch.float32)}
        found["text_encoder"] = CLIPTextModel.from_pretrained(self.folder / "text_encoder", dtype=torch.float32)
        if self.is_xl:
            found["text_encoder_2"] = CLIPTextModelWithProjection.from_pretrained(
                self.folder / "text_encoder_2", dtype=torch.float32
            )
        return found

    @staticmethod
    def plain(name):
        # Newer versions of transformers leave out this level.
        return name.replace("text_model.", "")

    def weights(self, networks):
        return {
            f"{key}/{self.plain(name)}": value.double()
            for key, network in networks.items()
            for name, value in network.state_dict().items()
            if value.is_floating_point()
        }

    def pipeline(self, networks):
        if self.is_xl:
            return StableDiffusionXLPipeline(
                vae=None, tokenizer=None, tokenizer_2=None, scheduler=None, add_watermarker=False, **networks
            )
        return StableDiffusionPipeline(
            vae=None, tokenizer=None, scheduler=None, safety_checker=None, feature_extractor=None,
            requires_safety_checker=False, **networks,
        )  # fmt: skip

    def in_diffusers(self, adapter):
        """The weights after diffusers has loaded and fused the adapter, and the scale of every target."""
        networks = self.networks()
        pipeline = self.pipeline(networks)
        pipeline.load_lora_weights(str(adapter.parent), weight_name=adapter.name)
        scales, result = {}, {}
        for key, network in networks.items():
            weights = dict(network.named_parameters())
            for name, module in network.named_modules():
                if not isinstance(module, BaseTunerLayer):
                    continue
                (active,) = module.scaling
                scales[f"{key}/{self.plain(name)}"] = module.scaling[active]
                base = weights[f"{name}.base_layer.weight"]
                base += module.get_delta_weight(active).reshape(base.shape)
            result |= {
                f"{key}/{self.plain(name).replace('.base_layer', '')}": value.double()
                for name, value in weights.items()
                if "lora_" not in name
            }
        return result, scales

    def in_peft(self, folder):
        """The UNet's weights after PEFT has loaded and merged the adapter."""
        unet = self.networks()["unet"]
        merged = PeftModel.from_pretrained(unet, str(folder)).merge_and_unload()
        return self.weights({"unet": merged})

    def baked(self, adapter):
        place = WORK / f"baked-{len(list(WORK.glob('baked-*')))}"
        lathe("bake", self.folder, adapter, "-o", place, "--dtype", "f32")
        found = {}
        for key in ("unet", "text_encoder", "text_encoder_2"):
            for file in (place / key).glob("*.safetensors"):
                found |= {f"{key}/{self.plain(n)}": v.double() for n, v in load_file(file).items() if v.is_floating_point()}
        return found

    def compare(self, title, found, expected, only=""):
        names = [name for name in expected if name.startswith(only) and name in found and name in self.before]
        lost = sum(((found[n] - expected[n]) ** 2).sum() for n in names)
        whole = sum(((expected[n] - self.before[n]) ** 2).sum() for n in names)
        difference = float((lost / whole).sqrt()) if whole > 0 else float("nan")
        changed = sum(1 for n in names if not torch.equal(expected[n], self.before[n]))
        print(f"{difference:9.1e}  {changed:4} weights  {self.folder.name}: {title}")
        if not difference <= LIMIT:
            failures.append(title)


def random_adapter(base, path, seed, ranks, alphas, convolutions=True):
    """An adapter with kohya's names for every layer that diffusers can load one for: ranks and alphas take turns."""
    generator, tensors, count = torch.Generator().manual_seed(seed), {}, 0
    for key, network in base.networks().items():
        for name, module in network.named_modules():
            kind = type(module).__name__
            is_text = key != "unet"
            if is_text and not name.endswith(("q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2")):
                continue
            in_attention = any(word in name for word in (".attn1.to_", ".attn2.to_", ".ff.net.", ".proj_in", ".proj_out"))
            in_convolution = convolutions and name.endswith(("conv1", "conv2", "time_emb_proj", "conv_shortcut"))
            if kind not in ("Linear", "Conv2d") or not (is_text or in_attention or in_convolution):
                continue
            rank, alpha = ranks[count % len(ranks)], alphas[count % len(alphas)]
            shape, count = module.weight.shape, count + 1
            prefix = {"unet": "lora_unet_", "text_encoder": "lora_te1_" if base.is_xl else "lora_te_"}.get(key, "lora_te2_")
            path_in_file = ("text_model." if is_text else "") + base.plain(name)
            flat = prefix + path_in_file.replace(".", "_")
            ends = list(shape[2:])
            tensors[f"{flat}.lora_down.weight"] = torch.randn(rank, *shape[1:], generator=generator) * 0.2
            tensors[f"{flat}.lora_up.weight"] = torch.randn(shape[0], rank, *[1] * len(ends), generator=generator) * 0.2
            tensors[f"{flat}.alpha"] = torch.tensor(float(alpha))
    save_file(tensors, path)
    return path


def check_pipeline(folder):
    base = Base(folder)
    here = WORK / base.folder.name
    here.mkdir()
    plain = random_adapter(base, here / "plain.safetensors", 1, [4], [2])
    mixed = random_adapter(base, here / "mixed.safetensors", 2, [2, 4, 3], [1, 3, 2, 5])
    if base.is_xl:
        # Kohya's names of SDXL are the original authors'.
        for file in (plain, mixed):
            lathe("convert", file, "-o", file, "--to", "kohya", "--force")
    expected = {file: base.baked(file) for file in (plain, mixed)}

    out = here / "out.safetensors"
    for file in (plain, mixed):
        lathe("convert", file, "-o", out, "--to", "diffusers", "--force")
        base.compare(f"convert {file.name} --to diffusers", base.in_diffusers(out)[0], expected[file])
        lathe("convert", file, "-o", out, "--normalise", "--force")
        base.compare(f"convert {file.name} --normalise", base.in_diffusers(out)[0], expected[file])
        peft = here / f"peft-{file.stem}"
        lathe("convert", file, "-o", peft, "--to", "peft")
        base.compare(f"convert {file.name} --to peft, in PEFT", base.in_peft(peft / "unet"), expected[file], "unet/")
        lathe("convert", peft, "-o", out, "--to", "diffusers", "--force")
        base.compare(f"convert {peft.name} --to diffusers", base.in_diffusers(out)[0], expected[file])

    lathe("resize", mixed, "-o", out, "--rank", 2, "--force")
    base.compare("resize mixed.safetensors", base.in_diffusers(out)[0], base.baked(out))
    for name in ("kohya", "diffusers"):
        parts = [here / f"{file.stem}-{name}.safetensors" for file in (plain, mixed)]
        for file, part in zip((plain, mixed), parts):
            lathe("convert", file, "-o", part, "--to", name)
        lathe("merge", f"{parts[0]}@0.7", f"{parts[1]}@-0.4", "-o", out, "--force")
        base.compare(f"merge in the {name} dialect", base.in_diffusers(out)[0], base.baked(out))
    check_loaders(base, mixed)


def check_loaders(base, adapter):
    """The scales that `inspect --loaders` says diffusers would apply are those that it applies."""
    report = json.loads(lathe("inspect", "--loaders", "--json", adapter))
    scales = {target["name"]: target["scale"] for target in report["targets"]}
    for target in report["loaders"]["targets"]:
        scales[target["name"]] = target["scales"]["diffusers"]
    actual = base.in_diffusers(adapter)[1]
    wrong = abs(sum(scales.values()) - sum(actual.values()))
    same = sorted(round(value, 5) for value in scales.values()) == sorted(round(value, 5) for value in actual.values())
    differing = len(report["loaders"]["targets"])
    print(f"{wrong:9.1e}  {len(actual):4} scales   {base.folder.name}: inspect --loaders, {differing} targets misread by some")
    if not same or differing == 0:
        failures.append("inspect --loaders")


def check_toybox():
    base, adapters = Base("Examples/Toybox/model"), ROOT / "Examples/Toybox/adapters"
    here = WORK / "toybox"
    here.mkdir()
    for name in ("sketch.safetensors", "neon", "popart.safetensors", "glitter.safetensors"):
        source, expected = adapters / name, base.baked(adapters / name)
        stem = name.split(".")[0]
        for dialect in ("kohya", "diffusers"):
            out = here / f"{stem}-{dialect}.safetensors"
            lathe("convert", source, "-o", out, "--to", dialect)
            base.compare(f"{name} --to {dialect}", base.in_diffusers(out)[0], expected)
        lathe("convert", source, "-o", here / f"{stem}-peft", "--to", "peft")
        folder = here / f"{stem}-peft"
        folder = folder / "unet" if (folder / "unet").exists() else folder
        base.compare(f"{name} --to peft, in PEFT", base.in_peft(folder), expected, "unet/")


check_pipeline("Tests/Goldens/diffusion/sd1-pipeline")
check_pipeline("Tests/Goldens/diffusion/sdxl-pipeline")
check_toybox()
if failures:
    sys.exit("differ: " + ", ".join(failures))
print("diffusers and PEFT read from these files what Lathe bakes")
