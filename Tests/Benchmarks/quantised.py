"""Times bakes into a base of SDXL's size in half precision, Q8_0, Q4_K and scaled fp8, beside each other.

    python quantised.py LATHE WORK

An adapter of rank 64 for all linear layers of the transformers. Each base is baked once before, and that result is checked: what the
report says of survival, and that the base's own numbers come back. Then bakes alternate; the table has the median, the time beside
half precision (as many weights), and the largest resident set beside the pages of mapped files. 20 GB in WORK.
"""

import json
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from bases import SDXL, unet, write_fp8, write_gguf
from safetensors.torch import save_file

LATHE, WORK, RUNS = sys.argv[1], pathlib.Path(sys.argv[2]), 3


def lathe(*arguments):
    """Runs the program; returns what it printed, its seconds by the clock and of the processor, and its own memory."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    # A file takes any number of lines while nobody reads them.
    with tempfile.TemporaryFile("w+") as report, subprocess.Popen([LATHE, *map(str, arguments)], stdout=report) as process:
        own = 0
        status = pathlib.Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            # Pages of mapped files are the system's, not the program's.
            if found := re.search(r"RssAnon:\s*(\d+)", status.read_text()):
                own = max(own, int(found[1]) << 10)
            time.sleep(0.02)
        report.seek(0)
        output = report.read()
    assert process.returncode == 0, arguments
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return output, time.monotonic() - start, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, own


def write_adapter(path, tensors, rank=64):
    generator, result = torch.Generator().manual_seed(3), {}
    for name, value in tensors.items():
        if value.ndim == 2 and ".transformer_blocks." in name and name.endswith(".weight"):
            module = name.removeprefix("model.diffusion_model.").removesuffix(".weight")
            rows, inputs = value.shape
            module = "lora_unet_" + module.replace(".", "_")
            result[module + ".lora_down.weight"] = (torch.randn(rank, inputs, generator=generator) * inputs**-0.5).half()
            result[module + ".lora_up.weight"] = (torch.randn(rows, rank, generator=generator) * 0.01 / rank**0.5).half()
            result[module + ".alpha"] = torch.tensor(float(rank))
    save_file(result, path)


def main():
    WORK.mkdir(parents=True, exist_ok=True)
    adapter, bases = WORK / "lora.safetensors", {name: WORK / f"{name}.gguf" for name in ["f16", "q8_0", "q4_k"]}
    bases["fp8"] = WORK / "fp8.safetensors"
    if not all(path.exists() for path in bases.values()):
        tensors = unet(SDXL)
        write_adapter(adapter, tensors)
        write_gguf(bases["f16"], tensors, "sdxl")
        write_fp8(bases["fp8"], tensors)
        del tensors
        for name in ["q8_0", "q4_k"]:
            lathe("bake", bases["f16"], f"{adapter}@0", "-o", bases[name], "--dtype", name, "--force", "--quiet")
    times = {name: [] for name in bases}
    for run in range(RUNS + 1):
        for name, base in bases.items():
            out = WORK / f"out{base.suffix}"
            output, *measured = lathe("bake", base, adapter, "-o", out, "--force", "--json", "--quiet")
            if run:
                times[name].append(measured)
                continue
            report = json.loads(output)
            print(f"{name}: {report['weights_changed']} weights changed, survival {report['survival']:.4f} ({report['rounding']})")
            # Of rank 64 shaped rounding keeps less than of rank 16.
            assert report["survival"] > 0.7
    wide = statistics.median(seconds for seconds, _, _ in times["f16"]), statistics.median(own for _, own, _ in times["f16"])
    print(f"{'base':6} {'seconds':>8} {'beside f16':>10} {'processor s':>12} {'beside f16':>10} {'memory MB':>10}")
    for name, measured in times.items():
        seconds, own = (statistics.median(values) for values in list(zip(*measured))[:2])
        memory = max(values[2] for values in measured)
        print(f"{name:6} {seconds:8.1f} {seconds / wide[0]:10.2f} {own:12.1f} {own / wide[1]:10.2f} {memory / 1e6:10.0f}")


if __name__ == "__main__":
    main()
