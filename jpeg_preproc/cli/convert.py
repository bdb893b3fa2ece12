"""Convert weights that a network's authors published: a checkpoint to safetensors and a manifest.

Which network a file is of is seen from the names of its tensors, and its settings from their
shapes. What comes out is used by its path, wherever a restorer is named.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.report.console import console


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="jpeg-preproc convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="Exit code: 0, or 2 on an error, such as a file of no network that is known.\n\n"
        "example:\n  jpeg-preproc convert arcnn_q10.pth arcnn_q10.safetensors\n"
        "  jpeg-preproc restore photo.jpg photo.png --restorer arcnn_q10.safetensors",
    )
    result.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="as published")
    result.add_argument(
        "out", type=Path, metavar="OUT", help="a .safetensors file; its manifest comes beside it"
    )
    result.add_argument("--licence", default="", help="of the weights, for the manifest")
    result.add_argument(
        "--overwrite", action="store_true", help="also replace a file that is there"
    )
    result.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="load a checkpoint that holds more than tensors, which runs whatever code it names",
    )
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    args = parser().parse_args(argv)
    return ended(lambda: run(args), "start again")


def run(args: argparse.Namespace) -> int:
    """Convert, print what it was, and return the exit code."""
    from jpeg_preproc.errors import FileError
    from jpeg_preproc.restorers.official import convert_official

    for path in (args.out, args.out.with_suffix(".json")):
        if path.exists() and not args.overwrite:
            raise FileError(f"{path} is there; give another name, or --overwrite")
    manifest = convert_official(
        args.checkpoint, args.out, licence=args.licence, trust=args.trust_checkpoint
    )
    settings = "".join(f", {key} {value}" for key, value in manifest.settings.items())
    output = console()
    output.print_line(
        f"{manifest.restorer} of preset {manifest.preset}{settings}: "
        f"{manifest.parameters:,} weights"
    )
    for path in (args.out, args.out.with_suffix(".json")):
        output.print_line(f"wrote {path}")
    return DONE
