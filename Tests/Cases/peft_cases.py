"""Adapters of PEFT, compared with what the library itself makes of them."""

import numpy as np
import peft
import safetensors.torch
import torch
import transformers

from cases import case
from files import PEFT, Q, language_model, load_file, numbers, pair, peft_folder, save_file

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()


def llama(**settings):
    usual = dict(
        hidden_size=32, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=50,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**usual | settings))


def gpt2():
    return transformers.GPT2LMHeadModel(
        transformers.GPT2Config(n_embd=32, n_layer=1, n_head=4, vocab_size=50, n_positions=16))  # fmt: skip


def weights(folder):
    return {name: tensor.astype(np.float64) for name, tensor in load_file(f"{folder}/model.safetensors").items()}


def train(name, model, config, change=None):
    """Saves a base, an adapter for it with random numbers, and the two merged by PEFT."""
    torch.manual_seed(0)
    model.save_pretrained(f"{name}-base")
    if change:
        change(model)
    adapted = peft.get_peft_model(model, config)
    for _, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(name)
    adapted.merge_and_unload().save_pretrained(f"{name}-merged")


def check_bake(place, name, status=0, words=()):
    """The bake must be what PEFT made of the same."""
    place.run("check", name, f"{name}-base").expect(0)
    run = place.run("bake", f"{name}-base", name, "-o", f"{name}-baked").expect(status, *words)
    found, right, base = weights(f"{name}-baked"), weights(f"{name}-merged"), weights(f"{name}-base")
    changed = 0
    for key in found:
        if key not in right:
            continue
        changed += not np.array_equal(found[key], base[key])
        error = np.abs(found[key] - right[key]).max()
        assert error < 1e-5, f"{key}: differs from PEFT's by {error}"
    assert changed, "nothing was changed"
    return run


@case("LoRA of the output layer and of the words, with their base weights beside it, is baked as PEFT merges it")
def embeddings(place):
    for index, (model, modules) in enumerate([
        (llama(), ["q_proj", "lm_head"]), (llama(), ["q_proj", "embed_tokens"]),
        (llama(), ["embed_tokens", "lm_head"]), (llama(tie_word_embeddings=True), ["embed_tokens"]),
        (gpt2(), ["c_attn", "wte"]), (llama(), ["q_proj", "lm_head"]),
    ]):  # fmt: skip
        train(f"a{index}", model, peft.LoraConfig(r=4, target_modules=modules, use_dora=index == 5, task_type="CAUSAL_LM"))
        check_bake(place, f"a{index}")
    run = place.run("bake", "a0-base", "a0@0.5", "-o", "half").expect(0)
    base, merged, half = weights("a0-base"), weights("a0-merged"), weights("half")
    assert np.allclose(half["lm_head.weight"], (base["lm_head.weight"] + merged["lm_head.weight"]) / 2, atol=1e-5)
    assert "differs" not in run.output + run.errors


@case("a base weight in the file that is not the base's is put in its place, with a word")
def other_base(place):
    def change(model):
        with torch.no_grad():
            model.lm_head.weight.add_(torch.randn(50, 32))
            model.model.embed_tokens.weight.mul_(2)

    config = peft.LoraConfig(r=4, target_modules=["lm_head", "embed_tokens"], task_type="CAUSAL_LM")
    train("a", llama(), config, change)
    check_bake(place, "a", words=["differs from the base's weight", "lm_head", "1 more"])
    place.run("bake", "a-base", "a@0.5", "-o", "half").expect(0)
    base, merged, half = weights("a-base"), weights("a-merged"), weights("half")
    for name in ("lm_head.weight", "model.embed_tokens.weight"):
        assert np.allclose(half[name], (base[name] + merged[name]) / 2, atol=1e-5), name
    for command in (["spectrum", "a"], ["compare", "a", "a"], ["inspect", "a"], ["resize", "a", "--rank", "2", "-o", "b"]):
        place.run(*command).expect(0)
    assert np.array_equal(
        load_file("b/adapter_model.safetensors")[f"{PEFT}lm_head.base_layer.weight"],
        load_file("a/adapter_model.safetensors")[f"{PEFT}lm_head.base_layer.weight"])  # fmt: skip


