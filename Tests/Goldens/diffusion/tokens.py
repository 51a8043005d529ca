"""CLIP's tokenizer from its table of merges alone."""

from transformers import CLIPTokenizer

END = "<|endoftext|>"


def tokenizer(merges_path, pad=END):
    with open(merges_path, encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().splitlines()]
    assert len(merges) == 48894
    own = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in own]
    characters = [chr(b) for b in own] + [chr(256 + n) for n in range(len(other))]
    words = characters + [c + "</w>" for c in characters] + [a + b for a, b in merges] + ["<|startoftext|>", END]
    vocabulary = {word: number for number, word in enumerate(words)}
    assert len(vocabulary) == 49408
    result = CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=pad, model_max_length=77)
    assert result("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    return result
