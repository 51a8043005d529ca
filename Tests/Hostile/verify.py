#!/usr/bin/env python3
"""Gives every file of make.py to the tool and looks at what happens. Standard library only.

    python3 Tests/Hostile/verify.py LATHE FOLDER

Each call must end with the case's exit code (65 for bad data), one line on standard error that names the file, no output,
nothing executed, in less than a second and 200 MB. `inspect` and `check` may put the fault into their report instead.

The second is the processor's, since other programs may hold the machine up, and that of a processor which does a known piece of work
in PACE seconds: where that takes longer, everything may.
"""
import json
import os
import shutil
import sys
import time

SECONDS, BYTES, TRIES, STUCK, PACE = 1.0, 200_000_000, 3, 20.0, 0.06
READERS = ("inspect", "check")


def commands(case, path, good_adapter, good_base, out):
    """What is asked of a file: the commands that read it, and some that would write."""
    # What comes of a folder of PEFT is a folder.
    output = os.path.join(out, "out" if os.path.isdir(path) and case["role"] == "adapter" else "out.safetensors")
    if case["role"] == "base":
        yield ["check", good_adapter, path]
        yield ["bake", path, good_adapter, "-o", output]
        yield ["extract", good_base, path, "-o", output, "--rank", "1"]
        return
    yield ["inspect", "--norms", path]
    yield ["spectrum", path]
    yield ["resize", path, "-o", output, "--rank", "1"]
    yield ["merge", good_adapter, path, "-o", output, "--rank", "1"]
    yield ["bake", good_base, path, "-o", output]
    if not case["needs_weights"]:
        yield ["inspect", "--json", path]
        yield ["check", path, good_base]


def run(lathe, arguments, work):
    """Exit code, standard output and error, seconds by the clock and the processor, and the most bytes in use."""
    names = [os.path.join(work, "output"), os.path.join(work, "errors")]
    opened = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    start = time.monotonic()
    process = os.posix_spawn(
        lathe, [lathe, *arguments, "--quiet"], os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), (os.POSIX_SPAWN_OPEN, 1, names[0], opened, 0o600),
            (os.POSIX_SPAWN_OPEN, 2, names[1], opened, 0o600),
        ])
    while True:
        ended, status, usage = os.wait4(process, os.WNOHANG)
        seconds = time.monotonic() - start
        if ended:
            break
        if seconds > STUCK:
            os.kill(process, 9)
        time.sleep(0.002)
    texts = [open(name, errors="replace").read() for name in names]
    memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return os.waitstatus_to_exitcode(status), *texts, seconds, usage.ru_utime + usage.ru_stime, memory


def slowness():
    """How many times as long as it should a piece of work takes that is like reading a header: 1 at least."""
    text = json.dumps({f"lora_unet_x{n}.lora_up.weight": {"dtype": "U8", "shape": [n]} for n in range(50_000)})

    def seconds():
        start = time.process_time()
        json.loads(text)
        return time.process_time() - start

    return max(1.0, min(seconds() for _ in range(3)) / PACE)


def faults(case, arguments, path, code, output, errors, left):
    """What is wrong with the end of a call, in words."""
    lines = errors.splitlines()
    if code != case["code"]:
        yield f"expected exit code {case['code']}, found {code}: {errors[:300] or output[-300:]}"
    elif lines or arguments[0] not in READERS:
        if len(lines) != 1 or not lines[0].startswith("lathe: error: "):
            yield f"expected one line that begins with lathe: error, found {lines[:3]}"
        elif path not in lines[0]:
            yield f"expected a line that names the file, found {lines[0][:300]}"
        elif len(lines[0]) > 1000:
            yield f"expected a line that can be read, found one of {len(lines[0])} characters"
        if output:
            yield f"expected no report, found {output[:100]}"
    elif not output:
        yield "expected an error or a report, found nothing"
    if left:
        yield f"expected no output, found {left}"


def examine(case, lathe, folder, work):
    """The faults of all commands for one file, and what the most expensive one took."""
    found, slowest, largest = [], 0.0, 0
    path, out = os.path.join(folder, case["file"]), os.path.join(work, "out")
    good = [os.path.join(folder, "good", name) for name in ("adapter.safetensors", "base.safetensors")]
    for arguments in commands(case, path, *good, out):
        # What was slow once is tried again.
        seconds, memory, limit = [], [], SECONDS
        for _ in range(TRIES):
            shutil.rmtree(out, ignore_errors=True)
            os.mkdir(out)
            code, output, errors, took, worked, used = run(lathe, arguments, work)
            seconds.append(min(worked, took) if took < STUCK else took)
            memory.append(used)
            if seconds[-1] < limit and used < BYTES or took > STUCK:
                break
            limit = max(limit, SECONDS * slowness())
        problems = list(faults(case, arguments, path, code, output, errors, os.listdir(out)))
        if min(seconds) >= limit:
            problems.append(f"expected less than {limit:.2f} s, found {min(seconds):.2f} s")
        if min(memory) >= BYTES:
            problems.append(f"expected less than {BYTES / 1e6:.0f} MB, found {min(memory) / 1e6:.0f} MB")
        found += [f"{case['file']}: {arguments[0]}: {problem}" for problem in problems]
        slowest, largest = max(slowest, min(seconds)), max(largest, min(memory))
    return found, slowest, largest


def main():
    lathe, folder = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
    with open(os.path.join(folder, "cases.json")) as file:
        cases = json.load(file)
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    work = os.path.join(folder, "work")
    os.makedirs(work, exist_ok=True)
    kinds, failures = {}, []
    for case in cases:
        if only not in case["file"]:
            continue
        found, seconds, memory = examine(case, lathe, folder, work)
        row = kinds.setdefault(case["kind"], [0, 0, 0.0, 0])
        row[0] += 1
        row[1] += not found
        row[2], row[3] = max(row[2], seconds), max(row[3], memory)
        failures += found
        for line in found:
            print(line, file=sys.stderr, flush=True)
    if os.path.exists(os.path.join(folder, "executed")):
        failures.append("expected nothing to be executed, found the mark of a pickle's command")
        print(failures[-1], file=sys.stderr)
    print(f"{'kind':<20} {'files':>5} {'right':>5} {'slowest':>9} {'memory':>8}")
    for kind, (count, right, seconds, memory) in kinds.items():
        print(f"{kind:<20} {count:>5} {right:>5} {seconds:>7.2f} s {memory / 1e6:>5.0f} MB")
    total = sum(row[0] for row in kinds.values())
    if failures:
        sys.exit(f"hostile files: {len(failures)} faults in {total} files")
    print(f"{total} hostile and broken files are refused, each with one line")


if __name__ == "__main__":
    main()
