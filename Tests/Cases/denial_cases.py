import json
import os
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
from safetensors.numpy import load_file, save_file

from cases import case
from files import kohya, numbers

RENDER = ["--prompt", "r", "--steps", "1", "--size", "64x64", "--threads", "1", "--quiet", "-o", "p.png", "--force"]
# Each may be a number of a configuration of Toybox.
FIELDS = {
    "unet/config.json": ["attention_head_dim", "block_out_channels", "cross_attention_dim", "in_channels", "layers_per_block",
                         "norm_num_groups", "out_channels", "sample_size", "transformer_layers_per_block"],
    "text_encoder/config.json": ["hidden_size", "intermediate_size", "max_position_embeddings", "num_attention_heads",
                                 "num_hidden_layers", "vocab_size"],
    "vae/config.json": ["block_out_channels", "latent_channels", "layers_per_block", "norm_num_groups", "scaling_factor"],
    "scheduler/scheduler_config.json": ["beta_end", "beta_start", "num_train_timesteps", "steps_offset"],
}  # fmt: skip


def place_file(source, target):
    try:
        if not source.endswith("safetensors"):
            raise OSError
        os.link(source, target)
    except OSError:
        shutil.copy(source, target)


def model(place, name, change=lambda fields: None):
    """A copy of Toybox, in which weights share their place on the disk where they can, and whose configuration `name` is changed."""
    folder = place.path("model")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(place.model, folder, copy_function=place_file)
    if name:
        path = f"{folder}/{name}"
        with open(path) as file:
            fields = json.load(file)
        change(fields)
        with open(path, "w") as file:
            json.dump(fields, file)
    return folder


# A process's memory counts from its fork on, and this one, with its libraries, is large: a small one measures.
METER = """
import os, resource, sys
pid = os.fork()
if pid == 0:
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    limit = int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    os.execv(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss << 10)
"""


def memory_of(place, *arguments, status=0, seconds=20):
    """Runs the program; returns its seconds and bytes of memory at most."""
    start = time.monotonic()
    meter = subprocess.run(
        [sys.executable, "-I", "-S", "-c", METER, str(seconds), place.lathe, *map(str, arguments)], cwd=place.folder,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)  # fmt: skip
    found, memory = map(int, meter.stdout.split())
    assert found == status, f"lathe {' '.join(map(str, arguments))}: exit code {found}, not {status}"
    return time.monotonic() - start, memory


@case("a configuration with any number is rendered, or refused with its file's name")
def configurations(place):
    tried = 0
    for name, fields in FIELDS.items():
        for field in fields:
            for value in [0, 7, 2**40, 2**62, None]:
                def change(all, field=field, value=value):
                    if value is None:
                        all.pop(field, None)
                    elif isinstance(all.get(field), list) and isinstance(value, int):
                        all[field][-1] = value
                    else:
                        all[field] = value

                folder = model(place, name, change)
                run = place.run("render", folder, *RENDER)
                tried += 1
                assert run.status in (0, 65), f"{name}: {field} = {value}: exit code {run.status}: {run.errors[-300:]}"
                assert run.status == 0 or "/model" in run.errors, f"{name}: {field} = {value}: no file named: {run.errors[-300:]}"
                assert len(run.errors.strip().splitlines()) <= 1, f"{name}: {field} = {value}: {run.errors[-300:]}"
    assert tried > 93


