import os
import resource
import subprocess
import sys

from cases import case

SMALL = ["--prompt", "a red robot in the city", "--steps", "1", "--size", "64x64", "--quiet"]


def picture(place, name, *arguments, seconds=60, **variables):
    place.run("render", place.model, *SMALL, *arguments, "-o", name, seconds=seconds, **variables).expect(0)
    with open(name, "rb") as file:
        return file.read()


@case("a picture has the same bytes whatever OpenMP's environment grants")
def granted_threads(place):
    alone = picture(place, "alone.png", "--threads", 1)
    for number, variables in enumerate([
        {"OMP_THREAD_LIMIT": "1"}, {"OMP_THREAD_LIMIT": "3"}, {"OMP_DYNAMIC": "true"}, {"OMP_MAX_ACTIVE_LEVELS": "0"},
        {"OMP_NUM_THREADS": "1"}, {"OMP_STACKSIZE": "16k"}, {"GOMP_STACKSIZE": "16"},
    ]):  # fmt: skip
        several = picture(place, f"{number}.png", "--threads", 4, **variables)
        assert several == alone, f"{variables}: another picture"


@case("threads that wait leave the processor to others, whatever the environment says")
def waiting(place):
    def cost(name, *arguments, **variables):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        picture(place, name, *arguments, **variables)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2 * len(os.sched_getaffinity(0)))]
    try:
        alone = cost("alone.png", "--threads", 1)
        for policy in ["active", "passive"]:
            several = cost("several.png", "--force", OMP_WAIT_POLICY=policy, GOMP_SPINCOUNT="infinity")
            assert several < 3 * alone + 0.3, f"{policy}: {several:.2f} s of the processors, {alone:.2f} s with one thread"
    finally:
        for process in busy:
            process.kill()
        # Waited for after all measuring: what they took is no part of it.
        for process in busy:
            process.wait()


@case("more threads than processors are as many as there are processors")
def many_threads(place):
    alone = picture(place, "alone.png", "--threads", 1)
    for number in [1_000_000, 2**31, 2**63 - 1]:
        assert picture(place, f"{number}.png", "--threads", number) == alone
    place.run("render", place.model, "--prompt", "r", "--threads", 2**63 - 1, "--dry-run").expect(0)
    adapter = place.adapters / "sketch.safetensors"
    place.run("resize", adapter, "--rank", 1, "-o", "small.safetensors", "--threads", 2**63 - 1).expect(0)
    place.run("spectrum", adapter, "--threads", 2**63 - 1).expect(0)


@case("numbers of pictures and steps that no machine can make are usage errors")
def many_pictures(place):
    render = ["render", place.model, "--dry-run", "-o", "p.png"]
    for batch in [2**63 - 1, 10**11, 10**6]:
        place.run(*render, "--prompt", "r", "--batch", batch).expect(64, "--batch")
    place.run(*render, "--prompt", "a", "--prompt", "b", "--batch", 9000).expect(64, "pictures")
    for steps in [2**63 - 1, 10**9, 0]:
        place.run(*render, "--prompt", "r", "--steps", steps).expect(64, "steps")
    for number in [2**63 - 1, 0]:
        place.run(*render, "--prompt", "r", "--clip-skip", number).expect(64, "--clip-skip")
