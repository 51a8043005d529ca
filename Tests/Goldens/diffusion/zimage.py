"""Z-Image, tiny, from a prompt to pixels: transformer, Qwen3 text encoder with its tokenizer, 16-channel autoencoder.

`zimage-pipeline` is the folder that `ZImagePipeline.save_pretrained` writes, with its weights in half precision; other
folders hold what its parts make of their inputs.
"""

import copy
import json
import re

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from diffusers.loaders import single_file_utils
from tokenizers import AddedToken
from transformers import Qwen2Tokenizer, Qwen3Config, Qwen3ForCausalLM
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

import vaes
from fixture import HERE, Catch, describe, write_diffusers_model, write_json, write_tensors

FOLDER = "zimage-pipeline"
TEXT = """The quick brown fox jumps over the lazy dog. A photo of a cat in the garden, painting of the sea at night, "red
and blue" houses; don't you think there's more in this than in that? 1girl, solo, masterpiece, best quality, (detailed
face:1.2), portrait of the woman with the long hair and the dark eyes, on the street in the rain."""
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def redraw(model, seed):
    """New weights that hide nothing, exact in half precision: no gate is zero and no norm is one."""
    generator = torch.Generator().manual_seed(seed)
    for name, weight in model.named_parameters():
        drawn = torch.randn(weight.shape, generator=generator)
        if name.endswith("pad_token") or name.endswith("bias"):
            drawn = 0.1 * drawn
        elif "embed_tokens" in name:
            pass
        elif weight.ndim == 1:
            drawn = 0.5 + torch.rand(weight.shape, generator=generator)
        else:
            drawn = drawn / weight[0].numel() ** 0.5
        weight.data = drawn.half().float()
    return model.eval()


def byte_characters():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {b: chr(b) for b in printable} | {b: chr(256 + i) for i, b in enumerate(others)}


def merges(count):
    """Byte pairs of TEXT, the commonest first; the pieces are words with the space before them."""
    characters = byte_characters()
    words = [[characters[b] for b in word.encode()] for word in re.findall(r" ?[^\s]+|\s+", TEXT)]
    result = []
    while len(result) < count:
        pairs = {}
        for word in words:
            for pair in zip(word, word[1:]):
                pairs[pair] = pairs.get(pair, 0) + 1
        best = max(sorted(pairs), key=pairs.get)
        result.append(best)
        for word in words:
            place = 0
            while place + 1 < len(word):
                if (word[place], word[place + 1]) == best:
                    word[place:place + 2] = ["".join(best)]
                place += 1
    return result


def tokenizer():
    pairs = merges(120)
    spellings = list(byte_characters().values()) + ["".join(pair) for pair in pairs]
    assert len(set(spellings)) == len(spellings)
    result = Qwen2Tokenizer(vocab={s: i for i, s in enumerate(spellings)}, merges=pairs)
    special = ["<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>", "<think>", "</think>"]
    result.add_tokens([AddedToken(t, special=t.startswith("<|"), normalized=False) for t in special])
    result.chat_template = TEMPLATE
    return result


def parts():
    transformer = redraw(ZImageTransformer2DModel(
        in_channels=16, dim=48, n_layers=2, n_refiner_layers=1, n_heads=3, n_kv_heads=3, cap_feat_dim=40,
        axes_dims=[4, 6, 6], axes_lens=[256, 64, 64],
    ), 501)
    own = tokenizer()
    text_encoder = redraw(Qwen3ForCausalLM(Qwen3Config(
        vocab_size=400, hidden_size=40, intermediate_size=72, num_hidden_layers=4, num_attention_heads=6,
        num_key_value_heads=2, head_dim=16, rope_theta=1e6, max_position_embeddings=4096, tie_word_embeddings=True,
    )), 502)
    vae = redraw(AutoencoderKL(
        in_channels=3, out_channels=3, latent_channels=16, layers_per_block=1, norm_num_groups=4, sample_size=64,
        block_out_channels=(8, 8, 12, 12), scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False,
        use_post_quant_conv=False, down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    ), 503)
    scheduler = FlowMatchEulerDiscreteScheduler(num_train_timesteps=1000, use_dynamic_shifting=False, shift=3.0)
    return dict(transformer=transformer, text_encoder=text_encoder, tokenizer=own, vae=vae, scheduler=scheduler)


