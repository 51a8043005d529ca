"""Collects golden files of quantised tensors: FILE.safetensors or FILE.gguf as the libraries wrote it, and what its tensors stand for
(`FILE.TENSOR.npy`, F32) as FILE.expected.safetensors.

    python collect.py FOLDER

What made the files, with versions, is in README.md. numpy 2, safetensors 0.6.
"""

import pathlib
import shutil
import sys

import numpy
from safetensors.numpy import save_file

here, folder = pathlib.Path(__file__).parent, pathlib.Path(sys.argv[1])
for file in sorted([*folder.glob("*.safetensors"), *folder.glob("*.gguf")]):
    expected = {
        path.name[len(file.stem) + 1 : -len(".npy")]: numpy.load(path) for path in sorted(folder.glob(f"{file.stem}.*.npy"))
    }
    assert all(value.dtype == numpy.float32 for value in expected.values())
    shutil.copyfile(file, here / file.name)
    save_file({name: numpy.ascontiguousarray(value) for name, value in expected.items()}, here / f"{file.stem}.expected.safetensors")