@case("tables and configurations that cannot be read are errors with the file's name")
def unreadable(place):
    for name, text in [
        ("scheduler/scheduler_config.json", "{"), ("scheduler/scheduler_config.json", '{"beta_start": "x"}'),
        ("scheduler/scheduler_config.json", None), ("tokenizer/merges.txt", None), ("tokenizer/merges.txt", "a b c\n"),
        ("tokenizer/vocab.json", None), ("tokenizer/vocab.json", "[]"), ("tokenizer/vocab.json", '{"a": "b"}'),
    ]:  # fmt: skip
        folder = model(place, None)
        path = f"{folder}/{name}"
        if os.path.exists(path):
            os.remove(path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if text is None:
            os.mkdir(path)
        else:
            with open(path, "w") as file:
                file.write(text)
        if name.endswith("vocab.json") and not os.path.exists(f"{folder}/tokenizer/merges.txt"):
            with open(f"{folder}/tokenizer/merges.txt", "w") as file:
                file.write("c a\n")
        place.run("render", folder, *RENDER).expect(65, os.path.basename(name))


@case("a configuration or table of a gigabyte is refused before it is read")
def large_files(place):
    for name in ["scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "unet/config.json"]:
        folder = model(place, None)
        os.makedirs(os.path.dirname(f"{folder}/{name}"), exist_ok=True)
        with open(f"{folder}/{name}", "a") as file:
            file.truncate(1 << 30)
        if name.endswith("vocab.json") and not os.path.exists(f"{folder}/tokenizer/merges.txt"):
            with open(f"{folder}/tokenizer/merges.txt", "w") as file:
                file.write("c a\n")
        _, memory = memory_of(place, "render", folder, *RENDER, status=65)
        assert memory < 400 << 20, f"{name}: {memory >> 20} MB"


@case("an autoencoder whose latents are not the UNet's is refused")
def other_autoencoder(place):
    folder = place.path("vae")
    shutil.copytree(f"{place.model}/vae", folder)
    with open(f"{folder}/config.json") as file:
        fields = json.load(file)
    fields["latent_channels"] = 16
    with open(f"{folder}/config.json", "w") as file:
        json.dump(fields, file)
    tensors = {}
    for name in os.listdir(folder):
        if name.endswith("safetensors"):
            tensors = load_file(f"{folder}/{name}")
            for key, value in tensors.items():
                if key in ("post_quant_conv.weight", "quant_conv.weight"):
                    size = 32 if key.startswith("quant") else 16
                    tensors[key] = np.zeros((size, size, *value.shape[2:]), value.dtype)
                elif key in ("post_quant_conv.bias", "quant_conv.bias"):
                    tensors[key] = np.zeros(32 if key.startswith("quant") else 16, value.dtype)
                elif key == "decoder.conv_in.weight":
                    tensors[key] = np.zeros((value.shape[0], 16, *value.shape[2:]), value.dtype)
                elif key.startswith("encoder.conv_out"):
                    tensors[key] = np.zeros((32, *value.shape[1:]), value.dtype)
            save_file(tensors, f"{folder}/{name}")
    place.run("render", place.model, *RENDER, "--vae", folder).expect(65, "16", "vae")


@case("a rank far above both dimensions costs what the file's size explains")
def wide_rank(place):
    for rank, limit in [(16_384, 300), (400_000, 500)]:
        tensors = kohya("lora_unet_mid_block_attentions_0_proj_in", numbers(rank, 1), numbers(1, rank), rank)
        save_file(tensors, "wide.safetensors")
        for arguments in [["inspect", "--norms"], ["spectrum"], ["resize", "--rank", "1", "--force", "-o", "r.safetensors"]]:
            seconds, memory = memory_of(place, arguments[0], "wide.safetensors", *arguments[1:])
            assert memory < limit << 20, f"{arguments[0]} of rank {rank}: {memory >> 20} MB"
            assert seconds < 10, f"{arguments[0]} of rank {rank}: {seconds:.1f} s"
    save_file(kohya("lora_unet_mid_block_attentions_0_proj_in", numbers(3000, 40), numbers(30, 3000), 3000), "a.safetensors")
    save_file(kohya("lora_unet_mid_block_attentions_0_proj_in", numbers(2500, 40), numbers(30, 2500), 2500), "b.safetensors")
    parts = [load_file(name) for name in ("a.safetensors", "b.safetensors")]
    a, b = [
        next(p[k] for k in p if "up" in k).astype(float) @ next(p[k] for k in p if "down" in k).astype(float) for p in parts
    ]
    found = json.loads(place.run("spectrum", "a.safetensors", "--json").expect(0).output)["targets"][0]
    values = np.linalg.svd(a, compute_uv=False)
    assert np.allclose(found["singular_values"], values, rtol=1e-9), "singular values of a rank above both dimensions"
    found = json.loads(place.run("compare", "a.safetensors", "b.safetensors", "--json").expect(0).output)
    error = np.linalg.norm(a - b) / np.linalg.norm(a)
    assert abs(found["relative_error"] / error - 1) < 1e-9, f"{found['relative_error']} in place of {error}"


@case("aliases in YAML do not multiply beyond a limit")
def aliases(place):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    adapter = place.adapters / "sketch.safetensors"
    for last, command in [
        ("adapters: *a8", ["merge", "--recipe", "r.yaml", "-o", "m.safetensors"]),
        ("adapters: *a8", ["bake", place.model, "--recipe", "r.yaml", "-o", "b"]),
        ("prompts: *a8", ["audit", place.model, "--before", adapter, "--after", adapter, "--prompts", "r.yaml"]),
    ]:
        with open("r.yaml", "w") as file:
            file.write("\n".join([*lines, last]) + "\n")
        seconds, memory = memory_of(place, *command, status=65)
        assert memory < 300 << 20 and seconds < 10, f"{command[0]}: {memory >> 20} MB, {seconds:.1f} s"
    with open("r.yaml", "w") as file:
        file.write(f"adapters:\n  - &one {{file: {adapter}, strength: 0.5}}\n  - *one\nrank: 4\n")
    place.run("merge", "--recipe", "r.yaml", "-o", "m.safetensors").expect(0)


@case("a recipe of thousands of adapters, or of brackets in each other, is refused at once")
def long_recipes(place):
    adapter = place.adapters / "sketch.safetensors"
    for text in [
        "adapters:\n" + f"  - file: {adapter}\n" * 5000, "[" * 100_000, "- " * 100_000, "{a: " * 100_000,
        "adapters:\n  - " + "? " * 100_000,
    ]:  # fmt: skip
        with open("r.yaml", "w") as file:
            file.write(text)
        seconds, memory = memory_of(place, "merge", "--recipe", "r.yaml", "-o", "m.safetensors", status=65)
        assert memory < 400 << 20 and seconds < 10, f"{text[:20]}: {memory >> 20} MB, {seconds:.1f} s"


@case("prompts of brackets in each other, and long ones, are usage errors or pictures, at once")
def nested_prompts(place):
    for style in ["a1111", "comfy", "plain"]:
        for text in [
            "(" * 100_000, "[" * 60_000, "(a" * 30_000, "(a" * 20_000 + ")" * 20_000, "[a:" * 20_000, "[a:[b:" * 10_000,
            "<a:" * 20_000, "(" * 30_000 + "]" * 30_000, "[" * 30_000 + ")" * 30_000, "xq" * 30_000, "e\u0301\u0323" * 9_000,
            "a," * 30_000,
        ]:  # fmt: skip
            with open("p.txt", "w") as file:
                file.write(text + "\n")
            start = time.monotonic()
            run = place.run("render", place.model, "--prompts", "p.txt", "--prompt-style", style, "--dry-run", "--threads", "1")
            assert run.status in (0, 64), f"{style} {text[:12]}…: exit code {run.status}: {run.errors[-200:]}"
            assert time.monotonic() - start < 8, f"{style} {text[:12]}…: {time.monotonic() - start:.1f} s"


@case("under a limit of addresses there is a result or one line, and no endless wait")
def address_space(place):
    adapter = place.adapters / "sepia-r64.safetensors"
    commands = [
        ["resize", adapter, "-o", "r.safetensors", "--rank", "8", "--force"], ["render", place.model, *RENDER],
        ["compare", adapter, adapter, "--base", place.model, "--probe", "--threads", "2"],
        ["audit", place.model, "--before", adapter, "--after", adapter, "--threads", "2"], ["inspect", adapter],
    ]  # fmt: skip
    for command in commands:
        for kilobytes in [300_000, 400_000, 500_000, 700_000, 2_000_000]:
            def limit():
                resource.setrlimit(resource.RLIMIT_AS, (kilobytes << 10, kilobytes << 10))


            run = subprocess.run([place.lathe, *map(str, command)], preexec_fn=limit, capture_output=True, text=True, timeout=30)
            text = run.stderr.strip()
            assert run.returncode in (0, 74), f"{command[0]} in {kilobytes} kB: exit code {run.returncode}: {text[-300:]}"
            assert run.returncode == 0 or "space" in text and len(text.splitlines()) == 1, text[-300:]
            assert kilobytes < 2_000_000 or run.returncode == 0, text[-300:]
