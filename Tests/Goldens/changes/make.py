"""Adapters whose change depends on the base weight, or is no plain product of matrices, and what they make of it.

What it makes (beside this script)
    <producer>-<family>.safetensors     files spelled as their producers save them: names, number types, metadata.
    peft-<x>/                           folders of PEFT: adapter_config.json and adapter_model.safetensors.
    weights.safetensors                 the base parameters, numbers of single precision.
    expected.safetensors                the changed parameters in double precision.
    cells.json                          one line for each target: see below; and the versions.

A cell
    file, target        where the adapter is; the target as its tensors spell it, less what follows (".alpha").
    parameter           "weight", "bias", or "itself" for one that is no layer's ("modulation"; the matrices of experts,
                        whose whole name in the base is "named").
    family, kind, form  what it is: the algorithm, the sort of layer, and what is special about it.
    producer            the library that was asked, with its version; or "arithmetic".
    rule                how strength enters: null for W + s (W1 - W), or the name of the program with a rule of its own.
    base, expected      names in weights.safetensors, and by strength in expected.safetensors. Strengths that mean
                        nothing to the library are missing, all but "1" where it has none; the 2nd and 3rd cell of a
                        sort have fewer, for the size. Linear weights are (out, in), with fan_in_fan_out (in, out),
                        those of embeddings (rows, dimension).

How it is measured
    LyCORIS and PEFT are asked: a layer's answers to unit impulses are its weight, its answer to nothing is its bias; a
    normalisation is asked for x and -x, an embedding for its rows, experts by merging. PEFT is asked after it has read
    its own folder again over the base alone. Strength is LyCORIS' multiplier and PEFT's scaling. All runs in double
    precision, casts to single inside of the libraries included. Where that differs from single precision the difference
    is small: DoRA's epsilon (1e-7 of a norm), alphas that are no numbers of single precision (rs_lora). A comparison
    at 1e-6 holds for every cell.
    Where a library's strength is no straight line, the cell has a rule, and a second cell has W + s (W1 - W) of its W1.
    PEFT's BOFT of several factors needs an extension for CUDA: its one function, a block diagonal, is given in PyTorch.
    Cells of the producer "arithmetic" come from formulas in NumPy (arithmetic.py), for programs that cannot run here.

How to run
    python make.py          about a minute; the same bytes each time with the same versions.
"""

import platform
import warnings
from importlib.metadata import version

import torch

import arithmetic
import lycoris_files
import peft_folders
from book import Book

warnings.simplefilter("ignore")


def main():
    torch.set_num_threads(1)
    book = Book()
    for group in (
        lycoris_files.dora, arithmetic.ai_toolkit, peft_folders.dora,
        lycoris_files.glora, arithmetic.old_glora,
        lycoris_files.full, arithmetic.comfy_native,
        lycoris_files.ia3, peft_folders.ia3,
        lycoris_files.oft, arithmetic.kohya_oft, arithmetic.flux_oft, arithmetic.old_oft, arithmetic.onetrainer_oft,
        peft_folders.oft,
        lycoris_files.boft, peft_folders.boft,
        lycoris_files.tlora,
        lycoris_files.plain, peft_folders.lora, peft_folders.replacements, peft_folders.products, peft_folders.experts,
        lycoris_files.mixed,
    ):
        group(book)
    book.save({"python": platform.python_version(), **{package: version(package) for package in (
        "torch", "lycoris-lora", "peft", "transformers", "numpy", "safetensors")}})


if __name__ == "__main__":
    main()
