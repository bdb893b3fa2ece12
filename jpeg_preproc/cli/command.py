"""Which subcommand is asked for, and what its errors look like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.jpeg.versions import package_version

# Each is a module beside this one, imported only when asked for: two of them need torch.
_COMMANDS = {
    "restore": "remove JPEG artifacts from image files and folders",
    "info": "tell what a JPEG says about its compression, or what an image's pixels do",
    "models": "list the networks and the weights that come with the package",
}


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Subparsers would not take options between positional arguments, as in IN --qf 10 OUT.
    name = _parse_name(arguments[:1])

    def work() -> int:
        command = import_module(f"jpeg_preproc.cli.{name}")
        args = command.parser().parse_intermixed_args(arguments[1:])
        return int(command.run(args))

    return ended(work)


def _parse_name(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="jpeg-preproc",
        usage="jpeg-preproc COMMAND ...",
        description="Learned JPEG artifact removal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "".join(f"  {name:10}{what}\n" for name, what in _COMMANDS.items())
        + "\n`jpeg-preproc COMMAND --help` says more, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"jpeg_preproc {package_version()}")
    parser.add_argument("command", choices=_COMMANDS, metavar="COMMAND", help="see below")
    return str(parser.parse_args(arguments).command)