@case("targets that AdaLoRA pruned to rank 0 are passed over")
def pruned(place):
    def targets(name, rank):
        factors = {"lora_A": numbers(rank, 32), "lora_B": numbers(32, rank), "lora_E": numbers(rank, 1)}
        return {f"{PEFT}{name}.{part}": tensor for part, tensor in factors.items()}

    settings = dict(peft_type="ADALORA", target_modules=["q_proj", "v_proj"], rank_pattern={}, init_r=4)
    other = Q.replace("q_", "v_")
    base = {"model.embed_tokens.weight": numbers(50, 32), f"{Q}.weight": numbers(32, 32), f"{other}.weight": numbers(32, 32)}
    language_model("base", base)
    peft_folder("a", targets(Q, 4) | targets(other, 0), **settings)
    peft_folder("all", targets(Q, 0) | targets(other, 0), **settings)
    peft_folder("lora", pair(Q) | pair(other, rank=0))
    for name in ("a", "lora"):
        place.run("inspect", name).expect(0, "rank 0")
        place.run("resize", name, "--rank", "2", "-o", f"{name}2").expect(0)
        place.run("spectrum", name).expect(0)
        place.run("compare", name, name).expect(0)
        place.run("merge", f"{name}@0.5", name, "-o", f"{name}-merged").expect(0)
        place.run("convert", name, "--to", "peft", "-o", f"{name}-converted").expect(0)
        place.run("check", name, "base").expect(0)
        place.run("bake", "base", name, "-o", f"{name}-baked").expect(0)
        baked = weights(f"{name}-baked")
        assert np.array_equal(baked[f"{other}.weight"], base[f"{other}.weight"])
        assert not np.array_equal(baked[f"{Q}.weight"], base[f"{Q}.weight"])
    for command in (["spectrum", "all"], ["resize", "all", "--rank", "2", "-o", "x"], ["bake", "base", "all", "-o", "y"]):
        place.run(*command).expect(65, "rank 0")


@case("initialisations that change the base are told")
def changed_base(place):
    for name in ("pissa", "pissa_niter_4", "olora", "corda", "loftq", "lora_ga"):
        peft_folder(name, pair(Q), init_lora_weights=name)
        place.run("inspect", name).expect(0, f"initialised by {name}")
    for name in ("gaussian", "eva", "orthogonal", "mica", True):
        peft_folder(f"{name}", pair(Q), init_lora_weights=name)
        place.run("inspect", name).expect(0, "none found")


@case("the singular values of KaSA count, and its changed base is told")
def kasa(place):
    torch.manual_seed(0)
    model = llama()
    config = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "o_proj"], kasa_config=peft.KasaConfig())
    adapted = peft.get_peft_model(model, config)
    adapted.get_base_model().save_pretrained("unused")
    for name, parameter in adapted.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter)
    adapted.save_pretrained("a")
    layers = {name: module for name, module in adapted.named_modules() if hasattr(module, "lora_diag")}
    base = {"model.embed_tokens.weight": numbers(50, 32)}
    for name, module in layers.items():
        base[name.removeprefix(PEFT) + ".weight"] = module.get_base_layer().weight.detach().numpy().copy()
    language_model("a-base", base)
    adapted.merge_and_unload()
    place.run("bake", "a-base", "a", "-o", "baked").expect(0, "initialised by kasa")
    baked, merged = weights("baked"), model.state_dict()
    for name in base:
        if "proj" in name:
            assert np.allclose(baked[name], merged[name].numpy(), atol=1e-5), name


def stacked_models():
    """Models with stacked experts: how the base is stored differs, and how the router is called."""
    usual = dict(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2, vocab_size=50, head_dim=8
    )  # fmt: skip
    return {
        "gpt_oss": (
            transformers.GptOssForCausalLM(transformers.GptOssConfig(
                intermediate_size=32, num_local_experts=3, num_experts_per_tok=2, layer_types=["full_attention"], **usual)),
            "router.weight"),
        "qwen3": (
            transformers.Qwen3MoeForCausalLM(transformers.Qwen3MoeConfig(
                intermediate_size=24, moe_intermediate_size=16, num_experts=3, num_experts_per_tok=2, **usual)),
            "mlp.gate.weight"),
        "mixtral": (
            transformers.MixtralForCausalLM(transformers.MixtralConfig(intermediate_size=24, num_local_experts=3, **usual)),
            None),
        "llama4": (
            transformers.Llama4ForCausalLM(transformers.Llama4TextConfig(
                intermediate_size=32, intermediate_size_mlp=24, num_local_experts=3, num_experts_per_tok=1, moe_layers=[0],
                **usual)),
            "router.weight"),
    }  # fmt: skip


@case("experts and routers beside ordinary modules are baked as PEFT merges them")
def experts(place):
    for name, (model, router) in stacked_models().items():
        parameters = ["experts.gate_up_proj", "experts.down_proj"] + ([router] if router else [])
        train(name, model, peft.LoraConfig(r=4, target_modules=["q_proj"], target_parameters=parameters))
        check_bake(place, name)


@case("ranks and alphas by pattern hold for stacked experts by their parameter's name")
def expert_patterns(place):
    settings = dict(target_modules=["q_proj"], target_parameters=["mlp.experts.down_proj"])
    patterns = dict(rank_pattern={"experts.down_proj": 2}, alpha_pattern={"experts.down_proj": 5})
    train("a", stacked_models()["gpt_oss"][0], peft.LoraConfig(r=4, **settings, **patterns))
    check_bake(place, "a")


