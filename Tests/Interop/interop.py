"""Opens adapters that Lathe wrote in diffusers, PEFT and LyCORIS, and compares the weights that come of them with
Lathe's bake of what went in.

    python interop.py LATHE FOLDER      the built program, and a folder for files

A difference is ‖W − W'‖ ÷ ‖W − base‖, the worst one of all weights that change: it is about the deltas alone. It may be
1e-5: both sides add in single precision, in another order. A weight that should change and is not there fails.

    diffusers   load_lora_weights on a pipeline, then the weight and get_delta_weight of every PEFT layer
    PEFT        PeftModel.from_pretrained and merge_and_unload, network by network
    LyCORIS     create_network_from_weights and merge_to; it is given modules under the names that trainers know, which
                are the original authors' for SDXL
"""

import json
import logging as python_logging
import pathlib
import shutil
import subprocess
import sys

import torch
import lycoris.kohya
from authors import authors_name
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
failures, losses = [], []
# (what wrote the file, its dialect, the reader) -> the worst relative error and how many files
cells = {}
python_logging.disable(python_logging.WARNING)


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
        """The weights after PEFT has loaded and merged the adapter: of the UNet, or of every network that has a folder."""
        networks, found = self.networks(), {}
        for key, network in networks.items():
            place = folder / key
            if key == "unet" and not place.exists():
                place = folder
            if (place / "adapter_config.json").exists():
                # Files have this level, as most versions of transformers do; some networks of the newest have not.
                mapping = None if key == "unet" or hasattr(network, "text_model") else {r"^text_model\.": ""}
                found[key] = PeftModel.from_pretrained(network, str(place), key_mapping=mapping).merge_and_unload()
        return self.weights(found)

    def in_lycoris(self, adapter):
        """The weights after LyCORIS has merged the adapter."""
        networks = self.networks()
        unet = renamed(networks["unet"], authors_name if self.is_xl else str)
        encoders = [
            renamed(network, lambda name: name if name.startswith("text_") else f"text_model.{name}")
            for key, network in networks.items()
            if key != "unet"
        ]
        network, tensors = lycoris.kohya.create_network_from_weights(
            1, str(adapter), None, encoders if self.is_xl else encoders[0], unet
        )
        modules = {name.split(".")[0] for name in tensors}
        missed = modules - {module.lora_name for module in network.unet_loras + network.text_encoder_loras}
        if missed:
            failures.append(f"{adapter.name}: LyCORIS passes {len(missed)} targets over ({min(missed)})")
        network.merge_to(encoders, unet, tensors, torch.float32, "cpu")
        return self.weights(networks)

    def baked(self, *adapters):
        place = WORK / f"baked-{len(list(WORK.glob('baked-*')))}"
        lathe("bake", self.folder, *adapters, "-o", place, "--dtype", "f32")
        found = {}
        for key in ("unet", "text_encoder", "text_encoder_2"):
            for file in (place / key).glob("*.safetensors"):
                found |= {f"{key}/{self.plain(n)}": v.double() for n, v in load_file(file).items() if v.is_floating_point()}
        shutil.rmtree(place)
        place.mkdir()
        return found

    def compare(self, cell, file, expected):
        """Opens `file` in the reader that `cell` names, and compares what comes of it."""
        reader = {"diffusers": lambda f: self.in_diffusers(f)[0], "PEFT": self.in_peft, "LyCORIS": self.in_lycoris}[cell[2]]
        title = f"{self.folder.name}: {' / '.join(cell)} ({file.name})"
        if cell[2] == "diffusers" and None in scales_said(file).values():
            return self.check_loss(title, file)
        found, worst, count = reader(file), 0.0, 0
        for name, value in expected.items():
            if torch.equal(value, self.before[name]) or (file.is_dir() and name.split("/")[0] not in folders(file)):
                continue
            if name not in found:
                failures.append(f"{title}: {name} is missing")
                return
            error = float((found[name] - value).norm() / (value - self.before[name]).norm())
            worst, count = (error if not error <= worst else worst), count + 1
        others = [n for n in found if n in expected and torch.equal(expected[n], self.before[n])]
        moved = [n for n in others if not torch.equal(found[n], self.before[n])]
        print(f"{worst:9.1e}  {count:4} weights  {title}")
        if not worst <= LIMIT or count == 0 or moved:
            failures.append(title + (f": {moved[0]} changed" if moved else ""))
        before, files = cells.get(cell, (0.0, 0))
        cells[cell] = (worst if not worst <= before else before, files + 1)


    def check_loss(self, title, file):
        """A file that diffusers cannot open, or of which it leaves targets out, must be one of which Lathe says so."""
        said = sum(1 for scale in scales_said(file).values() if scale is not None)
        try:
            loaded = len(self.in_diffusers(file)[1])
        except ValueError:
            loaded = 0
        print(f"    loses  {loaded:4} loaded   {title}; inspect --loaders says {said}")
        losses.append(title)
        if loaded != said:
            failures.append(f"{title}: diffusers loads {loaded} targets, and inspect --loaders says {said}")


