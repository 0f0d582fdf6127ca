"""`python -m vitlab`: the same as the `vitlab` command."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder: a lab may have a `yaml.py`
    from vitlab.cli import main

    sys.exit(main())