def classifier(seed):
    torch.manual_seed(seed)
    return transformers.DistilBertForSequenceClassification(
        transformers.DistilBertConfig(dim=32, n_layers=1, n_heads=4, hidden_dim=48, vocab_size=50, max_position_embeddings=16))  # fmt: skip


def train_classifier(name, seed, **settings):
    adapted = peft.get_peft_model(
        classifier(0), peft.LoraConfig(r=4, target_modules=["q_lin", "v_lin"], task_type="SEQ_CLS", **settings))  # fmt: skip
    torch.manual_seed(seed)
    for _, parameter in adapted.named_parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    adapted.save_pretrained(name)


def loaded(folder):
    """What PEFT makes of the adapter on its base."""
    model = peft.PeftModel.from_pretrained(classifier(0), folder).merge_and_unload()
    return {name: tensor.detach().double().numpy() for name, tensor in model.state_dict().items()}


@case("adapters with a classifier of their own are measured, resized, merged and converted with it")
def heads(place):
    for name, seed in (("a", 1), ("b", 2)):
        train_classifier(name, seed)
    a, b = load_file("a/adapter_model.safetensors"), load_file("b/adapter_model.safetensors")
    head = f"{PEFT}classifier.weight"
    place.run("spectrum", "a").expect(2, "classifier.weight", "left out of the sums")
    place.run("compare", "a", "b").expect(2, "left out of the sums")
    place.run("compare", "a", "a").expect(0, "the same in all")
    for command in (["resize", "a", "--rank", "2"], ["convert", "a", "--to", "peft"], ["merge", "a"]):
        place.run(*command, "-o", command[0]).expect(0)
        written = load_file(f"{command[0]}/adapter_model.safetensors")
        assert np.array_equal(written[head], a[head]), command
        found, right = loaded(command[0]), loaded("a")
        for name in right:
            assert found[name].shape == right[name].shape
            if command[0] != "resize" or "classifier" in name:
                assert np.allclose(found[name], right[name], atol=1e-5), (command, name)
    place.run("merge", "a@0.25", "b@0.75", "-o", "average").expect(0)
    found, right = loaded("average"), {name: 0.25 * t + 0.75 * loaded("b")[name] for name, t in loaded("a").items()}
    for name in right:
        assert np.allclose(found[name], right[name], atol=1e-5), name
    place.run("merge", "a", "b", "-o", "sum").expect(65, "classifier", "--base")
    place.run("merge", "a", "b", "-o", "sum", "--allow-unmatched").expect(2, "classifier")
    assert not any("classifier" in name for name in load_file("sum/adapter_model.safetensors"))
    loaded("sum")
    # The base has heads too, untrained.
    classifier(0).save_pretrained("base")
    place.run("merge", "a@0.5", "b@0.7", "--base", "base", "-o", "based").expect(0)
    found, one, two = loaded("based"), loaded("a"), loaded("b")
    base = {name: tensor.detach().double().numpy() for name, tensor in classifier(0).state_dict().items()}
    for name in found:
        right = base[name] + 0.5 * (one[name] - base[name]) + 0.7 * (two[name] - base[name])
        assert np.allclose(found[name], right, atol=1e-5), name


@case("merges of adapters with biases are PEFT adapters that the library loads")
def biases(place):
    for name, bias, modules in (("a", "all", ["q_proj"]), ("b", "lora_only", ["q_proj", "v_proj"])):
        train(name, llama(attention_bias=True), peft.LoraConfig(r=4, target_modules=modules, bias=bias))
    base, a, b = weights("a-base"), weights("a-merged"), weights("b-merged")
    place.run("merge", "a@0.5", "b@0.7", "-o", "x").expect(65, "bias", "--base")

    def check(folder, right):
        model = transformers.AutoModelForCausalLM.from_pretrained("a-base")
        found = peft.PeftModel.from_pretrained(model, folder).merge_and_unload().state_dict()
        for name, weight in right.items():
            assert np.allclose(found[name].double().numpy(), weight, atol=1e-5), name

    # The second base was another one: only what its adapter adds to it counts.
    other = weights("b-base")
    train_same = {name: base[name] + 0.5 * (a[name] - base[name]) for name in base}
    place.run("merge", "a@0.5", "--base", "a-base", "-o", "half").expect(0)
    check("half", train_same)
    place.run("merge", "a@0.5", "b@0.7", "--base", "a-base", "-o", "both").expect(0)
    merged = {}
    trained = {name.removeprefix(PEFT).replace(".base_layer", "") for name in load_file("b/adapter_model.safetensors")}
    for name in base:
        change = b[name] - (base[name] if name in trained else other[name])
        merged[name] = base[name] + 0.5 * (a[name] - base[name]) + 0.7 * change
    check("both", merged)
    place.run("merge", "a@0.5", "a@0.5", "-o", "same").expect(0)
    check("same", a)