def scales_said(file):
    """What `inspect --loaders` says that diffusers multiplies every target by; None for one that it passes over."""
    report = json.loads(lathe("inspect", "--loaders", "--json", file))
    diffusers = next(loader for loader in report["loaders"]["loaders"] if loader["name"] == "diffusers")
    scales = {target["name"]: target["scale"] if diffusers["loaded"] else None for target in report["targets"]}
    for target in report["loaders"]["targets"]:
        scales[target["name"]] = target["scales"]["diffusers"]
    return scales


def folders(place):
    """The networks that a PEFT adapter has folders for; of a single one the UNet."""
    return [child.name for child in place.iterdir() if child.is_dir()] or ["unet"]


def renamed(network, rename):
    """The layers of a network under other names; they are the same objects."""
    root = torch.nn.Module()
    for name, module in network.named_modules():
        if not isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            continue
        place, *path = root, *rename(name).split(".")
        for word in path[:-1]:
            if word not in place._modules:
                place.add_module(word, torch.nn.Module())
            place = place._modules[word]
        place.add_module(path[-1], module)
    return root


def layers(base, convolutions=True):
    """Every layer that diffusers can load an adapter for: kohya's name, the weight's shape, and where it is."""
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
            prefix = {"unet": "lora_unet_", "text_encoder": "lora_te1_" if base.is_xl else "lora_te_"}.get(key, "lora_te2_")
            plain = ("text_model." if is_text else "") + base.plain(name)
            # Kohya's names of SDXL are the original authors'.
            plain = authors_name(plain) if base.is_xl and not is_text else plain
            yield prefix + plain.replace(".", "_"), module.weight.shape, f"{key}/{base.plain(name)}"


