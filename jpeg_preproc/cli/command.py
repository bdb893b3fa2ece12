"""Which command is asked for, and what its errors look like."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.jpeg.versions import package_version

#: Each is the function ``main`` of a module beside this one, imported only when asked for, since
#: most need torch. Dashes are underscores there.
COMMANDS = {
    "restore": "remove JPEG artifacts from image files and folders",
    "info": "tell what a JPEG says about its compression, or what an image's pixels do",
    "models": "list the networks and the weights that come with the package",
    "convert": "make safetensors of weights that a network's authors published",
    "eval-downstream": "measure what JPEG costs a model, and what restoring gives back",
    "study": "measure models × data sets × corruptions × restorers, and compare",
    "eval-restoration": "measure restorers in PSNR, SSIM and PSNR-B",
    "compress-dataset": "write a COCO or VOC dataset as JPEG, or corrupted otherwise",
    "restore-dataset": "write a COCO or VOC dataset with its JPEG artifacts removed",
    "benchmark": "time restorers, and the model beside them",
    "train": "train a restorer from an mmengine config",
}
# What pip calls a module that is no requirement of this package; others go by their own name.
_DISTRIBUTIONS = {"mmengine": "onedl-mmengine (or mmengine)"}


def run_command(argv: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = _parse_name(arguments[:1])

    def work() -> int:
        try:
            command = import_module(f"jpeg_preproc.cli.{name.replace('-', '_')}")
        except ModuleNotFoundError as error:
            lacking = str(error.name).partition(".")[0]
            raise JpegPreprocError(
                f"{name} needs {lacking}, which is not installed: pip install "
                f"{_DISTRIBUTIONS.get(lacking, lacking)}"
            ) from error
        return int(command.main(arguments[1:]))

    return ended(work)


def _parse_name(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="jpeg-preproc",
        usage="jpeg-preproc COMMAND ...",
        description="Learned JPEG artifact removal.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="commands:\n"
        + "".join(f"  {name:18}{what}\n" for name, what in COMMANDS.items())
        + "\n`jpeg-preproc COMMAND --help` says more, with an example.",
    )
    parser.add_argument("--version", action="version", version=f"jpeg_preproc {package_version()}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    return str(parser.parse_args(arguments).command)
