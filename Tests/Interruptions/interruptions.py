"""Kills, failing system calls and files that change, in quantity, at everything that writes.

    python3 Tests/Interruptions/interruptions.py LATHE WORK [--kills N] [--faults N] [--changes N] [--seed N] [--only WORD]

Whatever happens: inputs stay as they are; each output is the old or the new one as a whole; nothing that was there is lost; after a
process that was not killed outright no unfinished file is left, and after one that was the next run is not stopped by what is left.
Prints its seed and counts; ends with 1 when something is not so.
"""

import argparse
import collections
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

from scenarios import SCENARIOS, content, make_inputs

ENVIRONMENT = os.environ | {"OMP_WAIT_POLICY": "passive", "SWIFT_BACKTRACE": "enable=no"}
CALLS = {
    "fsync": ["EIO", "ENOSPC"], "pwrite64": ["EIO", "ENOSPC"], "openat": ["EACCES", "EIO"], "mkdir": ["EACCES", "ENOSPC"],
    "link": ["EIO", "EACCES"], "rename": ["EIO", "EACCES"], "renameat2": ["EIO", "EACCES", "EINVAL"], "symlink": ["EIO"],
    "ftruncate": ["EIO"], "fallocate": ["ENOSPC"], "write": ["EIO", "ENOSPC"], "unlink": ["EIO"],
}  # fmt: skip


