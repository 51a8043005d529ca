#!/usr/bin/env python3
"""What cutting by pictures is worth: the Toybox's adapters at a share of their bytes, judged by latents of prompts that no
calibration saw.

  python3 Tests/Benchmarks/pictures.py LATHE [--all] [--pages FOLDER]

Prints a table: error of the final latents (8 steps of DPM++ 2M, cfg 4, six pictures, same noise) as a share of the
adapter's effect, and SSIMULACRA2 of the pictures, for each way to cut; then the geometric means relative to today's way.
With --all adapters that settings were chosen on too; with --pages the audits' pages are kept.
"""
import json, math, os, subprocess, sys, tempfile

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
    table, ratios = [], {way: [] for way in ways}
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
        print(f"| {adapter.split('.')[0]} {share} % | " + " | ".join(
            f"{cells[way][0]:.3f}/{cells[way][1]:.0f}" for way in ways) + " |", flush=True)
        if (adapter, share) in held_out:
            for way in ways:
                ratios[way].append(cells[way][0] / cells["size"][0])
    print("| held out, geometric mean (worst) | " + " | ".join(
        f"{math.exp(sum(map(math.log, r)) / len(r)):.2f} ({max(r):.2f})" for r in ratios.values()) + " |")
