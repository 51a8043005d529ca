"""Adapters of language models: what Lathe bakes of a folder that PEFT saved is what PEFT's own merge makes of it.

    python language_models.py LATHE FOLDER      the built program, and a folder for files

Each model is one of transformers' classes with a tiny configuration and random weights, saved as it saves them; each
adapter is saved by PEFT with random numbers, baked by Lathe, and merged and saved by PEFT. A difference is ‖W − W'‖ ÷
‖W − base‖ for each weight that PEFT changed, and may be 1e-5; no other weight may change. Beside each method's usual
modules there are whole modules, stacked experts, and tied words.
"""

import pathlib
import shutil
import subprocess
import sys

import peft
import torch
import transformers
from safetensors.torch import load_file

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(2)
LATHE, WORK = sys.argv[1], pathlib.Path(sys.argv[2])
LIMIT = 1e-5
failures, cells = [], {}
SMALL = dict(
    hidden_size=32, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=50)  # fmt: skip
ATTENTION, OUTPUT = ["q_proj", "v_proj", "o_proj"], ["lm_head"]


def llama(**settings):
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**SMALL | settings))


def gemma3(**settings):
    text = dict(SMALL, head_dim=8, layer_types=["full_attention"] * 2, **settings)
    vision = dict(hidden_size=32, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, image_size=28, patch_size=14)
    return transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=1))  # fmt: skip


def gpt_oss():
    return transformers.GptOssForCausalLM(transformers.GptOssConfig(
        **SMALL | dict(intermediate_size=32), head_dim=8, num_local_experts=3, num_experts_per_tok=2,
        layer_types=["full_attention"] * 2))  # fmt: skip


def mixtral():
    return transformers.MixtralForCausalLM(transformers.MixtralConfig(**SMALL, num_local_experts=3))


def qwen3_moe():
    return transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
        **SMALL, moe_intermediate_size=16, num_experts=3, num_experts_per_tok=2, head_dim=8))  # fmt: skip


def gpt2():
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=50, n_positions=16))


def whisper():
    return transformers.WhisperForConditionalGeneration(transformers.WhisperConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=4, decoder_attention_heads=4,
        encoder_ffn_dim=24, decoder_ffn_dim=24, vocab_size=50, num_mel_bins=8, max_source_positions=16,
        max_target_positions=16, pad_token_id=0, bos_token_id=0, eos_token_id=0, decoder_start_token_id=0))  # fmt: skip


def t5():
    return transformers.T5ForConditionalGeneration(transformers.T5Config(
        d_model=32, d_kv=8, d_ff=24, num_layers=1, num_heads=4, vocab_size=50, feed_forward_proj="gated-gelu",
        decoder_start_token_id=0))  # fmt: skip


def experts(*parameters):
    return dict(target_parameters=[f"mlp.experts.{name}" for name in parameters])


# Names of modules for attention, of those whose inputs (IA)³ multiplies, of a whole module, and stacked experts.
MODELS = {
    "Llama": (llama, ATTENTION, ["down_proj"], OUTPUT, {}),
    "Llama, tied": (lambda: llama(tie_word_embeddings=True), ATTENTION, ["down_proj"], ["norm"], {}),
    "Llama with biases": (lambda: llama(attention_bias=True, mlp_bias=True), ATTENTION, ["down_proj"], OUTPUT, {}),
    "Qwen3": (lambda: transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**SMALL, head_dim=8)), ATTENTION, ["down_proj"],
              ["q_norm"], {}),
    "Gemma 3": (gemma3, ATTENTION, ["down_proj"], ["multi_modal_projector"], {}),
    "gpt-oss": (gpt_oss, ATTENTION, [], OUTPUT, experts("gate_up_proj", "down_proj")),
    "Mixtral": (mixtral, ATTENTION, [], OUTPUT, experts("gate_up_proj", "down_proj")),
    "Qwen3 MoE": (qwen3_moe, ATTENTION, [], OUTPUT, experts("down_proj")),
    "GPT-2": (gpt2, ["c_attn", "c_proj"], ["mlp.c_proj"], ["ln_f"], {}),
    "Whisper": (whisper, ["q_proj", "v_proj", "fc1"], ["fc2"], ["layer_norm"], {}),
    "T5": (t5, ["q", "v", "wo"], ["wo"], ["final_layer_norm"], {}),
}  # fmt: skip


