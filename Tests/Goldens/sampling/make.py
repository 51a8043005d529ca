"""Numbers of the sampling tests: noise, tables of noise levels, trajectories, and what settings mean to each sampler.

- noise.json: torch's generator on the processor. `torch` has, for each seed, calls of randn one after the other on one
  generator; short calls as bits, long ones as a hash of all bits. `philox` comes from the plain integer arithmetic below
  in the precision of AUTOMATIC1111's rng_philox.py: constants are single, unsigned times single is double in numpy. The
  values printed in its own docstring have constants of double precision, and agree to 1e-6.
- tables.json: betas, cumulative alphas and sigmas of diffusers' schedulers, as bits, with square roots rounded to nearest.
  torch with MKL has other last bits in a fifth of all square roots (4096 for the root of 2^24 - 1).
- trajectories.json: diffusers' schedulers on 70 numbers (no multiple of 16) with the stand-in network
  tanh(0.7 x) + 0.01 t / 1000: timesteps, sigmas, initial scale, and the sample after each step. Random draws come from
  torch's generator. `strength` starts from an image as the img2img pipeline does. With square roots rounded to nearest,
  diffusers gives the same within 1e-6 of the largest number, but for Euler's samplers from sigma 4096 (4e-5): there a
  number of 4 digits before the point loses all but its last ones in the first step. `check_roots` proves both.
- settings.json: texts of scheduler_config.json files as published models have them, and timesteps of
  X.from_config(Y.from_pretrained(folder).config) for every sampler X.
- guidance.json: the combination and rescale_noise_cfg of the Stable Diffusion pipeline.

Versions: torch 2.13.0 (CPU), diffusers 0.42.1, numpy 2.4.6. Run: python make.py
"""

import base64
import contextlib
import json
import math
import pathlib
import tempfile

import diffusers
import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

HERE = pathlib.Path(__file__).parent
VERSIONS = {"torch": torch.__version__, "diffusers": diffusers.__version__, "numpy": np.__version__}
torch.set_num_threads(1)


def bits(values):
    """Little-endian single precision, base64."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode()


def write(name, content):
    text = json.dumps({"versions": VERSIONS, **content}, indent=None, separators=(",", ":"))
    (HERE / name).write_text(text + "\n")
    print(name, len(text))


def fnv(values):
    """FNV-1a over the bytes."""
    result = 0xCBF29CE484222325
    for byte in np.asarray(values, dtype="<f4").tobytes():
        result = (result ^ byte) * 0x100000001B3 % 2**64
    return result


# ---------------------------------------------------------------------------------------------------------------- noise


def torch_noise():
    seeds = [0, 1, 42, 2**31 + 5, 2**32 - 1, 2**32 + 42, 2**63 + 2**33 + 7, 2**64 - 1]
    sizes = [1, 16, 2, 15, 17, 3, 31, 32, 7, 100, 1, 333]
    cases = []
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        calls = [bits(torch.randn(n, generator=generator).numpy()) for n in sizes]
        cases.append({"seed": str(seed), "sizes": sizes, "calls": calls})
    long = []
    for seed, size in [(0, 16384), (42, 65536), (7, 65543), (2**40 + 3, 36864)]:
        values = torch.randn(size, generator=torch.Generator().manual_seed(seed)).numpy()
        # A shape makes no difference.
        if size % 64 == 0:
            shaped = torch.randn(1, 4, 16, size // 64, generator=torch.Generator().manual_seed(seed)).numpy()
            assert (shaped.ravel() == values).all()
        long.append({"seed": str(seed), "size": size, "hash": str(fnv(values)), "last": bits(values[-4:])})
    return {"cases": cases, "long": long}


def philox_words(counter, key):
    c, k = list(counter), list(key)
    for round in range(10):
        p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(q >> 32) ^ c[1] ^ k[0], q & 0xFFFFFFFF, (p >> 32) ^ c[3] ^ k[1], p & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def philox_normals(seed, call, count):
    unit, turn = np.float32(2.3283064e-10), np.float32(2.3283064e-10 * 6.2831855)
    values = []
    for i in range(count):
        words = philox_words((call, 0, i, 0), (seed & 0xFFFFFFFF, seed >> 32))
        u = words[0] * float(unit) + float(unit / np.float32(2))
        v = words[1] * float(turn) + float(turn / np.float32(2))
        values.append(math.sqrt(-2 * math.log(u)) * math.sin(v))
    return np.array(values, dtype=np.float32)


def philox_noise():
    # Known answers of Random123 for philox4x32-10.
    assert philox_words((0, 0, 0, 0), (0, 0)) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]
    assert philox_words([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2) == [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]
    published = [-0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647]
    assert np.allclose(philox_normals(0, 0, 5), published, rtol=1e-6, atol=0)
    sizes = [5, 1, 70]
    return [
        {"seed": str(seed), "sizes": sizes, "calls": [bits(philox_normals(seed, c, n)) for c, n in enumerate(sizes)]}
        for seed in [0, 1, 42, 2**32 + 42, 2**64 - 1]
    ]


# --------------------------------------------------------------------------------------------------------------- tables


@contextlib.contextmanager
def exact_roots():
    """Square roots as IEEE 754 has them, for torch's tensors of single precision."""
    root, power = torch.Tensor.sqrt, torch.Tensor.__pow__

    def exact(x):
        return torch.from_numpy(np.asarray(np.sqrt(x.numpy())))

    torch.Tensor.sqrt = torch.sqrt = exact
    torch.Tensor.__pow__ = lambda x, p: exact(x) if isinstance(p, float) and p == 0.5 else power(x, p)
    try:
        yield
    finally:
        torch.Tensor.sqrt, torch.Tensor.__pow__ = root, power
        torch.sqrt = root


