"""The `vitlab` command and `python -m vitlab`: what is done before anything else is loaded."""

import _signal  # type: ignore[import-not-found]  # built in: `signal` takes milliseconds to load
import sys


def main() -> int:
    """Run one command; the value is the exit status.

    Ctrl+c ends the process at once while it loads and while it ends, as nothing is half done then.
    """
    if _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:  # else it is ignored
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from vitlab import cli

    return cli.main()


if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the current folder: a lab may have a `yaml.py`
    sys.exit(main())
