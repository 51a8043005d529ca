"""Shows whether two builds of the program do the same: exit codes, reports, messages and every byte of what they write.

    python3 Tests/Equivalence/equivalence.py record LATHE FOLDER [WORD...]
    python3 Tests/Equivalence/equivalence.py compare OLD NEW [--intended FILE]

`record` runs the commands of `commands.txt`, or those with one of the words in their name, and keeps what came of each in
FOLDER/record.json. `compare` prints a table of two such records and what differs; it ends with 1 when something does. Both records
are to be made on one machine, since other processors and libraries give other last digits.

Taken out of all texts is what two runs never have in common: times, peaks of memory, the folder they ran in, the version.

Differences that are wanted stand in a file, `intended.txt` beside this script unless another is named: a line of a command's name, a
colon and the reason. They are shown and do not count. Of such a line whose command does not differ, that is said.
"""

import argparse
import collections
import difflib
import hashlib
import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

import inputs

HERE = pathlib.Path(__file__).resolve().parent
SHORT = {
    "BLUEPRINT": "in/blueprint.safetensors", "FIREFLIES": "in/fireflies.safetensors", "GLITTER": "in/glitter.safetensors",
    "LUMI": "in/lumi.safetensors", "POPART": "in/popart.safetensors", "SEPIA": "in/sepia-r64.safetensors",
    "SKETCH": "in/sketch.safetensors", "NEON": "in/neon", "MODEL": "in/model",
    "UNET": "in/model/unet/diffusion_pytorch_model.safetensors", "SMALL": "--steps 2 --size 64x64",
}  # fmt: skip
EACH = {
    "FORMAT": ["f32", "f16", "bf16", "f8_e4m3"],
    "PROGRAM": ["lycoris", "peft", "comfy", "a1111"],
    "SAMPLER": ["ddim", "euler", "euler-a", "dpm++2m", "dpm++2m-karras", "dpm++2m-sde", "unipc", "lcm", "tcd"],
    "SUBCOMMAND": [
        "inspect", "spectrum", "compare", "check", "resize", "merge", "bake", "unbake", "extract", "convert", "render", "audit",
        "metadata", "metadata get", "metadata set", "metadata strip"],
}  # fmt: skip
ENVIRONMENT = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR") if name in os.environ} | {
    "LC_ALL": "C.UTF-8", "SWIFT_BACKTRACE": "enable=no"}  # fmt: skip
TEXTS, LONGEST_TEXT = {".json", ".csv", ".html", ".md", ".svg", ".txt", ".yaml"}, 400_000


# The calls


def make_choices(folder):
    """What the calls are repeated for: a word → the words that are replaced, for each time."""
    def adapters(kind):
        found = [p for p in (folder / kind).glob("*") if p.suffix in (".safetensors", ".pt") or (p / "adapter_config.json").exists()]
        return [{"file": f"in/{p.relative_to(folder)}", "NAME": p.stem, "OUT": f"{p.stem}{'' if p.is_dir() else '.safetensors'}",
                 "BASE": f"in/bases/{p.stem}/base.safetensors"} for p in sorted(found)]  # fmt: skip

    toys = {path.stem for path in (inputs.TOYBOX / "adapters").iterdir()}
    changes = [entry for entry in adapters("changes") if (folder / "bases" / entry["NAME"]).exists()]
    files = {
        "TOY": [entry for entry in adapters("") if entry["NAME"] in toys],
        "DIALECT": adapters("dialects"),
        "CHANGE": changes,
        # Those whose strength programs disagree on.
        "BENT": [entry for entry in changes if any(kind in entry["NAME"] for kind in ("dora", "oft", "modules", "bias"))],
        # A LoKr becomes a hundred times as large; calls of its own choose what is done to it.
        "REAL": [entry for entry in adapters("real") if "lokr" not in entry["NAME"]],
    }
    return {word: [{word: value} for value in values] for word, values in EACH.items()} | {
        word: [entry | {word: entry["file"]} for entry in entries] for word, entries in files.items()}  # fmt: skip


def expand(call, choices):
    """The calls that a line of `commands.txt` stands for."""
    if call.endswith(" [--json]"):
        call = call.removesuffix(" [--json]")
        return [*expand(call, choices), *expand(f"{call} --json", choices)]
    plain = SHORT | {f"{word}S": " ".join(choice[word] for choice in values) for word, values in choices.items()}
    repeated = [values for word, values in choices.items() if re.search(rf"\b{word}\b", call)]
    result = []
    for chosen in itertools.product(*repeated):
        words = collections.ChainMap(*chosen, plain)
        result.append(re.sub(r"\b[A-Z_]+\b", lambda match: words.get(match[0], match[0]), call))
    return result


