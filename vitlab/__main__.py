"""`python -m vitlab`: the same as the `vitlab` command."""

import sys

from vitlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
