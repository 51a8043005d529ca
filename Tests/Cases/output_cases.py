"""Outputs and inputs: nothing is lost, nothing is half, nothing stays behind, whatever happens meanwhile."""

import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import numpy as np
from safetensors.numpy import save_file

from cases import case
from files import peft_folder

QUIET = {"OMP_WAIT_POLICY": "passive"}


def tree(folder):
    """All files of a folder with their contents, and links with what they lead to."""
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def large(place, count=16, shards=1):
    """A base of 4 MB weights, and an adapter for all of them: work for some tenths of a second."""
    random = np.random.default_rng(1)
    tensors = {f"w{i}.weight": (0.1 * random.standard_normal((1024, 2048))).astype(np.float16) for i in range(count)}
    if shards == 1:
        base = place.path("base.safetensors")
        save_file(tensors, base)
    else:
        base = place.path("base")
        os.mkdir(base)
        names = {}
        for shard in range(shards):
            own = {n: t for i, (n, t) in enumerate(tensors.items()) if i % shards == shard}
            file = f"model-{shard + 1}.safetensors"
            save_file(own, f"{base}/{file}")
            names |= {n: file for n in own}
        with open(f"{base}/model.safetensors.index.json", "w") as file:
            json.dump({"weight_map": names}, file)
    factors = {}
    for i in range(count):
        factors[f"lora_unet_w{i}.lora_up.weight"] = (0.01 * random.standard_normal((1024, 4))).astype(np.float16)
        factors[f"lora_unet_w{i}.lora_down.weight"] = (0.01 * random.standard_normal((4, 2048))).astype(np.float16)
    save_file(factors, place.path("style.safetensors"))
    return base, place.path("style.safetensors")


