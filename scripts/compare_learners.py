"""The same as ``rlmem compare``: see its --help."""

import sys

from rlmem.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
