#!/usr/bin/env python3
"""What cutting by pictures is worth: the Toybox's adapters at a share of their bytes, judged by latents of prompts that no
calibration saw.

  python3 Tests/Benchmarks/pictures.py LATHE [--all] [--pages FOLDER]
  python3 Tests/Benchmarks/pictures.py LATHE --gallery

Prints a table: error of the final latents (8 steps of DPM++ 2M, cfg 4, six pictures, same noise) as a share of the
adapter's effect, and SSIMULACRA2 of the pictures, for each way to cut; then the geometric means relative to today's way.
With --all adapters that settings were chosen on too; with --pages the audits' pages are kept. --gallery makes Examples/Smaller.md anew:
all seven adapters at three sizes, cut by size and by pictures with the better number format, with a picture of each.
"""
import json, math, os, shutil, subprocess, sys, tempfile

lathe = os.path.abspath(sys.argv[1])
toybox = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Examples/Toybox")
base = os.path.join(toybox, "model")
calibration = """a red robot with a blue hat on the beach
a yellow cat waving under the night sky
a purple ghost in a forest
a blue knight with a yellow scarf in the desert
a pink rabbit with green glasses in a meadow
a green monster jumping in the city
a white rabbit with a red crown in the snow
an orange cat with a purple bow on a plain background""".splitlines()
judged = """a tiny orange monster with a white scarf on the beach
a blue ghost with a red balloon in the city
a green knight waving in the snow
a purple cat with yellow glasses under the night sky
a white robot jumping in a forest
a red rabbit with a green bow in the desert""".splitlines()
held_out = [("blueprint.safetensors", s) for s in (10, 25)] + [("neon", s) for s in (10, 25)] + [
    ("glitter.safetensors", s) for s in (10, 25)]
others = [(f"{name}.safetensors", s) for name in ("popart", "lumi", "sepia-r64", "sketch") for s in (5, 10, 25)]
cases = held_out + (others if "--all" in sys.argv else [])
gallery = os.path.join(toybox, "..") if "--gallery" in sys.argv else None
if gallery:
    cases = [(name, s) for name in (
        "sepia-r64.safetensors", "popart.safetensors", "lumi.safetensors", "sketch.safetensors", "blueprint.safetensors", "neon",
        "glitter.safetensors") for s in (5, 10, 25)]
pages = sys.argv[sys.argv.index("--pages") + 1] if "--pages" in sys.argv else None
if pages:
    os.makedirs(pages, exist_ok=True)
ways = {
    "size": ["--weigh", "absolute"],
    "1/|W|2": ["--weigh", "base", "--base", base],
    "pictures": ["--weigh", "pictures", "--base", base],
    "size, auto": ["--weigh", "absolute", "--dtype", "auto"],
    "pictures, auto": ["--weigh", "pictures", "--base", base, "--dtype", "auto"],
}
if gallery:
    ways = {way: ways[way] for way in ("size", "pictures, auto")}


