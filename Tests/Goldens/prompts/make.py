"""Tokens, weights and chunks of prompts, and the classes of characters behind them.

What it makes (beside this script)
    characters.json   of every Unicode scalar: its class (letter, number, space, anything else) as ranges, and the scalars
                      that the normaliser changes. From the real tokenizer, asked about one scalar at a time. And 3,000
                      random sequences, mostly of marks and of scalars that come apart, normalised.
    tokens.json       texts and their tokens: chosen ones, and 1,000 of random scalars from many scripts.
    prompts.json      weights: what prompts mean in A1111's and in ComfyUI's language; chunks: long prompts cut by both
                      and by truncation; weighting: small outputs of an encoder before and after.

Where the numbers come from
    Tokens             transformers' CLIPTokenizer, built from the merges and the vocabulary that follows from them.
    Weights, chunks    re-implementations of the rules, written for this script in another way than Lathe's: brackets are
                       paired first, then each character's weight is the product over the pairs around it; chunks are cut
                       from the whole list of tokens. The known cases of A1111's own docstring are asserted.
    Weighting          torch, float32.

Library versions that printed the committed numbers
    Python 3.11, transformers 5.23.0, tokenizers 0.23.3, torch 2.13.0 (CPU build).

How to run
    python make.py MERGES      where MERGES is the table of merges, one pair a line; about twenty seconds
"""

import importlib.metadata
import json
import os
import random
import re
import sys
import unicodedata

import torch
from transformers import CLIPTokenizer

HERE = os.path.dirname(os.path.abspath(__file__))
SEED = 20261
VERSIONS = {p: importlib.metadata.version(p) for p in ["transformers", "tokenizers", "torch"]}
COMMA = 267
CAPACITY = 75


def tokenizer(path):
    with open(path, encoding="utf8") as file:
        lines = [line for line in file.read().split("\n") if line and not line.startswith("#version")]
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in printable]
    alphabet = [chr(b) for b in printable] + [chr(256 + i) for i in range(len(rest))]
    merges = [tuple(line.split(" ")) for line in lines]
    words = alphabet + [c + "</w>" for c in alphabet] + [a + b for a, b in merges] + ["<|startoftext|>", "<|endoftext|>"]
    assert len(words) == len(set(words)) == 49408
    return CLIPTokenizer(vocab={w: i for i, w in enumerate(words)}, merges=merges)


def ids(text):
    return CLIP(text, add_special_tokens=False, truncation=False).input_ids


def write(name, value):
    with open(os.path.join(HERE, name), "w") as file:
        json.dump({"versions": VERSIONS, **value}, file, ensure_ascii=True, separators=(",", ":"))
        file.write("\n")


# Characters


def characters():
    normalizer, pre = CLIP._tokenizer.normalizer, CLIP._tokenizer.pre_tokenizer
    shapes = {  # how "a", the scalar twice, "a" falls apart
        ((0, 4),): "letters",
        ((0, 1), (1, 2), (2, 3), (3, 4)): "numbers",
        ((0, 1), (3, 4)): "spaces",
        ((0, 1), (1, 3), (3, 4)): None,
    }
    ranges = {"letters": [], "numbers": [], "spaces": []}
    changed = []
    for value in range(0x110000):
        if 0xD800 <= value < 0xE000:
            continue
        scalar = chr(value)
        kind = shapes[tuple(place for _, place in pre.pre_tokenize_str("a" + scalar + scalar + "a"))]
        if kind and ranges[kind] and ranges[kind][-1][1] == value - 1:
            ranges[kind][-1][1] = value
        elif kind:
            ranges[kind].append([value, value])
        normal = normalizer.normalize_str(scalar)
        if normal != scalar and kind != "spaces":
            changed.append([scalar, normal])
    rng = random.Random(SEED + 3)
    apart = [c for c in map(chr, range(0x110000)) if re.match("[0-9A-F]", unicodedata.decomposition(c)) and not c.isspace()]
    marks = [c for c in map(chr, range(0x110000)) if unicodedata.combining(c)]
    parts = sorted({chr(int(x, 16)) for c in apart for x in unicodedata.decomposition(c).split()})
    hangul = [chr(c) for c in [*range(0x1100, 0x1200), *range(0xAC00, 0xAC3A)]]
    pools = [apart, marks, parts, hangul, list("aeiou")]
    sequences = ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(2, 6))) for _ in range(3000)]
    sequences = [[text, normalizer.normalize_str(text)] for text in sequences]
    write("characters.json", {"seed": SEED, "ranges": ranges, "changed": changed, "sequences": sequences})