def start(place, *arguments):
    """The program in the background."""
    return subprocess.Popen(
        [place.lathe, *map(str, arguments)], cwd=place.folder, env=os.environ | QUIET, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip


def wait_for(process, condition):
    """Until it is so, or the program has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.0005)


def unfinished(place):
    return [n for n in os.listdir(place.folder) if n.endswith(".partial")]


def audit(place, *arguments, strength=1):
    sketch = place.adapters / "sketch.safetensors"
    return place.run(
        "audit", place.model, "--before", sketch, "--after", f"{sketch}@{strength}", "--weights-only", *arguments,
        **QUIET)  # fmt: skip


# Folders that are replaced


@case("an audit replaces no folder that has a file of somebody else, and names it")
def foreign_file(place):
    audit(place, "-o", "report").expect(0)
    (place.folder / "report" / "thesis.txt").write_text("precious")
    before = tree("report")
    audit(place, "-o", "report", "--force", strength=0.9).expect(73, "thesis.txt")
    assert tree("report") == before
    os.remove("report/thesis.txt")
    audit(place, "-o", "report", "--force", strength=0.9).expect(1)
    assert json.loads(open("report/report.json").read())["passed"] is False


@case("a folder whose report.json is of something else is no report, and neither is one that claims other files")
def other_report(place):
    names = {"schema": "lathe.audit/1", "pictures": [{"before": "thesis.txt", "after": "../x.png", "difference": "a/b.png"}], "nulls": []}  # fmt: skip
    for text in ("{}", "no JSON", '{"schema": "lathe.render/1"}', json.dumps(names)):
        folder = place.folder / "project"
        folder.mkdir()
        (folder / "report.json").write_text(text)
        (folder / "thesis.txt").write_text("precious")
        audit(place, "-o", "project", "--force").expect(73)
        assert (folder / "thesis.txt").read_text() == "precious" and (folder / "report.json").read_text() == text
        shutil.rmtree(folder)


@case("many audits replace no row's folder that has a file of somebody else, and name it")
def foreign_in_row(place):
    sketch = place.adapters / "sketch.safetensors"
    manifest = place.folder / "pairs.csv"
    run = ["audit", place.model, "--manifest", manifest, "--weights-only", "-o", "audits"]
    manifest.write_text(f"name,before,after\na,{sketch},{sketch}\n")
    place.run(*run, **QUIET).expect(0)
    (place.folder / "audits" / "a" / "notes.txt").write_text("precious")
    manifest.write_text(f"name,before,after\na,{sketch},{sketch}@0.9\n")
    for more in ([], ["--force"]):
        place.run(*run, *more, **QUIET).expect(2, "notes.txt")
        assert (place.folder / "audits" / "a" / "notes.txt").read_text() == "precious"


@case("a PEFT folder that is replaced keeps the files of others, their links and everybody's rights")
def carried_over(place):
    shutil.copytree(place.adapters / "neon", "d")
    (place.folder / "d" / "README.md").write_text("mine")
    os.makedirs("d/checkpoint-1/deep")
    (place.folder / "d" / "checkpoint-1" / "deep" / "state").write_text("old")
    os.symlink("README.md", "d/link")
    os.chmod("d", 0o750)
    os.chmod("d/adapter_model.safetensors", 0o600)
    inode = os.stat("d/README.md").st_ino
    place.run("resize", "d", "-o", "d", "--rank", 4, "--force").expect(0)
    assert json.loads(open("d/adapter_config.json").read())["r"] == 4
    assert (place.folder / "d" / "checkpoint-1" / "deep" / "state").read_text() == "old"
    assert os.stat("d/README.md").st_ino == inode and os.readlink("d/link") == "README.md"
    assert os.stat("d").st_mode & 0o777 == 0o750 and os.stat("d/adapter_model.safetensors").st_mode & 0o777 == 0o600
    assert os.listdir(place.folder) == ["d"], os.listdir(place.folder)


@case("a PEFT folder is never half old and half new, whatever fails")
def whole_folder(place):
    strace = shutil.which("strace")
    assert strace, "strace is missing"
    source = place.folder / "source"
    shutil.copytree(place.adapters / "neon", source)
    config = json.loads((source / "adapter_config.json").read_text())
    (source / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 2 * config["lora_alpha"]}))
    shutil.copytree(source, "d")
    before = tree("d")
    for call, count in (("fsync", 8), ("rename,renameat,renameat2,link,linkat", 4), ("mkdir", 1), ("pwrite64", 3)):
        for number in range(1, count + 1):
            run = subprocess.run(
                [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error=EIO:when={number}",
                 place.lathe, "resize", "d", "-o", "d", "--rank", "4", "--force", "--threads", "1"], cwd=place.folder,
                env=os.environ | QUIET, capture_output=True, text=True)  # fmt: skip
            names = sorted(os.listdir(place.folder))
            assert names == ["d", "source"], f"{call} {number}: {names}"
            if run.returncode:
                assert run.returncode in (73, 74) and tree("d") == before, f"{call} {number}: {run.returncode} {run.stderr}"
            else:
                rank = json.loads(open("d/adapter_config.json").read())["r"]
                assert rank == 4, f"{call} {number}: rank {rank}"
                shutil.rmtree("d")
                shutil.copytree(source, "d")


@case("a new PEFT folder is there whole or not at all when the program is told to stop")
def stopped_folder(place):
    for after in (0.0, 0.02, 0.05, 0.08, 0.1, 0.12, 0.15, 0.2):
        process = start(place, "convert", place.adapters / "neon", "-o", "d", "--to", "peft", "--dtype", "f16")
        time.sleep(after)
        process.send_signal(signal.SIGINT)
        process.communicate()
        names = os.listdir(place.folder)
        assert names in ([], ["d"]), f"after {after} s: {names}"
        if names:
            assert sorted(os.listdir("d")) == ["adapter_config.json", "adapter_model.safetensors"], os.listdir("d")
            shutil.rmtree("d")


@case("a report stands under its name at every moment of its replacement")
def replaced_report(place):
    strace = shutil.which("strace")
    assert strace, "strace is missing"
    audit(place, "-o", "report").expect(0)
    sketch = place.adapters / "sketch.safetensors"
    for number in (1, 2):
        subprocess.run(
            [strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename,renameat2", "-e",
             f"inject=rename,renameat2:signal=SIGINT:when={number}", place.lathe, "audit", place.model, "--before", sketch,
             "--after", f"{sketch}@0.9", "--weights-only", "-o", "report", "--force"], cwd=place.folder,
            env=os.environ | QUIET, capture_output=True)  # fmt: skip
        assert os.listdir(place.folder) == ["report"], os.listdir(place.folder)
        json.loads(open("report/report.json").read())


# Runs that get into each other's way


@case("a shard that is started twice goes on, and nobody else gets in")
def started_twice(place):
    sketch = place.adapters / "sketch.safetensors"
    rows = "\n".join(f"row{i},{sketch},{sketch}" for i in range(3))
    (place.folder / "pairs.csv").write_text(f"name,before,after\n{rows}\n")
    arguments = ["audit", place.model, "--manifest", "pairs.csv", "--weights-only", "-o", "audits"]
    first = start(place, *arguments)
    wait_for(first, lambda: os.path.exists("audits/.working/lock"))
    for _ in range(2):
        place.run(*arguments, **QUIET).expect(73, "another run works on this shard")
        assert os.path.exists("audits/.working/lock")
    output, errors = first.communicate()
    assert first.returncode == 0, errors
    assert "3 audits: 3 passed" in output, output
    assert sorted(os.listdir("audits")) == [".rows", "results.csv", "row0", "row1", "row2"]


@case("what a killed run left behind stops no later one that has its process number")
def same_number(place):
    if subprocess.run(["unshare", "-p", "-f", "true"], capture_output=True).returncode:
        return
    (place.folder / ".out.safetensors.1-1.partial").write_text("left")
    (place.folder / ".report.1.partial").mkdir()
    inside = ["unshare", "-p", "-f", "--mount-proc", place.lathe]
    sketch = place.adapters / "sketch.safetensors"
    for arguments in (
        ["resize", sketch, "-o", "out.safetensors", "--rank", "2"],
        ["audit", place.model, "--before", sketch, "--after", sketch, "--weights-only", "-o", "report"],
    ):
        run = subprocess.run(inside + arguments, cwd=place.folder, env=os.environ | QUIET, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr


# Files that change while they are read


def changed_meanwhile(place, change, arguments, file):
    """Stops the program when it has begun to write, changes a file, and lets it go on."""
    names = sorted(os.listdir(place.folder))
    process = start(place, *arguments)
    wait_for(process, lambda: unfinished(place))
    process.send_signal(signal.SIGSTOP)
    change(file)
    process.send_signal(signal.SIGCONT)
    output, errors = process.communicate()
    assert process.returncode == 74, f"{process.returncode}: {errors}"
    assert pathlib.Path(file).name in errors and len(errors.strip().splitlines()) == 1, errors
    assert sorted(os.listdir(place.folder)) == names, os.listdir(place.folder)


@case("an input that becomes shorter while it is read is an error that names it, and nothing stays behind")
def shrunk(place):
    base, style = large(place, 8)
    changed_meanwhile(place, lambda f: os.truncate(f, 1 << 20), ["bake", base, style, "-o", "out.safetensors", "--threads", 1], base)


@case("an input that is overwritten while it is read is an error that names it, and nothing stays behind")
def overwritten(place):
    base, style = large(place, 8)

    def change(file):
        with open(file, "r+b") as target:
            target.seek(30 << 20)
            target.write(b"x" * 100_000)

    arguments = ["bake", base, style, "-o", "out.safetensors", "--threads", 1, "--undo", "undo"]
    changed_meanwhile(place, change, arguments, base)
    # Another file under its name.
    changed_meanwhile(place, lambda f: (shutil.copy(f, f + "x"), os.replace(f + "x", f)), arguments, style)


# Nothing stays behind


@case("an unbake of a folder that fails leaves nothing")
def failed_unbake(place):
    base, style = large(place, 2, shards=2)
    place.run("bake", base, style, "-o", "baked", "--undo", "undo").expect(0)
    names = sorted(os.listdir(place.folder))
    place.run("unbake", base, "--undo", "undo", "-o", "back").expect(65)
    assert sorted(os.listdir(place.folder)) == names, os.listdir(place.folder)


@case("every signal that ends the program lets it clean up")
def signals(place):
    base, style = large(place, 8)
    names = sorted(os.listdir(place.folder))
    for number in ("INT", "TERM", "HUP", "QUIT", "PIPE", "XCPU", "USR1", "USR2", "ALRM", "SEGV", "ABRT"):
        process = start(place, "bake", base, style, "-o", "out.safetensors", "--rounding", "shaped", "--threads", 1)
        wait_for(process, lambda: unfinished(place))
        process.send_signal(getattr(signal, f"SIG{number}"))
        process.communicate()
        assert process.returncode not in (0, 1), f"SIG{number}: {process.returncode}"
        assert sorted(os.listdir(place.folder)) == names, f"SIG{number}: {os.listdir(place.folder)}"


@case("a folder of thousands of files goes too when the program is told to stop")
def thousands(place):
    base, style = large(place, 2, shards=2)
    for number in range(4500):
        (pathlib.Path(base) / f"companion-{number}.json").write_text("{}")
    # In memory, where thousands of files are on the disk at once.
    shared = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(dir=shared) as target:
        process = start(place, "bake", base, style, "-o", f"{target}/out")
        wait_for(process, lambda: any(len(os.listdir(f"{target}/{n}")) > 4300 for n in os.listdir(target)))
        process.send_signal(signal.SIGINT)
        process.communicate()
        assert process.returncode == 130, process.returncode
        assert os.listdir(target) == [], os.listdir(target)


# Inputs are not outputs


@case("no output takes the place of an input of the same command")
def inputs_stay(place):
    base, style = large(place, 2, shards=2)
    shutil.copytree(place.adapters / "neon", "pf")
    shutil.copytree(place.model, "M")
    shutil.copy(place.adapters / "sketch.safetensors", "a.safetensors")
    shutil.copy(place.adapters / "lumi.safetensors", "b.safetensors")
    os.link("a.safetensors", "other-name.safetensors")
    (place.folder / "recipe.yaml").write_text("adapters:\n  - file: a.safetensors\n  - file: b.safetensors\n")
    (place.folder / "prompts.txt").write_text("a robot\n")
    place.run("bake", base, style, "-o", "baked", "--undo", "undo").expect(0)
    before = tree(place.folder)
    for arguments in (
        ["bake", "base", style, "-o", "x", "--undo", style],
        ["bake", "base/model-1.safetensors", "style.safetensors", "-o", "style.safetensors", "--allow-unmatched"],
        ["bake", "M", "a.safetensors", "-o", "x", "--undo", "M/model_index.json"],
        ["bake", "M", "a.safetensors", "-o", "x", "--undo", "M/tokenizer/vocab.json"],
        ["spectrum", "pf", "--csv", "pf/adapter_model.safetensors"],
        ["spectrum", "pf", "--svg", "pf/adapter_config.json"],
        ["resize", "a.safetensors", "--curve", "--svg", "a.safetensors"],
        ["resize", "a.safetensors", "--base", "M", "--rank", "2", "-o", "M/vae/diffusion_pytorch_model.safetensors"],
        ["merge", "a.safetensors", "b.safetensors", "-o", "b.safetensors"],
        ["merge", "a.safetensors", "b.safetensors", "-o", "other-name.safetensors"],
        ["merge", "--recipe", "recipe.yaml", "-o", "recipe.yaml"],
        ["extract", "M", "M", "--rank", "2", "-o", "M/unet/diffusion_pytorch_model.safetensors"],
        ["unbake", "base/model-1.safetensors", "--undo", "undo", "-o", "undo"],
    ):
        run = place.run(*arguments, "--force", **QUIET)
        assert run.status != 0, f"{arguments}: {run.status}"
        assert tree(place.folder) == before, f"{arguments}: an input is gone"
    for arguments in (
        ["bake", "base", style, "-o", "x", "--undo", style],
        ["merge", "a.safetensors", "b.safetensors", "-o", "b.safetensors"],
        ["spectrum", "pf", "--csv", "pf/README.md"],
    ):
        (place.folder / "pf" / "README.md").write_text("mine")
        place.run(*arguments, "--force").expect(73, "read by the same command")
    place.run("render", "M", "--prompts", "prompts.txt", "--steps", 1, "--size", "64x64", "-o", "x.png", "--dry-run").expect(0)


@case("no output takes the place of another one of the same command")
def outputs_apart(place):
    shutil.copytree(place.adapters / "neon", "pf")
    before = tree(place.folder)
    for arguments in (
        ["spectrum", "pf", "--csv", "same", "--svg", "./same"],
        ["resize", "pf", "--size", "50%,50%", "-o", "{size}"],
    ):
        place.run(*arguments, "--force").expect(73, "would replace")
        assert tree(place.folder) == before, f"{arguments}: something was written"


@case("a shown picture goes away with the program, whenever that is stopped")
def preview_goes(place):
    strace = shutil.which("strace")
    assert strace, "strace is missing"
    layers = json.loads((pathlib.Path(__file__).parents[1] / "Goldens/diffusion/taesd/seeded.json").read_text())
    random = np.random.default_rng(5)
    decoder = [layer for layer in layers if layer["name"].startswith("decoder.")]
    save_file(
        {layer["name"]: (random.standard_normal(layer["shape"]) * layer["scale"]).astype(np.float32) for layer in decoder},
        place.path("taesd.safetensors"))  # fmt: skip
    # A disk that takes its time leaves a while between a name and what follows it.
    command = [
        strace, "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=300000", place.lathe,
        "render", place.model, "--prompt", "a cat", "--size", "64x64", "--steps", "900", "--preview-every", "1",
        "--preview", "taesd.safetensors", "-o", "new.png",
    ]  # fmt: skip
    process = subprocess.Popen([*map(str, command)], cwd=place.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(process, lambda: os.path.exists("new.preview.png"))
    program = int(pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])
    os.kill(program, signal.SIGINT)
    process.communicate()
    assert os.listdir(place.folder) == ["taesd.safetensors"], os.listdir(place.folder)


# In place


@case("what is rewritten in place keeps its rights, its owner and the links to it")
def in_place(place):
    for name in ("metadata", "resize"):
        file = place.path(f"{name}.safetensors")
        run = ["metadata", "set", file, "a=b", "--force"] if name == "metadata" else ["resize", file, "-o", file, "--rank", "2", "--force"]
        shutil.copy(place.adapters / "sketch.safetensors", file)
        for mode in (0o600, 0o444, 0o664):
            os.chmod(file, mode)
            if os.geteuid() == 0:
                os.chown(file, 1234, 2345)
            place.run(*run).expect(0)
            status = os.stat(file)
            assert status.st_mode & 0o777 == mode, oct(status.st_mode)
            assert os.geteuid() != 0 or (status.st_uid, status.st_gid) == (1234, 2345)
        os.mkdir(f"{name}-blobs")
        os.replace(file, f"{name}-blobs/0")
        os.symlink(f"{name}-blobs/0", file)
        before = tree(f"{name}-blobs")
        place.run(*run).expect(0)
        assert os.path.islink(file) and os.listdir(f"{name}-blobs") == ["0"]
        if name == "metadata":
            assert "b" in place.run("metadata", "get", file, "a").expect(0).output
            place.run("metadata", "set", file, "a=c", "--force").expect(0)
            assert os.path.islink(file) and tree(f"{name}-blobs") != before
    os.symlink("nowhere", "dangling.safetensors")
    place.run("resize", "metadata.safetensors", "-o", "dangling.safetensors", "--rank", 2, "--force").expect(73, "leads nowhere")
    assert os.path.islink("dangling.safetensors")


@case("the system's own names are no outputs")
def system_names(place):
    before = os.readlink("/dev/stdout")
    with open(place.path("stream"), "w") as stream:
        for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
            run = subprocess.run(
                [place.lathe, "resize", place.adapters / "sketch.safetensors", "-o", name, "--rank", "2", "--force"],
                stdout=stream, stderr=subprocess.PIPE, text=True)  # fmt: skip
            if os.path.islink("/dev/stdout") is False:
                os.remove("/dev/stdout")
                os.symlink(before, "/dev/stdout")
            assert run.returncode == 73, f"{name}: {run.returncode} {run.stderr}"
    assert os.readlink("/dev/stdout") == before and os.listdir(place.folder) == ["stream"]


# Pairs


@case("a bake and its undo file stand together: both old or both new")
def pairs(place):
    strace = shutil.which("strace")
    assert strace, "strace is missing"
    base, style = large(place, 2)
    place.run("bake", base, f"{style}@0.5", "-o", "out.safetensors", "--undo", "undo").expect(0)
    before = tree(place.folder)
    names = "rename,renameat,renameat2,link,linkat"
    for number in (1, 2, 3):
        for force in (True, False):
            if not force:
                os.rename("out.safetensors", "kept-out")
                os.rename("undo", "kept-undo")
            run = subprocess.run(
                [strace, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={names}", "-e", f"inject={names}:error=EIO:when={number}",
                 place.lathe, "bake", base, style, "-o", "out.safetensors", "--undo", "undo"] + ["--force"] * force,
                cwd=place.folder, env=os.environ | QUIET, capture_output=True, text=True)  # fmt: skip
            done = [os.path.exists(n) for n in ("out.safetensors", "undo")]
            assert not unfinished(place), f"{number}: {unfinished(place)}"
            if run.returncode == 0:
                place.run("unbake", "out.safetensors", "--undo", "undo", "-o", "back").expect(0)
                os.remove("back")
            elif force:
                assert tree(place.folder) == before, f"{number}: {run.stderr}"
            else:
                assert done == [False, False], f"{number}: {done} {run.stderr}"
            if not force:
                for name in ("out.safetensors", "undo"):
                    if os.path.exists(name):
                        os.remove(name)
                os.rename("kept-out", "out.safetensors")
                os.rename("kept-undo", "undo")
            elif run.returncode == 0:
                place.run("bake", base, f"{style}@0.5", "-o", "out.safetensors", "--undo", "undo", "--force").expect(0)


# Tables


@case("no name in a table is a formula of a spreadsheet")
def formulas(place):
    sketch = place.adapters / "sketch.safetensors"
    (place.folder / "pairs.csv").write_text(
        "name,before,after\n" + "".join(f'"{n}",{sketch},{sketch}\n' for n in ("=1+1", "+a", "-b", "@c")))
    run = ["audit", place.model, "--manifest", "pairs.csv", "--weights-only", "-o", "audits"]
    place.run(*run, **QUIET).expect(0)
    place.run(*run, "--collect", **QUIET).expect(0, "4 audits: 4 passed")
    lines = (place.folder / "audits" / "results.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["'=1+1", "'+a", "'-b", "'@c"], lines