def methods(name, attention, inward, whole, stacked):
    """PEFT's configurations for a model, by what they are called in the table."""
    turned = dict(fan_in_fan_out=True) if name == "GPT-2" else {}
    yield "LoRA", peft.LoraConfig(r=4, lora_alpha=6, target_modules=attention, **turned)
    yield "LoRA, modules_to_save", peft.LoraConfig(r=4, target_modules=attention, modules_to_save=whole, **turned)
    yield "DoRA", peft.LoraConfig(r=4, target_modules=attention, use_dora=True, **turned)
    words = {"GPT-2": "wte", "T5": "shared", "Whisper": "embed_tokens"}.get(name, "embed_tokens")
    yield "LoRA of words", peft.LoraConfig(r=4, target_modules=attention + [words], **turned)
    if stacked:
        yield "LoRA of experts", peft.LoraConfig(r=4, target_modules=attention, **stacked)
    yield "IA3", peft.IA3Config(target_modules=attention + inward, feedforward_modules=inward, **turned)
    # What follows knows matrices of outputs × inputs only.
    if name == "GPT-2":
        return
    yield "LoHa", peft.LoHaConfig(r=2, target_modules=attention)
    yield "LoKr", peft.LoKrConfig(r=2, target_modules=attention)
    yield "OFT", peft.OFTConfig(oft_block_size=4, target_modules=attention)
    yield "MiSS", peft.MissConfig(r=4, target_modules=attention)
    yield "DeLoRA", peft.DeloraConfig(r=4, target_modules=attention)


def lathe(*arguments):
    done = subprocess.run([LATHE, *map(str, arguments)], capture_output=True, text=True)
    return done.returncode, done.stderr.strip()


def load(folder):
    return {name: tensor.double() for file in pathlib.Path(folder).glob("*.safetensors") for name, tensor in load_file(file).items()}


def compare(model, method, base, baked, merged):
    """The worst relative error of a weight that PEFT changed."""
    worst, changed = 0.0, 0
    for name, before in base.items():
        right, found = merged.get(name), baked.get(name)
        if right is None or found is None or right.shape != before.shape:
            failures.append(f"{model}, {method}: {name} is not in both")
            continue
        change = (right - before).norm().item()
        error = (found - right).norm().item()
        if change == 0:
            if error > 0:
                failures.append(f"{model}, {method}: {name} changed")
            continue
        changed += 1
        relative = error / max(change, 1e-2 * before.norm().item())
        worst = max(worst, relative)
        if not relative <= LIMIT:
            failures.append(f"{model}, {method}: {name}: {relative:.1e}")
    if changed == 0:
        failures.append(f"{model}, {method}: nothing changed")
    return worst


def check(name, make, *modules):
    torch.manual_seed(0)
    start, place = make(), WORK / "model"
    shutil.rmtree(place, ignore_errors=True)
    # What a model starts with is zero in places.
    with torch.no_grad():
        for parameter in start.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    start.save_pretrained(place / "base")
    base = load(place / "base")
    for number, (method, config) in enumerate(methods(name, *modules)):
        model = type(start).from_pretrained(place / "base", dtype=torch.float32)
        try:
            adapted = peft.get_peft_model(model, config)
        except (ValueError, NotImplementedError) as error:
            print(f"    {name}, {method}: PEFT refuses: {str(error).splitlines()[0][:100]}")
            continue
        with torch.no_grad():
            for parameter in adapted.parameters():
                if parameter.requires_grad:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        folder = place / str(number)
        adapted.save_pretrained(folder)
        adapted.merge_and_unload().save_pretrained(f"{folder}-merged")
        status, errors = lathe("bake", place / "base", folder, "-o", f"{folder}-baked", "--quiet")
        if status != 0:
            failures.append(f"{name}, {method}: exit code {status}: {errors[-300:]}")
            continue
        cells[name, method] = compare(name, method, base, load(f"{folder}-baked"), load(f"{folder}-merged"))


for name, (make, *modules) in MODELS.items():
    check(name, make, *modules)
columns = list(dict.fromkeys(method for _, method in cells))
print(f"{'worst relative error':20}" + "".join(f"{method[:9]:>11}" for method in columns))
for name in MODELS:
    numbers = (cells.get((name, method)) for method in columns)
    print(f"{name:20}" + "".join(f"{'–' if number is None else f'{number:.0e}':>11}" for number in numbers))
if failures:
    sys.exit("differ:\n" + "\n".join(failures))
print(f"{len(cells)} adapters of {len(MODELS)} models: Lathe's bakes are PEFT's merges")
