"""The same as ``rlmem train``: see its --help."""

import sys

from rlmem.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
