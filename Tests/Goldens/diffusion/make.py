"""Makes everything in this folder: see README.md beside it. A few minutes, no downloads."""

import sys

import unets
from fixture import versions, write_json

MAKERS = {"unets": unets.main}


def main(arguments):
    chosen = arguments or list(MAKERS)
    for name in chosen:
        MAKERS[name]()
    write_json("made-with.json", versions())


if __name__ == "__main__":
    main(sys.argv[1:])