# Tokens

CHOSEN = [
    "", " ", "\n\t ", "a photo of a cat", "A  Photo, of a CAT's 2023 best!!!", "don't she'd we've", "I'm they'll you're it's",
    "DON'T SHE'D WE'VE", "caf\u00e9 na\u00efve \u00dcn\u00efcode", "cafe\u0301 nai\u0308ve",
    "\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8 \U0001f408", "'sun", "''s", "!'s", "x's!'s", "\u2019s don\u2019t", "123abc4.5",
    "_under_score-", "a\u00a0b\u200bc", "x" * 40, "x" * 1000, "supercalifragilisticexpialidocious", ",", ", ,", ",,", "a,b , c",
    "hello&amp;world", "\ufb01ne \ufb03 \ufb05", "I\u0307stanbul \u0130stanbul \u0131\u0131 I", "\u03a3\u03a3 \u039f\u0394\u039f\u03a3 \u03c2 \u03c3",
    "\u00bd \u00b2 \u2167 \u2460 \u0663 \u096c \U0001d7d8 \u3007 \u4e09", "\uff21\uff22\uff43 \uff11\uff12\uff0c\u3000x",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f3f3\ufe0f\u200d\U0001f308 \U0001f44d\U0001f3fd \U0001f1e9\U0001f1ea",
    "\u0645\u0631\u062d\u0628\u0627 \u200f\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\ud55c\uae00 \u1112\u1161\u11ab \u1113\u1161 \u1102\u1176", "\u0000\u0001\u001b\u007f\u0085\u00ad a\u001cb", "\ufeffbom", "a\r\nb\vc\fd",
    "e\u0301\u0323 e\u0323\u0301 \u0344 \u212b \u2126 \u1e9e \u01c5", "e\u07fd\u0301 e\u0301\u1df6\u0323", "z\u0351\u036b\u0343a\u0328\u0308l",
    "\U00010400\U00010428 \U00016e40 \ua7ce \ua7d2 \U00010d4e\U00010940", "\u2028\u2029\u1680\u2003\u205f", "\u2500\u2501\u2550 \u266a\u2192\u221e",
    "<|startoftext|>", "<|endoftext|>", "a<|endoftext|>b <|startoftext|> c", "<|ENDOFTEXT|>", "!<|EndOfText|>!",
    "a<|STARTOFTEXT|>b", "<|endoftext", "<<|endoftext|>>", "  <|endoftext|>  ", "E\u0301<|endoftext|>\u0301",
    "(masterpiece:1.2), [best] {quality} \\(text\\) <lora:x:1>", "1girl, 4k, 8k uhd, f/1.8, --ar 16:9", "a.b.c... wait -- what?!?!",
    "$100 50% #1 @user a+b=c ^_^ ~x~ `code` |pipe|", "\u00a9\u00ae\u2122 \u00b0 \u00b5m \u00aa\u00ba", "\u02b0\u02bc\u0374 \u0660\u0661",
]
BLOCKS = [
    (0x20, 0x7E), (0x20, 0x7E), (0x20, 0x7E), (0x00, 0x1F), (0x7F, 0xFF), (0x100, 0x24F), (0x2B0, 0x36F), (0x370, 0x52F),
    (0x590, 0x6FF), (0x900, 0xDFF), (0xE00, 0xFFF), (0x1100, 0x11FF), (0x1AB0, 0x1AFF), (0x1D00, 0x1FFF), (0x2000, 0x218F),
    (0x2190, 0x2BFF), (0x3000, 0x30FF), (0x4E00, 0x9FFF), (0xA640, 0xABFF), (0xAC00, 0xD7FF), (0xE000, 0xE010),
    (0xFB00, 0xFDFF), (0xFE00, 0xFFFD), (0x10000, 0x11FFF), (0x1D100, 0x1D7FF), (0x1F000, 0x1FAFF), (0x20000, 0x323FF),
    (0xE0000, 0xE01EF),
]
SNIPPETS = ["'s", "'RE", "'ll", "<|endoftext|>", "<|STARTOFTEXT|>", "best quality", "\u0301", "\u0323", "\u200d", "\u3000", "42"]