def random_adapter(base, path, seed, ranks, alphas):
    """An adapter with kohya's names: ranks and alphas take turns."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for count, (name, shape, _) in enumerate(layers(base)):
        rank, ends = ranks[count % len(ranks)], [1] * len(shape[2:])
        tensors[f"{name}.lora_down.weight"] = torch.randn(rank, *shape[1:], generator=generator) * 0.2
        tensors[f"{name}.lora_up.weight"] = torch.randn(shape[0], rank, *ends, generator=generator) * 0.2
        tensors[f"{name}.alpha"] = torch.tensor(float(alphas[count % len(alphas)]))
    save_file(tensors, path)
    return path


def random_products(base, path, seed, kind):
    """An adapter of LyCORIS' LoHa or LoKr, or of whole differences, for the matrices.

    Their scale is 1: LyCORIS 4.1.3 applies that of a LoHa or LoKr twice when it merges, and once when it runs.
    """
    generator, tensors = torch.Generator().manual_seed(seed), {}

    def draw(*shape):
        return torch.randn(*shape, generator=generator) * 0.3

    for name, shape, _ in layers(base, convolutions=False):
        if len(shape) != 2:
            continue
        rows, columns = shape
        if kind == "LoHa":
            alpha = 2
            for part in ("1", "2"):
                tensors[f"{name}.hada_w{part}_a"] = draw(rows, 2)
                tensors[f"{name}.hada_w{part}_b"] = draw(2, columns)
        elif kind == "LoKr":
            tensors[f"{name}.lokr_w1"] = draw(2, 2)
            # LyCORIS expects a whole second factor where the rank is not below half its width.
            if max(rows, columns) // 2 > 2:
                tensors[f"{name}.lokr_w2_a"] = draw(rows // 2, 1)
                tensors[f"{name}.lokr_w2_b"] = draw(1, columns // 2)
            else:
                tensors[f"{name}.lokr_w2"] = draw(rows // 2, columns // 2)
            alpha = 1
        else:
            tensors[f"{name}.diff"] = draw(rows, columns)
            continue
        tensors[f"{name}.alpha"] = torch.tensor(float(alpha))
    save_file(tensors, path)
    return path


def check_pipeline(folder):
    base = Base(folder)
    here = WORK / base.folder.name
    here.mkdir()
    plain = random_adapter(base, here / "plain.safetensors", 1, [4], [2])
    mixed = random_adapter(base, here / "mixed.safetensors", 2, [2, 4, 3], [1, 3, 2, 5])
    check_conversions(base, [plain, mixed])
    for kind in ("LoHa", "LoKr", "diff"):
        source = random_products(base, here / f"{kind}.safetensors", 3, kind)
        check_conversions(base, [source], f"convert {kind}")
    check_resizes(base, [plain, mixed])
    check_merges(base, plain, mixed)
    check_loaders(base, mixed)


def written(path, *arguments):
    lathe(*arguments, "-o", path, "--force")
    return path


def check_conversions(base, sources, title="convert"):
    here = sources[0].parent
    for source in sources:
        expected, stem = base.baked(source), source.stem
        # The input itself: does Lathe's bake agree with the trainer's own library?
        base.compare(("as trained", "kohya", "LyCORIS"), source, expected)
        dotted = written(here / f"{stem}-diffusers.safetensors", "convert", source, "--to", "diffusers")
        base.compare((title, "diffusers", "diffusers"), dotted, expected)
        peft = written(here / f"{stem}-peft", "convert", dotted, "--to", "peft")
        base.compare((title, "peft", "PEFT"), peft, expected)
        flat = written(here / f"{stem}-kohya.safetensors", "convert", peft, "--to", "kohya")
        base.compare((title, "kohya", "LyCORIS"), flat, expected)
        even = written(here / f"{stem}-even.safetensors", "convert", source, "--to", "kohya", "--normalise")
        base.compare((title + " --normalise", "kohya", "diffusers"), even, expected)
        base.compare((title + " --normalise", "kohya", "LyCORIS"), even, expected)


def check_resizes(base, sources):
    here = sources[0].parent
    for source in sources:
        stem = source.stem
        inputs = {
            "kohya": (source, ("LyCORIS", "diffusers")),
            "diffusers": (here / f"{stem}-diffusers.safetensors", ("diffusers",)),
            "peft": (here / f"{stem}-peft" / "unet", ("PEFT",)),
        }
        for dialect, (file, readers) in inputs.items():
            tensors = file / "adapter_model.safetensors" if file.is_dir() else file
            for rule in (["--rank", 2], ["--size", tensors.stat().st_size * 3 // 4], ["--energy", 0.9]):
                out = written(here / f"resized-{dialect}{'' if file.is_dir() else '.safetensors'}", "resize", file, *rule)
                expected = base.baked(out)
                for reader in readers:
                    base.compare((f"resize {rule[0]}", dialect, reader), out, expected)


def check_merges(base, first, second):
    here = first.parent
    expected = base.baked(f"{first}@0.7", f"{second}@-0.4")
    for dialect, readers in (("kohya", ("LyCORIS", "diffusers")), ("diffusers", ("diffusers",)), ("peft", ("PEFT",))):
        ending = "/unet" if dialect == "peft" else ".safetensors"
        parts = [here / f"{file.stem}-{dialect}{ending}" for file in (first, second)]
        for rule in ([], ["--rank", 3]):
            out = here / f"merged-{dialect}{'' if dialect == 'peft' else '.safetensors'}"
            written(out, "merge", f"{parts[0]}@0.7", f"{parts[1]}@-0.4", *rule)
            for reader in readers:
                base.compare((" ".join(["merge", *rule[:1]]), dialect, reader), out, base.baked(out) if rule else expected)


def check_loaders(base, adapter):
    """The scales that `inspect --loaders` says diffusers would apply are those that it applies."""
    scales = scales_said(adapter)
    actual = base.in_diffusers(adapter)[1]
    wrong = [name for name, _, place in layers(base) if not abs(scales[name] - actual[place]) < 1e-9]
    print(f"{len(wrong):9}  {len(actual):4} scales   {base.folder.name}: inspect --loaders")
    if wrong or len(actual) != len(scales):
        failures.append(f"{base.folder.name}: inspect --loaders: {len(wrong)} scales ({''.join(wrong[:1])})")


def check_toybox():
    base, adapters = Base("Examples/Toybox/model"), ROOT / "Examples/Toybox/adapters"
    here = WORK / "toybox"
    here.mkdir()
    for name in ("sketch.safetensors", "neon", "popart.safetensors", "glitter.safetensors"):
        source, expected, stem = adapters / name, base.baked(adapters / name), name.split(".")[0]
        for dialect, reader, ending in (("kohya", "LyCORIS", ".safetensors"), ("diffusers",) * 2 + (".safetensors",), ("peft", "PEFT", "")):
            out = written(here / f"{stem}-{dialect}{ending}", "convert", source, "--to", dialect)
            base.compare(("convert", dialect, reader), out, expected)


check_pipeline("Tests/Goldens/diffusion/sd1-pipeline")
check_pipeline("Tests/Goldens/diffusion/sdxl-pipeline")
check_toybox()
print(f"\n{'written by':28} {'dialect':10} {'reader':10} {'files':>5}  worst relative error")
for (title, dialect, reader), (worst, files) in sorted(cells.items()):
    print(f"{title:28} {dialect:10} {reader:10} {files:5}  {worst:.1e}")
if failures:
    sys.exit("differ:\n" + "\n".join(failures))
print("\ndiffusers, PEFT and LyCORIS read from these files what Lathe bakes")
if losses:
    print("but diffusers cannot read all of these, as `inspect --loaders` says of them:\n" + "\n".join(losses))
