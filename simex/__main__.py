"""Entry point of ``python -m simex``."""

import sys

from simex.cli import main

if __name__ == "__main__":
    sys.exit(main())