def random_text(rng):
    parts = []
    blocks = rng.sample(BLOCKS, 3)
    for _ in range(rng.randint(1, 14)):
        roll = rng.random()
        if roll < 0.12:
            parts.append(rng.choice(SNIPPETS))
        elif roll < 0.25:
            parts.append(" ")
        else:
            parts.append(chr(rng.randint(*rng.choice(blocks))))
    return "".join(parts)


def tokens():
    rng = random.Random(SEED)
    texts = CHOSEN + [random_text(rng) for _ in range(1000)]
    write("tokens.json", {"seed": SEED, "texts": [{"text": t, "ids": ids(t)} for t in texts]})
    print("seed of the random texts:", SEED, "tokens:", sum(len(ids(t)) for t in texts))


# Weights


def signs(prompt):
    """The signs of A1111's language as (kind, text, number): a dictionary of patterns, tried in order at each place."""
    kinds = [
        ("escape", re.compile(r"\\([()\[\]\\]?)")),
        ("weight", re.compile(r":\s*([+-]?[.0-9]+)\s*\)")),
        ("bracket", re.compile(r"[()\[\]]")),
        ("text", re.compile(r":|[^\\()\[\]:]+")),
    ]
    place = 0
    while place < len(prompt):
        kind, found = next((k, m) for k, p in kinds if (m := p.match(prompt, place)))
        yield kind, found.group(0), found.group(1) if found.re.groups else None
        place = found.end()


def a1111(prompt):
    """[text, weight] pairs, or None for a chunk's end."""
    pieces, pairs, open_at = [], [], {"(": [], "[": []}
    for kind, text, inner in signs(prompt):
        closes = {")": "(", "]": "["}.get(text[-1]) if kind in ("bracket", "weight") else None
        if kind == "escape":
            pieces.append(inner)
        elif kind == "bracket" and text in "([":
            open_at[text].append(len(pieces))
        elif closes and open_at[closes]:
            factor = float(inner) if kind == "weight" else 1.1 if closes == "(" else 1 / 1.1
            pairs.append((open_at[closes].pop(), len(pieces), factor))
        else:
            words = re.split(r"\s*\bBREAK\b\s*", text)
            pieces += [w for word in words for w in (None, word)][1:]
    pairs += [(start, len(pieces), 1.1) for start in open_at["("]] + [(start, len(pieces), 1 / 1.1) for start in open_at["["]]
    result = []
    for index, text in enumerate(pieces):
        weight = 1.0
        for start, end, factor in pairs:  # in the order in which they close
            if start <= index < end:
                weight *= factor
        if text is None:
            result.append(None)
        elif result and result[-1] and result[-1][1] == weight:
            result[-1][0] += text
        else:
            result.append([text, weight])
    return [piece for piece in result if piece is None or piece[0]]


def comfy(prompt, weight=1.0):
    """[text, weight] pairs. Escaped parentheses are private scalars until the end."""
    hidden = prompt.replace("\\(", "\ue000").replace("\\)", "\ue001")
    depths, depth = [], 0
    for c in hidden:
        before = depth
        depth += (c == "(") - (c == ")")
        depths.append((before, depth))
    # A group begins where a parenthesis opens at depth 0, and ends where one closes to it.
    cuts = {0, len(hidden)}
    for i, (c, (before, after)) in enumerate(zip(hidden, depths)):
        if c == "(" and before == 0:
            cuts.add(i)
        if c == ")" and after == 0:
            cuts.add(i + 1)
    cuts = sorted(cuts)
    result = []
    for start, end in zip(cuts, cuts[1:]):
        group = hidden[start:end]
        if len(group) > 1 and group[0] == "(" and group[-1] == ")":
            found = re.fullmatch(r"\((.+):\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*\)", group, re.S)
            if found:
                result += comfy(found[1], float(found[2]))
            else:
                result += comfy(group[1:-1], weight * 1.1)
        elif group:
            result.append([group, weight])
    return [[t.replace("\ue000", "(").replace("\ue001", ")"), w] for t, w in result]


