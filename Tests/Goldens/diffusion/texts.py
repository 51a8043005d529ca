"""CLIP text encoders, tiny: all hidden states, the final norm's output, pooled and projected vectors.

Hidden states are caught from the layers themselves. The OpenCLIP layout is computed a second time from its own
tensors by torch's nn.MultiheadAttention, which is what OpenCLIP is built of, and must agree.
"""

import copy
import json
import re

import torch
import transformers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from fixture import Catch, describe, make_faint, redraw, write_json, write_tensors

POSITIONS = 77


def body(model):
    return model.text_model if hasattr(model, "text_model") else model


def file_tensors(model, prefix="text_model."):
    """The tensors as files on hubs name them, `text_model.` first, whatever the library's classes do."""
    return {prefix + n: t for n, t in body(model).state_dict().items() if "position_ids" not in n} | (
        {"text_projection.weight": model.text_projection.weight} if hasattr(model, "text_projection") else {}
    )


def write_text_encoder(folder, model, prefix="text_model."):
    weights = {n: t.half() for n, t in file_tensors(model, prefix).items()}
    write_tensors(f"{folder}/model.safetensors", weights, {"format": "pt"})
    config = json.loads(model.config.to_json_string(use_diff=False))
    kept = (
        "architectures bos_token_id eos_token_id pad_token_id hidden_act hidden_size intermediate_size layer_norm_eps "
        "max_position_embeddings model_type num_attention_heads num_hidden_layers projection_dim vocab_size"
    ).split()
    config = {n: config[n] for n in kept} | {
        "architectures": [type(model).__name__], "transformers_version": transformers.__version__,
    }
    write_json(f"{folder}/config.json", config)


def evaluate(model, ids, parts=False):
    """What the model makes of ids [B,77]."""
    base = body(model)
    layers = len(base.encoder.layers)
    inside = [f"{n}" for n in ("layer_norm1", "self_attn", "layer_norm2", "mlp")] if parts else []
    names = {"embeddings"} | {f"encoder.layers.{i}" for i in range(layers)}
    names |= {f"encoder.layers.0.{n}" for n in inside}
    with Catch(base, names.__contains__) as caught:
        output = model(input_ids=ids.long())
    pooled = base(input_ids=ids.long()).pooler_output
    result = {"hidden.0": caught["embeddings"]}
    result |= {f"hidden.{i + 1}": caught[f"encoder.layers.{i}"] for i in range(layers)}
    result |= {f"layers.0.{n}": caught[f"encoder.layers.0.{n}"] for n in inside}
    result["last"] = output.last_hidden_state
    result["penultimate_with_norm"] = base.final_layer_norm(result[f"hidden.{layers - 1}"])
    result["pooled"] = pooled
    if hasattr(model, "text_projection"):
        result["projected"] = output.text_embeds
    assert torch.equal(base.final_layer_norm(result[f"hidden.{layers}"]), result["last"])
    return result


def open_clip_tensors(model):
    """The same weights as OpenCLIP names and stacks them."""
    tensors = body(model).state_dict()
    result = {
        "token_embedding.weight": tensors["embeddings.token_embedding.weight"],
        "positional_embedding": tensors["embeddings.position_embedding.weight"],
        "ln_final.weight": tensors["final_layer_norm.weight"],
        "ln_final.bias": tensors["final_layer_norm.bias"],
        "logit_scale": torch.tensor(4.6052),
    }
    if hasattr(model, "text_projection"):
        result["text_projection"] = model.text_projection.weight.T
    for i in range(model.config.num_hidden_layers):
        old, new = f"encoder.layers.{i}.", f"transformer.resblocks.{i}."
        for kind in ("weight", "bias"):
            result[f"{new}attn.in_proj_{kind}"] = torch.cat([tensors[f"{old}self_attn.{p}_proj.{kind}"] for p in "qkv"])
            for a, b in [
                ("self_attn.out_proj", "attn.out_proj"), ("layer_norm1", "ln_1"), ("layer_norm2", "ln_2"),
                ("mlp.fc1", "mlp.c_fc"), ("mlp.fc2", "mlp.c_proj"),
            ]:
                result[f"{new}{b}.{kind}"] = tensors[f"{old}{a}.{kind}"]
    return result


