"""Times diffusers on PyTorch, on the CPU, at the best settings we know, so that others can be timed in turn with it.

    python diffusers_bench.py FOLDER --task unet|vae --dtype f32|bf16 [--threads 2] [--size 64]
        [--jemalloc LIB|none] [--layout channels-last|plain] [--compile]
    python diffusers_bench.py FOLDER --task unet --dtype f32 --repetitions 5

FOLDER is a pipeline's folder (make_full.py). `unet`: one guided step: both halves as a batch of 2 through the UNet,
guidance, a step of DDIM; `--size` is the latent's side. `vae`: one latent decoded to 8 times its side.

The process loads, warms up twice, prints {"ready": true, …} with its settings, and then for each line `run` on its
standard input does one repetition and answers with one line: {"seconds", "peak_bytes", "mean", "deviation"}. Peak
memory is that of the whole process since it started, weights included; `repetition_peak_bytes` is that since the line
`run`, where the kernel lets a process reset it. The input's end ends it. With `--repetitions` it runs by itself and
prints the lines and {"median_seconds": …}.

Settings: jemalloc that gives nothing back and asks for huge pages, found in the usual places or named (fresh pages
are slow); inference mode; one thread for each core given, none between operations; channels last for bf16, and plain
for f32, where it is as fast or a little faster. `--compile` adds torch.compile with frozen weights.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import time

JEMALLOC = "narenas:1,dirty_decay_ms:-1,muzzy_decay_ms:-1,thp:always,metadata_thp:always"
PLACES = ["/usr/lib/x86_64-linux-gnu/libjemalloc.so.2", "/usr/lib/aarch64-linux-gnu/libjemalloc.so.2"]


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--task", choices=["unet", "vae"], required=True)
    parser.add_argument("--dtype", choices=["f32", "bf16"], required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--jemalloc", default="")
    parser.add_argument("--layout", choices=["channels-last", "plain"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repetitions", type=int, default=0)
    options = parser.parse_args()
    options.layout = options.layout or ("channels-last" if options.dtype == "bf16" else "plain")
    return options


def start_again_with_jemalloc(named):
    """Allocators are chosen before a process starts: replaces this one, once."""
    found = named or next((p for p in PLACES if os.path.exists(p)), "none")
    if found == "none" or "LATHE_PEER_STARTED" in os.environ:
        return
    assert os.path.exists(found), f"{found} is not there"
    os.environ |= {"LD_PRELOAD": found, "MALLOC_CONF": JEMALLOC, "LATHE_PEER_STARTED": "1"}
    os.execv(sys.executable, [sys.executable, *sys.argv])


def peak_bytes():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def reset_peak():
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
        return True
    except OSError:
        return False


def prepare(options):
    """A function that does one repetition and returns its result."""
    import torch
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

    torch.set_num_threads(options.threads)
    torch.set_num_interop_threads(1)
    torch.set_flush_denormal(True)
    dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[options.dtype]
    model_class = UNet2DConditionModel if options.task == "unet" else AutoencoderKL
    model = model_class.from_pretrained(options.folder / options.task, torch_dtype=dtype, local_files_only=True)
    layout = torch.channels_last if options.layout == "channels-last" else torch.contiguous_format
    model = model.eval().to(memory_format=layout)
    if options.compile:
        import torch._inductor.config as inductor

        inductor.freezing = True
        if options.task == "unet":
            model.forward = torch.compile(model.forward)
        else:
            model.decoder.forward = torch.compile(model.decoder.forward)
    generator = torch.Generator().manual_seed(30)
    draw = lambda *shape: torch.randn(*shape, generator=generator).to(dtype)
    latent = draw(1, 4, options.size, options.size).to(memory_format=layout)
    if options.task == "vae":
        return lambda: model.decode(latent, return_dict=False)[0]

    config = model.config
    context, added = draw(2, 77, config.cross_attention_dim), None
    if config.addition_embed_type == "text_time":
        pooled = config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim
        side = 8.0 * options.size
        added = {
            "text_embeds": draw(2, pooled),
            "time_ids": torch.tensor([[side, side, 0, 0, side, side]] * 2).to(dtype),
        }
    scheduler = DDIMScheduler.from_pretrained(options.folder / "scheduler")
    scheduler.set_timesteps(20)

    def step():
        moment = scheduler.timesteps[8]
        inputs = torch.cat([latent] * 2).contiguous(memory_format=layout)
        noise = model(inputs, moment, context, added_cond_kwargs=added, return_dict=False)[0]
        negative, prompt = noise.chunk(2)
        return scheduler.step(negative + 7.5 * (prompt - negative), moment, latent, return_dict=False)[0]

    return step


def main():
    options = arguments()
    start_again_with_jemalloc(options.jemalloc)
    os.environ |= {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
    # The only output is the JSON lines: whatever libraries print goes to standard error.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    tell = lambda value: print(json.dumps(value), file=answers, flush=True)

    import diffusers
    import torch

    with torch.inference_mode():
        repetition = prepare(options)
        for _ in range(2):
            repetition()
        tell({
            "ready": True, "task": options.task, "dtype": options.dtype, "threads": options.threads,
            "size": options.size, "layout": options.layout, "compile": options.compile,
            "allocator": os.environ.get("LD_PRELOAD") or "libc", "torch": torch.__version__,
            "diffusers": diffusers.__version__, "peak_bytes": peak_bytes(),
        })
        seconds, highest = [], peak_bytes()
        lines = ["run"] * options.repetitions if options.repetitions else sys.stdin
        for line in lines:
            if line.strip() != "run":
                break
            can_reset = reset_peak()
            start = time.perf_counter()
            result = repetition()
            seconds.append(time.perf_counter() - start)
            own = peak_bytes()
            highest = max(highest, own)
            result = result.float()
            assert torch.isfinite(result).all()
            tell({
                "seconds": round(seconds[-1], 4), "peak_bytes": highest,
                "repetition_peak_bytes": own if can_reset else None,
                "mean": round(result.mean().item(), 4), "deviation": round(result.std().item(), 4),
            })
        if options.repetitions:
            tell({"median_seconds": round(statistics.median(seconds), 4), "peak_bytes": highest})


if __name__ == "__main__":
    main()
