"""The same as ``rlmem evaluate``: see its --help."""

import sys

from rlmem.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["evaluate", *sys.argv[1:]]))