def tables():
    cases = []
    for start, end, schedule, count, zero in [
        (0.00085, 0.012, "scaled_linear", 1000, False),
        (0.00085, 0.012, "scaled_linear", 1000, True),
        (0.0001, 0.02, "linear", 1000, False),
        (0.0001, 0.02, "linear", 37, True),
        (0.001, 0.1, "scaled_linear", 2, False),
    ]:
        settings = dict(
            beta_start=start, beta_end=end, beta_schedule=schedule, num_train_timesteps=count, rescale_betas_zero_snr=zero
        )
        ddim = diffusers.DDIMScheduler(**settings)
        euler = diffusers.EulerDiscreteScheduler(**settings)
        cases.append(
            {
                "beta_start": start,
                "beta_end": end,
                "beta_schedule": schedule,
                "count": count,
                "zero": zero,
                "betas": bits(ddim.betas.numpy()),
                "cumulative": bits(ddim.alphas_cumprod.numpy()),
                "sigmas": bits(euler.sigmas.numpy()[:-1][::-1]),
            }
        )
    return {"cases": cases}


# --------------------------------------------------------------------------------------------------------- trajectories

SCHEDULERS = {
    "ddim": (diffusers.DDIMScheduler, {}),
    "euler": (diffusers.EulerDiscreteScheduler, {}),
    "euler-a": (diffusers.EulerAncestralDiscreteScheduler, {}),
    "dpm++2m": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": False}),
    "dpm++2m-karras": (diffusers.DPMSolverMultistepScheduler, {"use_karras_sigmas": True}),
    "dpm++2m-sde": (diffusers.DPMSolverMultistepScheduler, {"algorithm_type": "sde-dpmsolver++"}),
    "unipc": (diffusers.UniPCMultistepScheduler, {}),
    "lcm": (diffusers.LCMScheduler, {}),
    "tcd": (diffusers.TCDScheduler, {}),
}
BASE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
SHAPE = (1, 2, 5, 7)


def network(x, t):
    return torch.tanh(0.7 * x) + 0.01 * t.float() / 1000


