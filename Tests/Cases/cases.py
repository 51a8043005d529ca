"""Runs the cases of this folder, each in an empty folder of its own, and prints a table.

    python3 Tests/Cases/cases.py LATHE WORK [WORD...]

A file `*_cases.py` holds cases of one kind: functions with `@case("what is right")`, which take a `Place` and assert.
"""

import importlib
import os
import pathlib
import signal
import subprocess
import sys
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
TOYBOX = HERE.parents[1] / "Examples" / "Toybox"
CASES = []


def case(title):
    """Registers a function as a case; the title says what is right."""

    def register(function):
        CASES.append((function.__module__.removesuffix("_cases"), title, function))
        return function

    return register


class Run:
    """What came of one call of the program."""

    def __init__(self, arguments, status, output, errors):
        self.arguments, self.status, self.output, self.errors = arguments, status, output, errors

    def expect(self, status, *words):
        """The exit code, and words that the report or the errors must have."""
        text = self.output + self.errors
        assert self.status == status, f"lathe {' '.join(self.arguments)}: exit code {self.status}, not {status}: {text.strip()[-600:]}"
        for word in words:
            assert word in text, f"lathe {' '.join(self.arguments)}: no word of “{word}”: {text.strip()[-600:]}"
        return self


class Place:
    """An empty folder, and the program to run in it."""

    def __init__(self, lathe, folder):
        self.lathe, self.folder = lathe, folder
        self.model, self.adapters = str(TOYBOX / "model"), TOYBOX / "adapters"

    def path(self, name):
        return str(self.folder / name)

    def run(self, *arguments, seconds=60, **variables):
        """The program with these arguments, in the folder, with these variables of the environment besides."""
        arguments = [str(a) for a in arguments]
        done = subprocess.run(
            [self.lathe, *arguments], cwd=self.folder, env=os.environ | variables, capture_output=True, text=True,
            errors="replace", timeout=seconds, stdin=subprocess.DEVNULL)  # fmt: skip
        return Run(arguments, done.returncode, done.stdout, done.stderr)


def main(lathe, work, words):
    # A caller in the background may ignore them, and children inherit that.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.default_int_handler)
    sys.modules["cases"] = sys.modules["__main__"]
    sys.path.insert(0, str(HERE))
    for file in sorted(HERE.glob("*_cases.py")):
        importlib.import_module(file.stem)
    failures = count = 0
    for kind, title, function in CASES:
        if words and not any(word in kind or word in title for word in words):
            continue
        count += 1
        folder = pathlib.Path(work) / f"{count}"
        folder.mkdir()
        os.chdir(folder)
        start, fault = time.monotonic(), None
        try:
            function(Place(lathe, folder))
        except Exception as error:
            fault = str(error) if isinstance(error, AssertionError) and str(error) else traceback.format_exc().strip()
            failures += 1
        print(f"{'FAIL' if fault else 'ok':4}  {kind:10}  {title}  ({time.monotonic() - start:.1f} s)", flush=True)
        if fault:
            print("\n".join("        " + line for line in fault.splitlines()), flush=True)
    print(f"{count - failures} passed, {failures} failed")
    return 1 if failures or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
