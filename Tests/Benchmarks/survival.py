"""Bakes real adapters of SD1.5 into a base of SD1.5's shapes in Q8_0, Q4_K and scaled fp8, and prints what of them survives.

    python survival.py LATHE ADAPTERS WORK

ADAPTERS is the folder with the real files. The base is random, each matrix with the σ that networks begin with (1 ÷ √inputs): what
survives depends on the size of changes beside the steps between codes, which is printed too. 5 GB in WORK.
"""

import json
import pathlib
import subprocess
import sys

from bases import SD15, unet, write_fp8, write_gguf

LATHE, ADAPTERS, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
FILES = [
    "sd15_diffusers_pokemon.safetensors",
    "sd15_diffusers_processor_style.safetensors",
    "sd15_diffusers_unet_prefix.safetensors",
    "sd15_cloneofsimo_rank4.safetensors",
    "sd15_lycoris_lokr_8.safetensors",
    "sd15_lycoris_lokr_16.safetensors",
]
ROUNDINGS = ["nearest", "stochastic", "shaped"]


def lathe(*arguments):
    done = subprocess.run([LATHE, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode in (0, 2), f"lathe {' '.join(map(str, arguments))}: {done.returncode}\n{done.stderr}"
    return done.stdout


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    tensors, wide = unet(SD15), WORK / "wide.gguf"
    write_gguf(wide, tensors)
    write_fp8(WORK / "fp8.safetensors", tensors)
    bases = {"fp8": WORK / "fp8.safetensors"}
    for label, dtype in {"Q8_0": "q8_0", "Q4_K": "q4_k"}.items():
        bases[label] = WORK / f"{dtype}.gguf"
        lathe("bake", wide, f"{ADAPTERS / FILES[0]}@0", "-o", bases[label], "--dtype", dtype, "--force", "--allow-unmatched")
    print(f"{'adapter':44} {'base':6} {'stored':10} {'‖Δ‖ ÷ ‖W‖':>10} " + " ".join(f"{rounding:>11}" for rounding in ROUNDINGS))
    for file in FILES:
        for label, base in bases.items():
            shares = {}
            for rounding in ROUNDINGS:
                arguments = ["bake", base, ADAPTERS / file, "-o", WORK / f"out{base.suffix}", "--rounding", rounding]
                report = json.loads(lathe(*arguments, "--force", "--json", "--allow-unmatched"))
                for row in report["formats"]:
                    shares.setdefault(row["name"], []).append(row["survival"])
                names = [row["name"] for row in report["weights"] if row["name"] in tensors]
                delta = sum(row["delta_norm"] ** 2 for row in report["weights"])
            size = (delta / sum(float(tensors[name].float().square().sum()) for name in names)) ** 0.5
            for name, values in shares.items():
                print(f"{file:44} {label:6} {name:10} {size:10.4f} " + " ".join(f"{share:11.3f}" for share in values), flush=True)


if __name__ == "__main__":
    main()