KNOWN = {  # A1111's docstring
    "normal text": [["normal text", 1.0]],
    "an (important) word": [["an ", 1.0], ["important", 1.1], [" word", 1.0]],
    "(unbalanced": [["unbalanced", 1.1]],
    "\\(literal\\]": [["(literal]", 1.0]],
    "(unnecessary)(parens)": [["unnecessaryparens", 1.1]],
    "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).": [
        ["a ", 1.0], ["house", 1.5730000000000004], [" ", 1.1], ["on", 1.0], [" a ", 1.1], ["hill", 0.55],
        [", sun, ", 1.1], ["sky", 1.4641000000000006], [".", 1.1]],
}
WEIGHTED = [
    *KNOWN, "", "()", "(())", "[]", "a) b", "a] b", "(a] b)", "[a) b]", "(a", "[a", "((a", "[[a", "([a", "(a [b (c", "(a:1.3", "a:1.3)",
    ":1.3)", "(:1.3)", "(a:)", "(a:b)", "(a:b:1.3)", "(a: 1.3 )", "(a :+1.3)", "(a:-0.5)", "(a:.5)", "(a:2.)", "((a:1.2) b:0.8)", "(a (b:1.5) c)",
    "[(a:1.5)]", "([a])", "\\\\(a)", "\\(a\\)", "(a\\))", "(a\\:1.3)", "a\\b", "\\", "a\\", "(\\(:1.5)", "\\[a:b:0.5\\]",
    "a BREAK b", "aBREAK b", "BREAK", "BREAK BREAK", "a, BREAK\nb", "(a BREAK b:1.3)", "BREAKFAST", "_BREAK_", "a:BREAK:b", "break",
    "BREAK a", "a BREAK", "x BREAK(y)BREAK z", "\u00e9BREAK", "-BREAK-", "(a:1.1)(b)", "(a)[b]c", "time 12:30 (pm)", "a::b", "(a:1e3)", "(a, b:1.2), c",
    "(\u65e5\u672c:1.4) \U0001f408", "a (b (c (d:1.1):1.2):1.3) e", "(a:0)", "\n(a:1.2)\n", "((((very))))", "(x:1.21)((y))", "(a :1.2) (b:1.2 )",
    "a|b", "(a|b)", "[a:b]", "[a](b:0.5]", "x (y)) (z)", "x) (y (z))", "((a:1.2):1.5)", "((a:1.2) b:1.5 )", "(a (b:2) :3)", "a\\)b(c\\(d)", "(a:1.5:2)",
]


def weights():
    for prompt, expected in KNOWN.items():
        assert a1111(prompt) == expected, (prompt, a1111(prompt))
    rng = random.Random(SEED + 1)
    parts = ["(", ")", "[", "]", "\\", ":1.3)", ":0.5)", ":", "cat", " ", "dog, ", "BREAK", "sun\n", "1.2"]
    cases = list(WEIGHTED)
    while len(cases) < 300:
        cases.append("".join(rng.choice(parts) for _ in range(rng.randint(2, 12))))
    result = []
    for prompt in cases:
        scheduled = re.search(r":\s*[+-]?[.0-9]+\s*\]", prompt)  # prompt editing is an error in Lathe and tested there
        result.append({"prompt": prompt, "a1111": None if scheduled else a1111(prompt), "comfy": comfy(prompt)})
    return result


# Chunks


def a1111_chunks(prompt):
    """The tokens are numbered through; a chunk's end is a place in this row."""
    sections = [[]]
    for piece in a1111(prompt):
        if piece is None:
            sections.append([])
        else:
            sections[-1] += [(i, piece[1]) for i in ids(piece[0])]
    result = []
    for number, row in enumerate(sections):
        start = 0
        while len(row) - start > CAPACITY:
            end = start + CAPACITY
            if row[end][0] != COMMA:
                near = [i for i in range(end - 20, end) if row[i][0] == COMMA]
                end = near[-1] + 1 if near else end
            result.append(row[start:end])
            start = end
        last = number == len(sections) - 1
        if len(row) > start or not last or not result:
            result.append(row[start:])
    return result