def trajectory(kind, steps, eta=None, strength=None, seed=11, **settings):
    cls, extra = SCHEDULERS[kind]
    settings = {**BASE, **settings}
    scheduler = cls.from_config({**settings, **extra})
    generator = torch.Generator().manual_seed(seed)
    scheduler.set_timesteps(steps)
    timesteps, first = scheduler.timesteps, 0
    sigmas = bits(scheduler.sigmas.numpy()) if hasattr(scheduler, "sigmas") else None
    scale = float(scheduler.init_noise_sigma)
    if strength is None:
        x = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
    else:
        image = torch.randn(SHAPE, generator=generator)
        first = max(steps - min(int(steps * strength), steps), 0)
        timesteps = timesteps[first:]
        if hasattr(scheduler, "set_begin_index"):
            scheduler.set_begin_index(first)
        x = scheduler.add_noise(image, torch.randn(SHAPE, generator=generator), timesteps[:1])
    samples = [bits(x.numpy().ravel())]
    for t in timesteps:
        output = network(scheduler.scale_model_input(x, t), t)
        options = {"eta": eta} if eta is not None else {}
        if kind not in ("euler", "unipc"):
            options["generator"] = generator
        x = scheduler.step(output, t, x, **options).prev_sample
        assert torch.isfinite(x).all(), (kind, settings)
        samples.append(bits(x.numpy().ravel()))
    return {
        "kind": kind,
        "settings": settings,
        "steps": steps,
        "eta": eta,
        "strength": strength,
        "first": first,
        "seed": seed,
        "timesteps": bits(scheduler.timesteps.numpy()),
        "sigmas": sigmas,
        "scale": bits([scale]),
        "samples": samples,
        "after": bits(torch.randn(3, generator=generator).numpy()),
    }


def trajectories():
    cases = []
    zero = {"rescale_betas_zero_snr": True}
    spacings = ["leading", "linspace", "trailing"]
    predictions = ["epsilon", "v_prediction", "sample"]
    for kind in ["ddim", "euler", "euler-a", "dpm++2m", "dpm++2m-karras", "dpm++2m-sde", "unipc"]:
        shared = {"clip_sample": False, "set_alpha_to_one": False} if kind == "ddim" else {}
        for spacing in spacings:
            for prediction in predictions:
                # diffusers' own ancestral sampler has no such prediction.
                if kind == "euler-a" and prediction == "sample":
                    continue
                settings = dict(timestep_spacing=spacing, prediction_type=prediction, **shared)
                cases.append(trajectory(kind, 10, **settings))
                if prediction != "epsilon" and (spacing != "linspace" or prediction == "v_prediction"):
                    cases.append(trajectory(kind, 8, **settings, **zero))
        for steps in [1, 2, 3, 25]:
            cases.append(trajectory(kind, steps, timestep_spacing="trailing", **shared))
        for strength in [0.35, 0.8, 1.0]:
            cases.append(trajectory(kind, 9, strength=strength, timestep_spacing="leading", **shared))
    for kind in ["euler", "unipc", "dpm++2m-sde"]:
        for spacing, prediction in zip(spacings, predictions):
            settings = dict(timestep_spacing=spacing, prediction_type=prediction, use_karras_sigmas=True)
            cases.append(trajectory(kind, 10, **settings))
    for eta in [0.3, 1.0]:
        for spacing, prediction in zip(spacings, predictions):
            settings = dict(timestep_spacing=spacing, prediction_type=prediction, clip_sample=False)
            cases.append(trajectory("ddim", 8, eta=eta, set_alpha_to_one=eta == 1.0, **settings))
    cases.append(trajectory("ddim", 8, timestep_spacing="leading", clip_sample=True, set_alpha_to_one=True))
    # Steps that end at timestep 0 and below it.
    for one in [True, False]:
        settings = dict(timestep_spacing="leading", clip_sample=False, set_alpha_to_one=one)
        cases.append(trajectory("ddim", 5, **settings, steps_offset=0))
    cases.append(trajectory("ddim", 8, timestep_spacing="leading", clip_sample=True, clip_sample_range=1.5, eta=0.5))
    for kind in ["lcm", "tcd"]:
        for prediction in predictions:
            cases.append(trajectory(kind, 4, prediction_type=prediction))
        cases.append(trajectory(kind, 8, prediction_type="v_prediction", **zero))
        for steps in [1, 2, 7, 50]:
            cases.append(trajectory(kind, steps))
        cases.append(trajectory(kind, 6, original_inference_steps=37))
        cases.append(trajectory(kind, 8, strength=0.5))
    cases.append(trajectory("lcm", 4, clip_sample=True, clip_sample_range=1.2, timestep_scaling=0.01))
    for eta in [0.0, 0.55, 1.0]:
        for prediction in predictions:
            cases.append(trajectory("tcd", 5, eta=eta, prediction_type=prediction))
    return {"cases": cases}