def write_folder(own):
    """As save_pretrained writes it, in half precision."""
    pipe = ZImagePipeline(**{n: copy.deepcopy(p) for n, p in own.items()})
    for name in ("transformer", "text_encoder", "vae"):
        getattr(pipe, name).half()
    pipe.save_pretrained(HERE / FOLDER)
    (HERE / FOLDER / "text_encoder/generation_config.json").unlink(missing_ok=True)
    for path in sorted((HERE / FOLDER).rglob("*")):
        if path.is_file():
            path.chmod(0o644)
            assert path.stat().st_size < 1_000_000, path
    again = ZImagePipeline.from_pretrained(HERE / FOLDER, torch_dtype=torch.float32)
    for name in ("transformer", "text_encoder", "vae"):
        first, second = own[name].state_dict(), getattr(again, name).state_dict()
        assert first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first), name
    return again


def original_names(own):
    """How the transformer's tensors are named in a file of its authors; diffusers' converter must return them."""
    tensors, result = own["transformer"].state_dict(), {}
    for name in tensors:
        other = name.replace("all_x_embedder.2-1", "x_embedder").replace("all_final_layer.2-1", "final_layer")
        other = other.replace("to_out.0", "out").replace("norm_q", "q_norm").replace("norm_k", "k_norm")
        other = re.sub(r"attention\.to_[qkv]\.", "attention.qkv.", other)
        result.setdefault(other, {"name": other, "from": []})["from"].append(["transformer", name])
    listed = list(result.values())
    file = {e["name"]: torch.cat([tensors[n] for _, n in e["from"]]) for e in listed}
    back = single_file_utils.convert_z_image_transformer_checkpoint_to_diffusers(dict(file))
    assert back.keys() == tensors.keys() and all(torch.equal(back[n], tensors[n]) for n in back)
    write_json(f"{FOLDER}/single-file.json", listed)


def transformer_cases(model):
    print("zimage-tiny")
    exact = copy.deepcopy(model).double()
    inputs, outputs, notes = {}, {}, []
    blocks = re.compile(r"(noise_refiner|context_refiner|layers)\.\d+|all_x_embedder\.2-1|cap_embedder|t_embedder")
    for number, (case, height, width, tokens, sigma) in enumerate([
        ("wide", 10, 14, 21, 0.7312), ("one", 16, 16, 32, 1.0), ("tall", 6, 4, 33, 0.05)
    ]):
        generator = torch.Generator().manual_seed(5100 + number)
        latent = torch.randn(16, 1, height, width, generator=generator)
        text = torch.randn(tokens, 40, generator=generator)
        # The pipeline's own arithmetic: the scheduler's time, in single precision.
        time = (1000 - torch.tensor([sigma]) * 1000) / 1000
        with Catch(model, lambda n: case == "wide" and bool(blocks.fullmatch(n))) as caught:
            own = -model([latent], time, [text], return_dict=False)[0][0]
        # The sinusoid of the double model takes its argument in single precision all the same.
        double = -exact([latent.double()], time.double(), [text.double()], return_dict=False)[0][0]
        difference = (double - own).abs().max().item()
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        inputs |= {
            f"{case}/latent": latent.permute(1, 0, 2, 3), f"{case}/text": text[None],
            f"{case}/time": torch.tensor([sigma]) * 1000,
        }
        outputs |= {f"{case}/{n}": t for n, t in caught.items()} | {f"{case}/output": own.permute(1, 0, 2, 3)}
        describe(f"{case} ({difference:.1e})", own)
    write_json("zimage-tiny/cases.json", {"model": f"{FOLDER}/transformer", "cases": notes})
    write_tensors("zimage-tiny/inputs.safetensors", inputs)
    write_tensors("zimage-tiny/outputs.safetensors", outputs)


