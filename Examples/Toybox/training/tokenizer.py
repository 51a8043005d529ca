"""CLIP's tokenizer, written out from its table of merges; and the few of its tokens that captions here use.

The table is read from Sources/Prompts/StandardMerges.swift, so that it stands in the repository once as text.
"""

import json
import pathlib

import torch
from transformers import CLIPTokenizer

MERGES = pathlib.Path(__file__).resolve().parents[3] / "Sources/Prompts/StandardMerges.swift"
BEGIN, END = "<|startoftext|>", "<|endoftext|>"
SPECIAL = {"bos_token": BEGIN, "eos_token": END, "unk_token": END, "pad_token": END}


def byte_characters():
    """The character that stands for each byte, in the vocabulary's order: printable ones for themselves, first."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = len([byte for byte in range(256) if byte not in printable])
    return [chr(byte) for byte in printable] + [chr(256 + index) for index in range(others)]


def write_tokenizer(folder):
    """Writes the files of diffusers' `tokenizer` folder."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").unlink(missing_ok=True)
    table = MERGES.read_text().split('##"""\n', 1)[1].rsplit('\n', 2)[0]
    merges = [line.strip() for line in table.split("\n")]
    alphabet = byte_characters()
    tokens = alphabet + [character + "</w>" for character in alphabet]
    tokens += [line.replace(" ", "") for line in merges] + [BEGIN, END]
    assert len(tokens) == 49408, len(tokens)
    numbers = {token: index for index, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(numbers, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    (folder / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "CLIPTokenizer", "model_max_length": 77, "do_lower_case": True, "add_prefix_space": False,
        "errors": "replace", **SPECIAL}, indent=2) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(SPECIAL, indent=2) + "\n")


class Words:
    """CLIP's tokens that occur in captions, numbered anew: an embedding of 80 rows trains faster than one of 49,408."""

    def __init__(self, folder, captions):
        self.tokenizer = CLIPTokenizer.from_pretrained(folder)
        self.tokens = sorted({token for caption in captions for token in self.clip_tokens([caption])[0].tolist()})
        self.place = {token: index for index, token in enumerate(self.tokens)}

    def clip_tokens(self, captions):
        return self.tokenizer(captions, padding="max_length", max_length=77, return_tensors="pt").input_ids

    def ids(self, captions):
        """77 numbers for each caption."""
        return torch.tensor([[self.place[token] for token in row] for row in self.clip_tokens(captions).tolist()])

    def expanded(self, rows):
        """The embedding for all of CLIP's tokens: zero for those that captions never use."""
        full = torch.zeros(len(self.tokenizer), rows.shape[1])
        full[self.tokens] = rows.float().cpu()
        return full
