"""The same as ``rlmem render``: see its --help."""

import sys

from rlmem.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["render", *sys.argv[1:]]))