def check_roots(cases):
    with exact_roots():
        others = trajectories()["cases"]
    for case, other in zip(cases, others):
        steep = case["kind"] in ("euler", "euler-a") and case["settings"].get("rescale_betas_zero_snr")
        for a, b in zip(case["samples"], other["samples"]):
            a, b = (np.frombuffer(base64.b64decode(x), dtype="<f4") for x in (a, b))
            assert np.abs(a - b).max() <= (4e-5 if steep else 1e-6) * np.abs(a).max(), (case["kind"], case["settings"])


# ------------------------------------------------------------------------------------------------------------- settings


def settings_cases():
    noise = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "num_train_timesteps": 1000}
    old = {"set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1, "trained_betas": None, "clip_sample": False}
    files = {
        "sd1": {"_class_name": "PNDMScheduler", "_diffusers_version": "0.6.0", **noise, **old},
        "sd2-v": {"_class_name": "DDIMScheduler", "_diffusers_version": "0.8.0", **noise, **old, "prediction_type": "v_prediction"},
        "sdxl": {
            "_class_name": "EulerDiscreteScheduler",
            "_diffusers_version": "0.19.0.dev0",
            **noise,
            **old,
            "interpolation_type": "linear",
            "prediction_type": "epsilon",
            "sample_max_value": 1.0,
            "timestep_spacing": "leading",
            "use_karras_sigmas": False,
        },
        "turbo": {
            "_class_name": "EulerAncestralDiscreteScheduler",
            **noise,
            **old,
            "prediction_type": "epsilon",
            "timestep_spacing": "trailing",
        },
        "lcm": {"_class_name": "LCMScheduler", **noise, **old, "original_inference_steps": 40, "timestep_scaling": 10.0},
        "zero": {
            "_class_name": "DDIMScheduler",
            **noise,
            **old,
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
        },
        "empty": {"_class_name": "DDIMScheduler"},
    }
    cases = []
    for name, content in files.items():
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "scheduler_config.json").write_text(json.dumps(content))
            model = getattr(diffusers, content["_class_name"]).from_pretrained(folder)
        for kind, (cls, extra) in SCHEDULERS.items():
            scheduler = cls.from_config(model.config, **extra)
            steps = 6 if kind in ("lcm", "tcd") else 20
            scheduler.set_timesteps(steps)
            generator = torch.Generator().manual_seed(3)
            x = torch.randn(SHAPE, generator=generator) * scheduler.init_noise_sigma
            t = scheduler.timesteps[0]
            options = {} if kind in ("euler", "unipc") else {"generator": generator}
            y = scheduler.step(network(scheduler.scale_model_input(x, t), t), t, x, **options).prev_sample
            cases.append(
                {
                    "file": name,
                    "kind": kind,
                    "steps": steps,
                    "timesteps": bits(scheduler.timesteps.numpy()),
                    "scale": bits([float(scheduler.init_noise_sigma)]),
                    "sample": bits(y.numpy().ravel()),
                }
            )
    return {"files": {name: json.dumps(content) for name, content in files.items()}, "cases": cases}


# ------------------------------------------------------------------------------------------------------------- guidance


def guidance():
    generator = torch.Generator().manual_seed(5)
    u = torch.randn((2, 4, 3, 5), generator=generator)
    c = u + 0.3 * torch.randn((2, 4, 3, 5), generator=generator) + torch.tensor([0.0, 2.0]).reshape(2, 1, 1, 1)
    cases = []
    for scale, phi in [(7.5, 0.0), (7.5, 0.7), (2.0, 1.0)]:
        e = u + scale * (c - u)
        if phi > 0:
            e = rescale_noise_cfg(e, c, guidance_rescale=phi)
        cases.append({"scale": scale, "rescale": phi, "result": bits(e.numpy().ravel())})
    return {"unconditional": bits(u.numpy().ravel()), "conditional": bits(c.numpy().ravel()), "images": 2, "cases": cases}


if __name__ == "__main__":
    write("noise.json", {"torch": torch_noise(), "philox": philox_noise()})
    with exact_roots():
        write("tables.json", tables())
    runs = trajectories()
    check_roots(runs["cases"])
    write("trajectories.json", runs)
    write("settings.json", settings_cases())
    write("guidance.json", guidance())