def run(*arguments):
    done = subprocess.run([lathe, *arguments, "--json"], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        sys.exit(f"{' '.join(arguments)}\n{done.stderr}")
    return json.loads(done.stdout)


with tempfile.TemporaryDirectory() as work:
    texts = {}
    for name, prompts in (("calibration", calibration), ("judged", judged)):
        # lumi is a word of its own adapter.
        for lumi in (False, True):
            path = texts[name, lumi] = os.path.join(work, f"{name}-{lumi}.txt")
            with open(path, "w") as file:
                for line in prompts:
                    words = line.split()
                    character = next(i for i, w in enumerate(words) if w in "robot cat ghost knight rabbit monster".split())
                    if lumi:
                        words[character - 1:character + 1] = ["lumi", "owl"]
                    file.write(" ".join(words) + "\n")
    ratios, shown = {way: [] for way in ways}, {}
    print("| adapter, share of bytes | " + " | ".join(ways) + " |")
    print("|--|" + "--|" * len(ways))
    for adapter, share in cases:
        path, lumi = os.path.join(toybox, "adapters", adapter), adapter.startswith("lumi")
        if adapter.split(".")[0] in ("neon", "glitter"):
            # PEFT's and diffusers' formats have no place for the scale that 8-bit factors need.
            kohya = os.path.join(work, adapter.split(".")[0] + "-kohya.safetensors")
            if not os.path.exists(kohya):
                run("convert", path, "--to", "kohya", "-o", kohya)
            path = kohya
        cells = {}
        for way, options in ways.items():
            output = os.path.join(work, "cut.safetensors")
            more = ["--prompts", texts["calibration", lumi], "--cfg", "4"] if "pictures" in way else []
            cut = run("resize", path, "-o", output, "--force", "--size", f"{share}%", *options, *more)
            assert cut["bytes"] <= share / 100 * os.path.getsize(path), (adapter, share, way)
            name = f"{adapter.split('.')[0]}-{share}-{way.replace('/', '').replace(', ', '-').replace('|', '')}"
            report = os.path.join(pages or work, name)
            found = run(
                "audit", base, "--before", path, "--after", output, "--prompts", texts["judged", lumi],
                "--strengths", "1", "--steps", "8", "--cfg", "4", "-o", report, "--force")
            checks = {check["name"]: check["value"] for check in found["checks"]}
            cells[way] = (float(checks["latents.effect_error"]), float(checks["pictures.ssimulacra2"]), cut)
            if gallery:
                pair, stem = found["pictures"][2], f"{adapter.split('.')[0]}-{share}-{way.replace(', ', '-')}"
                for side, name in (("before", f"{adapter.split('.')[0]}-whole"), ("after", stem)):
                    shutil.copyfile(os.path.join(report, pair[side]), os.path.join(gallery, "Gallery", f"smaller-{name}.png"))
                shown[adapter, share, way] = (stem, cells[way])
        print(f"| {adapter.split('.')[0]} {share} % | " + " | ".join(
            f"{cells[way][0]:.3f}/{cells[way][1]:.0f}" for way in ways) + " |", flush=True)
        if not gallery and (adapter, share) in held_out:
            for way in ways:
                ratios[way].append(cells[way][0] / cells["size"][0])
    if not gallery:
        print("| held out, geometric mean (worst) | " + " | ".join(
            f"{math.exp(sum(map(math.log, r)) / len(r)):.2f} ({max(r):.2f})" for r in ratios.values()) + " |")

if gallery:
    with open(os.path.join(gallery, "Smaller.md"), "w") as file:
        file.write("""# Smaller files that look the same

Seven adapters of [Toybox](Toybox/README.md) at 5, 10 and 25 % of their bytes: cut so that the error in the weights is smallest, as
every tool does (*by size*), and by what pictures feel, in the number format that is foretold to be the better (`--weigh pictures --dtype auto`).
Below each picture the error of the final latents as a share of the adapter's effect, and SSIMULACRA2 beside the whole adapter's picture, both the
mean over six prompts that no cut has seen. `python3 Tests/Benchmarks/pictures.py LATHE --gallery` makes this page anew.

| | whole | 5 %, by size | 5 %, by pictures | 10 %, by size | 10 %, by pictures | 25 %, by size | 25 %, by pictures |
|---|---|---|---|---|---|---|---|
""")
        for adapter in dict.fromkeys(name for name, _ in cases):
            stem = adapter.split(".")[0]
            row = [f"{stem}", f"![whole](Gallery/smaller-{stem}-whole.png)"]
            for share in (5, 10, 25):
                for way in ways:
                    name, (latents, score, _) = shown[adapter, share, way]
                    row.append(f"![{share} % by {way}](Gallery/smaller-{name}.png) {latents:.3f}, {score:.0f}")
            file.write("| " + " | ".join(row) + " |\n")
        both = [shown[a, s, "pictures, auto"][1][0] / shown[a, s, "size"][1][0] for a, s in cases]
        file.write(f"\nGeometric mean of the errors, by pictures relative to by size: {math.exp(sum(map(math.log, both)) / len(both)):.2f}.\n")