class Small(torch.nn.Module):
    """Layers that language models do not have."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv1d(12, 16, 3)
        self.attn = torch.nn.MultiheadAttention(16, 2)
        self.lin = torch.nn.Linear(16, 24)

    def forward(self, x):
        return self.lin(x)


def train_small(name, config):
    torch.manual_seed(0)
    model = Small()
    safetensors.torch.save_model(model, f"{name}-base.safetensors")
    adapted = peft.get_peft_model(model, config)
    adapted(torch.randn(2, 3, 16))
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.3)
    adapted.save_pretrained(name)
    safetensors.torch.save_model(adapted.merge_and_unload(), f"{name}-merged.safetensors")


def check_small(place, name, *changed):
    place.run("bake", f"{name}-base.safetensors", name, "-o", f"{name}.safetensors").expect(0)
    found, right, base = (load_file(f"{name}{end}.safetensors") for end in ("", "-merged", "-base"))
    for key in right:
        assert np.allclose(found[key], right[key], atol=1e-5), f"{name}: {key}: {np.abs(found[key] - right[key]).max()}"
        assert (key in changed) == (not np.array_equal(found[key], base[key])), f"{name}: {key}"


@case("LoKr and LoHa of one-dimensional convolutions are baked as PEFT trained them")
def conv1d(place):
    for index, config in enumerate([
        peft.LoKrConfig(r=8, target_modules=["conv"], decompose_factor=2), peft.LoKrConfig(r=8, target_modules=["conv"]),
        peft.LoKrConfig(r=2, target_modules=["conv"], use_effective_conv2d=True), peft.LoKrConfig(r=2, target_modules=["conv"]),
        peft.LoKrConfig(r=2, target_modules=["conv"], decompose_both=True),
        peft.LoHaConfig(r=2, target_modules=["conv"], use_effective_conv2d=True), peft.LoHaConfig(r=2, target_modules=["conv"]),
    ]):  # fmt: skip
        train_small(f"c{index}", config)
        check_small(place, f"c{index}", "conv.weight")
        place.run("spectrum", f"c{index}").expect(0)


@case("torch's attention, to whose output projection PEFT adds the change twice, is refused by name")
def attention(place):
    train_small("a", peft.LoraConfig(r=4, target_modules=["attn", "lin"]))
    place.run("bake", "a-base.safetensors", "a", "-o", "b.safetensors").expect(65, "nn.MultiheadAttention.out_proj")
    place.run("resize", "a", "--rank", "2", "-o", "c").expect(65, "nn.MultiheadAttention.out_proj")
    assert not (place.folder / "c").exists()


@case("what VeLoRA keeps for training is no part of the delta")
def velora(place):
    config = peft.LoraConfig(
        r=4, target_modules=["lin"], velora_config=peft.tuners.lora.config.VeloraConfig(num_groups=4))  # fmt: skip
    train_small("a", config)
    check_small(place, "a", "lin.weight")
    place.run("resize", "a", "--rank", "2", "-o", "b").expect(0)
    place.run("merge", "a", "b", "-o", "c").expect(0)
    place.run("convert", "a", "--to", "peft", "-o", "d").expect(0)
    assert [name for name in load_file("d/adapter_model.safetensors") if "velora" in name]


@case("a PEFT folder is cut until it is good enough")
def until(place):
    adapter = place.adapters / "neon"
    arguments = ["--until", "probe<=0.2", "--base", place.model, "--prompt", "a red robot"]
    place.run("resize", adapter, "-o", "small", *arguments, seconds=120).expect(0, "probe")
    place.run("check", "small", place.model).expect(0)
    assert {path.name for path in (place.folder / "small").iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}


@case("a base weight without singular values is the reason that T-LoRA has no delta")
def no_convergence(place):
    name, base = "lora_unet_x", numbers(32, 32)
    base[3, 4] = np.nan
    save_file({"x.weight": base, "y.weight": numbers(32, 32)}, "base.safetensors")
    factors = {"q_layer.weight": numbers(4, 32), "p_layer.weight": numbers(32, 4), "lambda_layer": numbers(1, 4)}
    save_file({f"{name}.{part}": tensor for part, tensor in factors.items()}, "a.safetensors")
    for command in (["spectrum", "a.safetensors", "--base", "base.safetensors"], ["bake", "base.safetensors", "a.safetensors", "-o", "b.safetensors"]):
        place.run(*command).expect(65, "a.safetensors: lora_unet_x", "singular values")