def open_clip_forward(tensors, ids, heads, eos):
    """From OpenCLIP's tensors: hidden states, and the projected vector at the first `eos`."""
    functional = torch.nn.functional
    x = tensors["token_embedding.weight"][ids.long()] + tensors["positional_embedding"]
    width, tokens = x.shape[-1], x.shape[1]
    mask = torch.full((tokens, tokens), float("-inf")).triu(1)
    norm = lambda x, name: functional.layer_norm(x, (width,), tensors[f"{name}.weight"], tensors[f"{name}.bias"], 1e-5)
    linear = lambda x, name: functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])
    hidden, i = [x], 0
    while f"transformer.resblocks.{i}.ln_1.weight" in tensors:
        name = f"transformer.resblocks.{i}"
        attention = torch.nn.MultiheadAttention(width, heads, batch_first=True)
        own = f"{name}.attn."
        attention.load_state_dict({n.removeprefix(own): t for n, t in tensors.items() if n.startswith(own)})
        y = norm(x, f"{name}.ln_1")
        x = x + attention(y, y, y, need_weights=False, attn_mask=mask)[0]
        x = x + linear(functional.gelu(linear(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")), f"{name}.mlp.c_proj")
        hidden.append(x)
        i += 1
    first = (ids == eos).int().argmax(-1)
    last = norm(x, "ln_final")
    return hidden, last[torch.arange(len(ids)), first] @ tensors["text_projection"]


def ids_of(prompts, bos, eos, pad):
    rows = [[bos] + list(p) + [eos] for p in prompts]
    return torch.tensor([r + [pad] * (POSITIONS - len(r)) for r in rows], dtype=torch.int32)


def draw_cases(seed, bos, eos, pad, highest):
    generator = torch.Generator().manual_seed(seed)
    prompt = lambda length: torch.randint(0, highest + 1, (length,), generator=generator).tolist()
    return {
        "two": ids_of([prompt(5), prompt(31)], bos, eos, pad),
        "empty": ids_of([[]], bos, eos, pad),
        "full": ids_of([prompt(75)], bos, eos, pad),
    }


def add(name, model, cases, prefix="text_model."):
    print(name)
    write_text_encoder(f"{name}/text_encoder", model, prefix)
    exact = copy.deepcopy(model).double()
    outputs, notes = {}, []
    for index, (case, ids) in enumerate(cases.items()):
        own, double = evaluate(model, ids, index == 0), evaluate(exact, ids)
        difference = max((double[n] - own[n]).abs().max().item() for n in double)
        describe(f"{case} ({difference:.1e}) last", own["last"])
        notes.append({"name": case, "float64": float(f"{difference:.2g}")})
        kept = own if index == 0 else {n: own[n] for n in own if not re.match(r"hidden\.", n)}
        outputs |= {f"{case}/{n}": t for n, t in kept.items()}
    write_json(f"{name}/cases.json", {"model": f"{name}/text_encoder", "cases": notes})
    write_tensors(f"{name}/inputs.safetensors", {f"{c}/ids": ids for c, ids in cases.items()})
    write_tensors(f"{name}/outputs.safetensors", outputs)


def config(**changes):
    own = dict(
        vocab_size=1000, hidden_size=32, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
        max_position_embeddings=POSITIONS, projection_dim=32, hidden_act="quick_gelu", bos_token_id=0, eos_token_id=2,
        pad_token_id=1, attn_implementation="eager",
    )
    return CLIPTextConfig(**(own | changes))


def main():
    # As the files of SD1 and SDXL have it: eos_token_id 2 is wrong and means "the highest id", padding is that id too.
    model = redraw(CLIPTextModel(config()), 201)
    add("clip-quick-gelu", model, draw_cases(2010, 998, 999, 999, 900))

    # The end's id is honest here and a higher one occurs; padding is 0, as for OpenCLIP's encoders.
    model = redraw(
        CLIPTextModelWithProjection(
            config(hidden_size=32, intermediate_size=72, num_hidden_layers=3, projection_dim=24, hidden_act="gelu",
                   eos_token_id=998, bos_token_id=997)
        ),
        202,
    )
    cases = draw_cases(2020, 997, 998, 0, 900)
    cases["two"][0, 3] = cases["two"][1, 20] = 999
    add("clip-projection", model, cases)
    tensors = open_clip_tensors(model)
    for case, ids in cases.items():
        hidden, projected = open_clip_forward(tensors, ids, 4, 998)
        expected = evaluate(model, ids)
        worst = max((h - expected[f"hidden.{i}"]).abs().max().item() for i, h in enumerate(hidden))
        worst = max(worst, (projected - expected["projected"]).abs().max().item())
        print(f"  OpenCLIP {case}: {worst:.1e}")
        assert worst < 2e-5
    write_tensors("clip-projection/open_clip.safetensors", {n: t.half() for n, t in tensors.items()})

    # Named as transformers 5 names the classes' own tensors: no `text_model.`
    narrow = config(hidden_size=24, intermediate_size=60, num_hidden_layers=5, hidden_act="gelu")
    model = redraw(CLIPTextModel(narrow), 203)
    cases = draw_cases(2030, 998, 999, 0, 900)
    add("clip-bare-names", model, {"two": cases["two"]}, prefix="")

    # Every norm reads variances near its eps.
    model = redraw(CLIPTextModel(config(hidden_size=16, intermediate_size=24, num_hidden_layers=2)), 204)
    make_faint(model, re.compile(r"embedding\.|out_proj|fc2"), 2e-3)
    add("clip-faint", model, {"two": draw_cases(2040, 998, 999, 999, 900)["two"]})


if __name__ == "__main__":
    main()