def read_commands(choices):
    """Name → lines that are calls, or copies of inputs."""
    commands, lines = {}, (HERE / "commands.txt").read_text().splitlines()
    for line in lines:
        if line.startswith("    "):
            commands[name].append(line.strip())
        elif line and not line.startswith("#"):
            name = line
            assert name not in commands, name
            commands[name] = []
    if not choices["REAL"]:
        print(f"skipped: {inputs.REAL} is absent, so commands with real adapters cannot be run")
        commands = {n: c for n, c in commands.items() if not any(re.search(r"\bREALS?\b|in/real/", call) for call in c)}
    return {name: [e for call in calls for e in expand(call, choices)] for name, calls in commands.items()}


# Recording


def digest(data):
    return hashlib.sha256(data).hexdigest()


class Recorder:
    def __init__(self, lathe, work):
        self.lathe, self.work, self.folder = lathe, work, work / "folder"
        version = subprocess.run([lathe, "--version"], env=ENVIRONMENT, capture_output=True, text=True, check=True)
        self.version = version.stdout.strip()

    def run(self, lines):
        """What came of the calls, and all files that are there afterwards."""
        self.folder.mkdir()
        (self.folder / "in").symlink_to("../in")
        calls = {}
        for line in lines:
            words = shlex.split(line)
            if words[0] == "copy":
                for name in words[1:]:
                    source = self.work / "in" / name
                    (shutil.copytree if source.is_dir() else shutil.copyfile)(source, self.folder / name)
            else:
                calls[f"{len(calls) + 1}: lathe {line}"] = self.call(words)
        paths = [path for path in sorted(self.folder.rglob("*")) if path != self.folder / "in"]
        files = {str(path.relative_to(self.folder)): self.describe(path) for path in paths}
        shutil.rmtree(self.folder)
        return {"calls": calls, "files": files}

    def call(self, words):
        takesThreads = len(words) > 1 and words[0] != "help" and words[-1] != "--help"
        command = [self.lathe, *words, *(["--threads", "2"] if takesThreads else [])]
        try:
            # What one build has kept for later audits the other one must not find.
            with tempfile.TemporaryDirectory(prefix="lathe-caches.") as caches:
                environment = ENVIRONMENT | {"XDG_CACHE_HOME": caches}
                done = subprocess.run(
                    command, cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=300)  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"exit code": "none in five minutes"}
        output, errors = (self.neutral(data.decode(errors="backslashreplace")) for data in (done.stdout, done.stderr))
        return {"exit code": done.returncode, "output": output, "errors": errors}

    def neutral(self, text):
        """The text without what differs from run to run, and with hashes for pictures in it."""
        text = text.replace(str(self.folder), "FOLDER").replace(str(self.work), "WORK")
        text = re.sub(rf"(?<![\d.]){re.escape(self.version)}(?![\d.])", "VERSION", text)
        text = re.sub(r'("(?:\w*seconds\w*|peak_memory|modified)" ?: ?)[\d.e+-]+', r"\1N", text)
        text = re.sub(r'("report_hash":)"\w+"', r"\1N", text)
        text = re.sub(r"(?<![\w.])\d[\d.]*(e-\d+)? (s|min)\b", "N s", text)
        text = re.sub(r"(?m)^( +memory +)[\d.]+ .?B$", r"\1N", text)
        if ",seconds,error\n" in text:
            text = re.sub(r"(?m),\d+\.\d+,([^,\n]*)$", r",N,\1", text)
        return re.sub(r"base64,([A-Za-z0-9+/=]+)", lambda match: f"base64 {digest(match[1].encode())}", text)

    def describe(self, path):
        """A file: its bytes' hash, and what tells more about another hash."""
        if path.is_symlink():
            return {"link": os.readlink(path)}
        mode = {"mode": f"{path.stat().st_mode:o}"}
        if path.is_dir():
            return mode
        data = path.read_bytes()
        if path.suffix in TEXTS and len(data) < LONGEST_TEXT:
            try:
                return mode | {"text": self.neutral(data.decode())}
            except UnicodeDecodeError:
                pass
        return mode | self.structure(path, data) | {"size": len(data), "bytes": digest(data)}

    def structure(self, path, data):
        """What is in a picture or a file of tensors; nothing for others."""
        try:
            if data.startswith(b"\x89PNG"):
                return self.picture(data)
            metadata, tensors = inputs.read(path)
            return {
                "metadata": {key: self.neutral(value) for key, value in metadata.items()},
                "tensors": {name: f"{dtype} {shape} {digest(content)}" for name, (dtype, shape, content) in tensors.items()},
            }
        except (ValueError, KeyError, TypeError, AttributeError, struct.error, zlib.error):
            return {}

    def picture(self, data):
        chunks, at = collections.defaultdict(bytes), 8
        while at < len(data):
            (length,), kind = struct.unpack(">I", data[at : at + 4]), data[at + 4 : at + 8].decode()
            chunks[kind] += data[at + 8 : at + 8 + length]
            at += length + 12
        pixels = digest(zlib.decompress(chunks.pop("IDAT")))
        texts = {
            kind: self.neutral(chunk.decode(errors="backslashreplace").replace("\0", "\n")) if kind.endswith("Xt") else chunk.hex()
            for kind, chunk in chunks.items()
        }
        return {"pixels": pixels, "chunks": texts}