def text_cases(model):
    print("qwen3-tiny")
    exact = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(5200)
    inputs, outputs, notes = {}, {}, []
    for case, count in (("long", 33), ("one", 1), ("blocks", 150)):
        ids = torch.randint(0, 400, (1, count), generator=generator)
        run = lambda m: m.model(input_ids=ids, output_hidden_states=True).hidden_states
        own, double = run(model), run(exact)
        difference = max((a - b).abs().max().item() for a, b in zip(double, own))
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        inputs[f"{case}/ids"] = ids.int()
        # The last one is behind the final norm, which nobody needs.
        outputs |= {f"{case}/hidden.{i}": t for i, t in enumerate(own[:-1])}
        describe(f"{case} ({difference:.1e})", own[-2])
    write_json("qwen3-tiny/cases.json", {"model": f"{FOLDER}/text_encoder", "cases": notes})
    write_tensors("qwen3-tiny/inputs.safetensors", inputs)
    write_tensors("qwen3-tiny/outputs.safetensors", outputs)


def autoencoder_cases(model):
    print("vae-sixteen")
    exact = copy.deepcopy(model).double()
    generator = torch.Generator().manual_seed(5300)
    latent = torch.randn(1, 16, 6, 8, generator=generator)
    image = torch.randn(1, 3, 48, 64, generator=generator).clamp(-2, 2) / 2
    inputs, outputs, notes = {}, {}, []
    for case, run, what, value in (("decode", vaes.decode, "latent", latent), ("encode", vaes.encode, "image", image)):
        own, double = run(model, value), run(exact, value.double())
        difference = max((double[n] - own[n]).abs().max().item() for n in own)
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        inputs[f"{case}/{what}"] = value
        outputs |= {f"{case}/{n}": t for n, t in own.items()}
        describe(f"{case} ({difference:.1e})", next(iter(own.values())))
    write_json("vae-sixteen/cases.json", {"model": f"{FOLDER}/vae", "cases": notes})
    write_tensors("vae-sixteen/inputs.safetensors", inputs)
    write_tensors("vae-sixteen/outputs.safetensors", outputs)


TEXTS = [
    "", " ", "a photo of a cat", "A  Photo, of a CAT's 2023 best!!!", "don't she'd we've I'M YOU'LL it\u017f '\u017f",
    "caf\u00e9 na\u00efve \u00dcn\u00efcode \ufb01ne", "\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8 \U0001f408 \ud55c\uad6d\uc5b4",
    "  leading and trailing  ", "line\nbreak\r\n\r\n\ttab", "1girl, solo, (masterpiece:1.2), score_7, @artist_name",
    "x" * 40, "a\u00a0b\u200bc\u3000d", "<|im_start|>user\na cat<|im_end|>\n<think>\n\n</think>\n\n", "<think> <|im_end",
    "e\u0301 o\u0308\u0304 \u1100\u1161\u11a8 \u212b", "\uff46\uff55\uff4c\uff4c \uff76\uff9e \ufb03 \u00bd \u2167 x\u00b2",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308!\n\n \n x", "   \n  a", "a   ", "!?\r\n\r\nx", "a\n", " \t",
    "'s 'S 'sS '\u212a", "the\u0301n 12345 and 6.7e-8", "\u0000\u001f\u007f\u0085x",
]


def token_cases(own):
    alphabet = list("aeTHE  .,'!\n\r\t09\u00e9\u0301\u4e2d\U0001f408\u00a0<|>") + ["the", " in", "'s", "<|im_end|>", "<think>"]
    generator = np.random.default_rng(54)
    drawn = ["".join(generator.choice(alphabet, generator.integers(1, 24))) for _ in range(150)]
    write_json(f"{FOLDER}/tokens.json", [{"text": t, "ids": own(t).input_ids} for t in TEXTS + drawn])


