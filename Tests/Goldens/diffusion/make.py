"""Makes everything in this folder: see README.md beside it. About two minutes on one core, no downloads."""

import sys

import operations
import pipelines
import texts
import unets
import vaes
import zimage
from fixture import versions, write_json


def main(arguments):
    unets.main()
    vaes.main()
    texts.main()
    operations.main()
    pipelines.main(arguments[0])
    zimage.main()
    write_json("made-with.json", versions())


if __name__ == "__main__":
    main(sys.argv[1:])