class Ready:
    """A scenario with its folder before the call, and what comes of a call that nothing disturbs."""

    def __init__(self, scenario, lathe, work):
        self.scenario, self.lathe = scenario, lathe
        self.template = work / "templates" / re.sub(r"\W", "-", scenario.name)
        self.template.mkdir(parents=True)
        (self.template / "out").mkdir()
        (self.template / "in").symlink_to(work / "in")
        if scenario.place:
            scenario.place(self.template / "out")
        for arguments in scenario.before:
            subprocess.run([lathe, *arguments], cwd=self.template, env=ENVIRONMENT, check=True, capture_output=True)
        self.before = self.state(self.template)
        folder = self.fresh(work / "reference")
        start = time.monotonic()
        done = self.run(folder)
        self.seconds = time.monotonic() - start
        assert done.returncode == scenario.code, f"{scenario.name}: {done.returncode}: {done.stderr}"
        self.after = self.state(folder)
        assert self.after != self.before, scenario.name
        shutil.rmtree(folder)
        self.calls = None

    def state(self, folder):
        return {unit: content(folder / "out" / unit) for unit in self.scenario.units}

    def fresh(self, folder):
        """A folder to run in; the inputs are shared."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.template, folder, symlinks=True)
        return folder

    def run(self, folder, before=(), more=()):
        return subprocess.run(
            [*before, self.lathe, *self.scenario.arguments, *more], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True,
            errors="replace", stdin=subprocess.DEVNULL)  # fmt: skip

    def start(self, folder):
        return subprocess.Popen(
            [self.lathe, *self.scenario.arguments], cwd=folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")  # fmt: skip

    def count_calls(self, folder):
        """How often each call is made by one thread that works on this folder, the program's own and not its loader's."""
        log = folder.parent / "calls"
        names = ",".join(CALLS)
        self.run(self.fresh(folder), before=["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={names}"])
        counts, own = collections.Counter(), collections.defaultdict(list)
        for line in log.read_text(errors="replace").splitlines():
            found = re.match(r"(\d+) +(\w+)\((.*)", line)
            if not found:
                continue
            thread, call, rest = found.groups()
            counts[thread, call] += 1
            # Before its first file a program is being loaded.
            if call != "openat" or re.search(r'"(in|out)/', rest):
                own[call].append(counts[thread, call])
        self.calls = {call: sorted(set(places)) for call, places in own.items() if places}


class Checker:
    def __init__(self, lathe, work, seed):
        self.lathe, self.work, self.random = lathe, work, random.Random(seed)
        self.faults, self.counts = [], collections.Counter()

    def fail(self, what, text):
        self.faults.append(f"{what}: {text}")
        print(f"FAIL {what}: {text}", flush=True)

    def leftovers(self, folder):
        """Unfinished names, and any other that should not be there."""
        return sorted(
            str(p.relative_to(folder)) for p in (folder / "out").rglob("*")
            if p.name.endswith(".partial") or ".working" in p.name or p.name.endswith(".old"))  # fmt: skip

    def check(self, ready, folder, what, *, isKilled, mustBeOld=False, mustBeNew=False, isTogether=True):
        """The outputs and what lies beside them."""
        state = ready.state(folder)
        for unit, found in state.items():
            if found not in (ready.before[unit], ready.after[unit]):
                self.fail(what, f"{unit} is neither old nor new: {str(found)[:300]}")
        if mustBeOld and state != ready.before:
            self.fail(what, f"expected the old outputs, found {[u for u in state if state[u] != ready.before[u]]} new")
        if mustBeNew and state != ready.after:
            self.fail(what, f"expected the new outputs, found {[u for u in state if state[u] != ready.after[u]]} old")
        pairs = {unit: state[unit] == ready.after[unit] for unit in ready.scenario.pairs}
        left = self.leftovers(folder)
        if len(set(pairs.values())) > 1:
            if not isKilled:
                self.fail(what, f"only a part is new: {pairs}")
            # Nothing of an old pair is lost: it lies beside the new one, or under its name.
            kept = [content(folder / name) for name in left]
            for unit in pairs:
                if ready.before[unit] is not None and state[unit] != ready.before[unit] and ready.before[unit] not in kept:
                    self.fail(what, f"the old {unit} is lost, and {[u for u in pairs if not pairs[u]]} is not new")
            self.counts["pairs between old and new"] += 1
        if left and not isKilled:
            self.fail(what, f"left behind: {left}")
        if isKilled:
            self.counts["left behind by kills"] += len(left)
            done = ready.run(folder, more=[] if "--force" in ready.scenario.arguments or state == ready.before or not self.canForce(ready) else ["--force"])
            # What works in place and was done already is done again to its own output, which is another one then.
            canForce = "--force" in ready.scenario.arguments and "in place" not in ready.scenario.name or self.canForce(ready)
            if state == ready.before or canForce:
                if done.returncode != ready.scenario.code or ready.state(folder) != ready.after:
                    self.fail(what, f"the next run ends with {done.returncode}: {done.stderr.strip()[-300:]}")
                self.counts["runs after kills"] += 1

    def canForce(self, ready):
        # A folder of a base is never replaced; many audits go on by themselves.
        return not any(word in ready.scenario.name for word in ("folder", "many", "in place", "PEFT"))

    # MARK: What is done to them

    def kill(self, ready):
        number = self.random.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
        share = self.random.choice([self.random.uniform(0, 1), self.random.uniform(0.7, 1.1)])
        what = f"{ready.scenario.name}, {number.name} after {share:.3f}"
        folder = ready.fresh(self.work / "run")
        process = ready.start(folder)
        time.sleep(share * ready.seconds)
        process.send_signal(number)
        _, errors = process.communicate()
        code = process.returncode
        self.counts["kills that hit"] += code != ready.scenario.code
        allowed = {ready.scenario.code, -number, 128 + number}
        if code not in allowed:
            self.fail(what, f"exit code {code}: {errors[-300:]}")
        self.check(ready, folder, what, isKilled=number == signal.SIGKILL, mustBeNew=code == ready.scenario.code)

    def inject(self, ready):
        folder = self.work / "run"
        if ready.calls is None:
            ready.count_calls(folder)
        call = self.random.choice(sorted(ready.calls))
        place, error = self.random.choice(ready.calls[call]), self.random.choice(CALLS[call])
        what = f"{ready.scenario.name}, {call} {place}: {error}"
        ready.fresh(folder)
        done = ready.run(folder, before=[
            "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={place}"])  # fmt: skip
        code = done.returncode
        self.counts[f"faults at {call}"] += 1
        self.counts["faults that end the run"] += code != ready.scenario.code
        # Reports on standard output come after the outputs, and what is removed is removed twice or not at all.
        isLate = call in ("write", "unlink") or "sheet" in ready.scenario.name or "files" in ready.scenario.name
        if code not in (ready.scenario.code, 73, 74) and not (call == "openat" and code in (2, 65, 66)) and not (
            "many" in ready.scenario.name and code == 2):
            self.fail(what, f"exit code {code}: {done.stderr[-300:]}")
        if code not in (ready.scenario.code, 1, 2) and "lathe: error: " not in done.stderr:
            self.fail(what, f"no message: {done.stderr[-300:]}")
        isDone = code == ready.scenario.code
        isSerial = "many" in ready.scenario.name or isLate
        if call == "unlink":
            # What cannot be removed stays, under its unfinished name.
            shutil.rmtree(folder)
            return
        self.check(ready, folder, what, isKilled=False, mustBeOld=not isDone and not isSerial, mustBeNew=isDone)

    def change(self, ready):
        """An input is cut off or overwritten while the program runs; then it is put back."""
        name = self.random.choice(ready.scenario.inputs)
        file = self.work / "in" / name
        original = self.work / "original"
        shutil.copy2(file, original)
        size, isCut = file.stat().st_size, self.random.random() < 0.5
        share = self.random.uniform(0, 1)
        what = f"{ready.scenario.name}, {name} {'cut off' if isCut else 'overwritten'} after {share:.3f}"
        folder = ready.fresh(self.work / "run")
        process = ready.start(folder)
        time.sleep(share * ready.seconds)
        if isCut:
            os.truncate(file, self.random.choice([0, self.random.randrange(size)]))
        else:
            with open(file, "r+b") as target:
                start = self.random.randrange(size)
                target.seek(start)
                target.write(self.random.randbytes(min(size - start, 200_000)))
        _, errors = process.communicate()
        code = process.returncode
        state = ready.state(folder)
        if code == ready.scenario.code and state != ready.after:
            # It was changed before it was read: then the result is that of the changed file.
            other = ready.fresh(self.work / "other")
            again = ready.run(other)
            if again.returncode != code or ready.state(other) != state:
                self.fail(what, "done, with a result that is of neither the old nor the changed file")
            self.counts["changes before reading"] += 1
        elif code != ready.scenario.code:
            self.counts["changes that end the run"] += 1
            if code < 0 or code > 128 or code not in (1, 2, 64, 65, 66, 74):
                self.fail(what, f"exit code {code}: {errors[-300:]}")
            if code > 2 and ("lathe: error: " not in errors or len(errors.strip().splitlines()) > 3):
                self.fail(what, f"message: {errors[-300:]}")
            if code == 74:
                self.counts["changes that are told"] += 1
                if file.name not in errors:
                    self.fail(what, f"74 without the file's name: {errors[-300:]}")
            isSerial = any(word in ready.scenario.name for word in ("sheet", "files", "many"))
            if not isSerial and state != ready.before:
                self.fail(what, f"exit code {code}, and outputs are new: {errors[-200:]}")
            if self.leftovers(folder):
                self.fail(what, f"left behind: {self.leftovers(folder)}")
        shutil.copyfile(original, file)
        shutil.copystat(original, file)


def main():
    # A caller in the background may ignore them, and children inherit that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler)
    parser = argparse.ArgumentParser()
    parser.add_argument("lathe")
    parser.add_argument("work")
    for name, count in (("kills", 300), ("faults", 200), ("changes", 120), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    work = pathlib.Path(options.work)
    make_inputs(work / "in")
    print(f"seed {options.seed}", flush=True)
    checker = Checker(options.lathe, work, options.seed)
    ready = [Ready(s, options.lathe, work) for s in SCENARIOS if options.only in s.name]
    inputs = content(work / "in")
    for method, count, pool in (
        (checker.kill, options.kills, ready), (checker.inject, options.faults, ready),
        (checker.change, options.changes, [r for r in ready if r.scenario.inputs]),
    ):  # fmt: skip
        for number in range(count if pool else 0):
            method(pool[number % len(pool)])
        print(f"{count} × {method.__name__}: {len(checker.faults)} faults so far", flush=True)
    if content(work / "in") != inputs:
        checker.fail("inputs", "some are not what they were")
    for name, count in sorted(checker.counts.items()):
        print(f"{count:5}  {name}")
    print(f"{options.kills} kills, {options.faults} failing calls, {options.changes} changed inputs: {len(checker.faults)} faults")
    return 1 if checker.faults else 0


if __name__ == "__main__":
    sys.exit(main())