def adapters(model):
    """One LoRA of all kinds of layers, in PEFT's names and in kohya's."""
    generator = torch.Generator().manual_seed(5400)
    peft, kohya = {}, {}
    for name in (
        "layers.0.attention.to_q layers.1.attention.to_v layers.1.attention.to_out.0 layers.0.feed_forward.w1 "
        "layers.1.feed_forward.w2 layers.0.adaLN_modulation.0 noise_refiner.0.attention.to_k "
        "context_refiner.0.feed_forward.w3 context_refiner.0.attention.to_v"
    ).split():
        rows, columns = model.get_submodule(name).weight.shape
        down = torch.randn(2, columns, generator=generator) / columns ** 0.5
        up = 0.8 * torch.randn(rows, 2, generator=generator)
        peft |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up}
        flat = "lora_unet_" + name.replace(".", "_")
        kohya |= {
            f"{flat}.lora_down.weight": down, f"{flat}.lora_up.weight": up, f"{flat}.alpha": torch.tensor(2.0),
        }
    write_tensors(f"{FOLDER}/adapter.safetensors", {n: t.half() for n, t in peft.items()}, {"format": "pt"})
    write_tensors(f"{FOLDER}/adapter-kohya.safetensors", {n: t.half() for n, t in kohya.items()})


class Runner:
    def __init__(self, pipe):
        self.pipe, self.runs, self.outputs = pipe, [], {}
        pipe.set_progress_bar_config(disable=True)

    def run(self, name, **call):
        """`guidance_scale` is ours and ComfyUI's: negative + scale * (prompt - negative). diffusers' is one less."""
        steps = []

        def keep(pipe, index, time, values):
            steps.append(values["latents"].clone())
            return values

        call = dict(prompt="a photo of the cat", num_inference_steps=4, guidance_scale=1.0, height=64, width=96) | call
        seed = call.pop("seed", 7)
        image = self.pipe(
            **(call | {"guidance_scale": call["guidance_scale"] - 1}), generator=torch.Generator().manual_seed(seed),
            output_type="np", callback_on_step_end=keep, max_sequence_length=512,
        ).images
        pixels = np.stack([np.asarray(i) for i in self.pipe.image_processor.numpy_to_pil(image)])
        own = {"latents": steps[-1], "pixels": torch.from_numpy(pixels)}
        scheduler = self.pipe.scheduler
        config = {k: v for k, v in scheduler.config.items() if not k.startswith("_use")}
        self.runs.append({"name": name, "sampler": "euler", "seeds": [seed], "images": 1} | call | {
            "config": config | {"_class_name": type(scheduler).__name__},
            "timesteps": [float(t) for t in scheduler.timesteps], "sigmas": [float(s) for s in scheduler.sigmas],
        })
        self.outputs |= {f"{name}/{n}": t for n, t in own.items()}
        describe(name, steps[-1])

    def main(self):
        self.run("plain")
        self.run("guided", guidance_scale=3.5, negative_prompt="dark rain", seed=8)
        self.run("guided-empty", guidance_scale=2.0, seed=9, height=96, width=64)
        long = "portrait of the woman with the long hair and the dark eyes, on the street in the rain, " * 2
        self.run("long", prompt=long, guidance_scale=3.0, num_inference_steps=2)
        self.pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=6.0)
        self.run("shift-6", num_inference_steps=5)
        self.pipe.scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
        self.pipe.load_lora_weights(str(HERE / FOLDER / "adapter.safetensors"))
        self.run("adapter")
        write_json(f"{FOLDER}/runs.json", self.runs)
        write_tensors(f"{FOLDER}/outputs.safetensors", self.outputs)


def main():
    own = parts()
    pipe = write_folder(own)
    original_names(own)
    transformer_cases(own["transformer"])
    text_cases(own["text_encoder"])
    autoencoder_cases(own["vae"])
    token_cases(pipe.tokenizer)
    adapters(own["transformer"])
    assert json.loads((HERE / FOLDER / "tokenizer/tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"][0][
        "pattern"]["Regex"] == PRETOKENIZE_REGEX
    Runner(pipe).main()


if __name__ == "__main__":
    main()