def comfy_chunks(prompt):
    result = [[]]
    for text, weight in comfy(prompt):
        group = [(i, weight) for i in ids(text)]
        if len(group) < 8:
            if len(result[-1]) + len(group) > CAPACITY:
                result.append([])
            result[-1] += group
            continue
        for place, token in enumerate(group):
            # A long text goes on in a new chunk as soon as the old one is full.
            if len(result[-1]) == CAPACITY:
                result.append([])
            result[-1].append(token)
    return result


WORDS = (
    "masterpiece best quality ultra detailed portrait of a young woman with long flowing hair standing in the rain neon "
    "lights cyberpunk city street reflections cinematic lighting film grain depth field bokeh 35mm photograph extremely "
    "intricate wlop greg rutkowski artstation supercalifragilistic kawaii \u65e5\u672c\u8a9e f/1.8 xqzw"
).split()


def long_prompt(rng, commas, brackets, breaks):
    target, words = rng.randint(80, 300), []
    while len(ids(" ".join(words))) < target:
        word = rng.choice(WORDS)
        if rng.random() < brackets:
            word = rng.choice([f"({word} {rng.choice(WORDS)}:1.3)", f"(({word}))", f"({word}:0.7)", f"[{word}]"])
        if rng.random() < commas:
            word += ","
        words.append(word)
        if rng.random() < breaks:
            words.append("BREAK")
    return " ".join(words)


def chunks():
    rng = random.Random(SEED + 2)
    prompts = ["", "a photo of a cat", " ".join(["cat"] * 75), " ".join(["cat"] * 76), " ".join(["cat"] * 150) + " dog"]
    prompts += [" ".join(["cat"] * n + [","] + ["dog"] * m) for n, m in [(54, 40), (55, 40), (56, 40), (74, 3), (75, 3), (76, 3), (75, 90)]]
    prompts += [" ".join(["cat"] * 60 + [","] + ["dog"] * 14 + [","] + ["sun"] * 70), "a BREAK b", "BREAK BREAK a", "a BREAK"]
    prompts += [" ".join(["cat"] * 70) + f" ({' '.join(['dog'] * n)}:1.2) sun" for n in [5, 6, 7, 8, 9, 80, 160]]
    for commas, brackets, breaks in [(0.2, 0, 0), (0.05, 0, 0), (0, 0.1, 0), (0.2, 0.15, 0), (0.3, 0.1, 0.02)]:
        prompts += [long_prompt(rng, commas, brackets, breaks) for _ in range(5)]
    split = lambda rows: [{"ids": [i for i, _ in row], "weights": [w for _, w in row]} for row in rows]
    return [
        {"prompt": p, "a1111": split(a1111_chunks(p)), "comfy": split(comfy_chunks(p)), "plain": ids(p)} for p in prompts
    ]


# Weighting


def weighting():
    generator = torch.Generator().manual_seed(SEED)
    result = []
    for values in [[1, 1.1, 1.3, 0.5, 1, 1], [1] * 6, [1, -1, 2, 0, 1.21, 1]]:
        z = (torch.randn(6, 4, generator=generator) + 0.3).mul(256).round().div(256)
        empty = torch.randn(6, 4, generator=generator).mul(256).round().div(256)
        w = torch.tensor(values, dtype=torch.float32).unsqueeze(1)
        product = z * w
        restored = product * (z.mean() / product.mean())
        flat = lambda t: t.flatten().tolist()
        result.append({
            "weights": values, "output": flat(z), "empty": flat(empty), "product": flat(product),
            "restoringMean": flat(restored), "awayFromEmpty": flat(empty + w * (z - empty))})
    return result


if __name__ == "__main__":
    CLIP = tokenizer(sys.argv[1])
    assert ids("a photo of a cat") == [320, 1125, 539, 320, 2368]
    assert ids("\u65e5\u672c\u8a9e \u30c6\u30b9\u30c8 \U0001f408") == [39121, 44353, 34002, 508, 2429, 228, 32421, 486, 2074, 486]
    characters()
    tokens()
    write("prompts.json", {"seed": SEED, "weights": weights(), "chunks": chunks(), "weighting": weighting()})