def record(lathe, folder, words):
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="lathe-equivalence.") as work:
        work = pathlib.Path(work).resolve()
        inputs.make_inputs(work / "in")
        recorder, results, first = Recorder(lathe, work), {}, time.monotonic()
        for name, lines in read_commands(make_choices(work / "in")).items():
            if words and not any(word in name for word in words):
                continue
            start = time.monotonic()
            results[name] = recorder.run(lines)
            codes = collections.Counter(call["exit code"] for call in results[name]["calls"].values())
            codes = ", ".join(f"{code} ({count}×)" if count > 1 else str(code) for code, count in codes.items())
            print(f"{time.monotonic() - start:5.1f} s  {name}: {codes}", flush=True)
        (folder / "record.json").write_text(json.dumps({"version": recorder.version, "commands": results}, indent=1, ensure_ascii=False))
    calls = sum(len(result["calls"]) for result in results.values())
    print(f"{len(results)} commands with {calls} calls in {time.monotonic() - first:.0f} s")
    return 0 if results else 1


# Comparing


def text_difference(old, new):
    """Lines as of `diff`; long ones are cut into parts where JSON, HTML and tables can be cut."""
    lines = [text.splitlines() for text in (old, new)]
    if any(len(line) > 200 for text in lines for line in text):
        lines = [[part for line in text for part in re.split(r"(?<=[,>{\[])", line)] for text in lines]
    result = [line[:200] for line in difflib.unified_diff(*lines, n=1, lineterm="")][2:]
    return result if len(result) <= 16 else [*result[:16], f"and {len(result) - 16} lines more"]


def differences(where, old, new, isOtherVersion):
    """Sentences about what differs."""
    if old == new:
        return
    if old is None or new is None:
        yield f"{where}: only in the {'new' if old is None else 'old'} record"
    elif isinstance(old, dict) and isinstance(new, dict):
        keys = [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]
        # Bytes follow from what else differs, and from the version that they hold.
        if "bytes" in keys and (set(keys) - {"size", "bytes"} or isOtherVersion and old.keys() & {"metadata", "chunks"}):
            keys = [key for key in keys if key not in ("size", "bytes")]
        for key in keys[:6]:
            yield from differences(f"{where}: {key}" if where else key, old.get(key), new.get(key), isOtherVersion)
        if len(keys) > 6:
            yield f"{where}: and {len(keys) - 6} more"
    elif isinstance(old, str) and isinstance(new, str) and max(len(old), len(new)) > 80:
        yield where
        yield from (f"  {line}" for line in text_difference(old, new))
    else:
        yield re.sub(r"\b(\w{12})\w{52}\b", r"\1…", f"{where}: {old!r} → {new!r}")


def compare(old, new, intended):
    old, new = (json.loads((folder / "record.json").read_text()) for folder in (old, new))
    reasons, counts = {}, collections.Counter()
    if intended.exists():
        lines = [line for line in intended.read_text().splitlines() if line.strip() and not line.startswith("#")]
        reasons = {name.strip(): reason.strip() for name, _, reason in (line.partition(": ") for line in lines)}
    for name in dict.fromkeys([*old["commands"], *new["commands"]]):
        pair = old["commands"].get(name), new["commands"].get(name)
        found = list(differences("", *pair, old["version"] != new["version"]))
        verdict = "same" if not found else "intended" if name in reasons else "DIFFERS"
        counts[verdict] += 1
        print(f"{verdict:8}  {name}{f'  ({reasons[name]})' if verdict == 'intended' else ''}")
        for line in found:
            print(f"          {line}")
        if not found and name in reasons:
            print(f"          {intended.name} has a reason, but nothing differs: {reasons[name]}")
    for name in reasons.keys() - old["commands"].keys() - new["commands"].keys():
        print(f"{intended.name}: no command is called {name}")
    print(f"{counts['same']} same, {counts['intended']} with intended differences, {counts['DIFFERS']} differ")
    return 1 if counts["DIFFERS"] or not counts else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = parser.add_subparsers(dest="mode", required=True)
    recording, comparing = modes.add_parser("record"), modes.add_parser("compare")
    recording.add_argument("lathe", type=pathlib.Path)
    recording.add_argument("folder", type=pathlib.Path)
    recording.add_argument("words", nargs="*")
    comparing.add_argument("old", type=pathlib.Path)
    comparing.add_argument("new", type=pathlib.Path)
    comparing.add_argument("--intended", type=pathlib.Path, default=HERE / "intended.txt")
    options = parser.parse_args()
    if options.mode == "record":
        return record(options.lathe.resolve(), options.folder, options.words)
    return compare(options.old, options.new, options.intended)


if __name__ == "__main__":
    sys.exit(main())
