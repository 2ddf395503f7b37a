"""``python -m rlmem``."""

import sys

from rlmem.cli.main import main

sys.exit(main())
