"""Values of command-line options, as ``argparse`` types."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jpeg_preproc.defaults import MAX_PIXELS
from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg.tables import QF_WORDS, QfChoice, validate_quality

#: Where the quality of an image is from, in words.
QUALITY_FROM = {
    "file": "from the file's tables",
    "earlier": "of an earlier compression",
    "grid": "of a compression off the corner",
    "estimated": "estimated from pixels",
    "given": "given",
    "blind": "blind",
}
#: What the help calls the values of ``--qf``.
QF_METAVAR = "|".join([*QF_WORDS, "1-100"])


def program(command: str) -> str:
    """Return what a user types for a command: the script of a checkout that was started, or ours.

    >>> program("train")
    'jpeg-preproc train'
    """
    script = Path(sys.argv[0])
    if script.parent.name == "tools":
        return f"python tools/{script.name}"
    return f"jpeg-preproc {command}"


def quality(text: str) -> QfChoice:
    """Return by which quality to restore; see :func:`~jpeg_preproc.jpeg.validate_quality`."""
    try:
        return validate_quality(int(text) if text.isdecimal() else text)
    except QualityError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def strength(text: str) -> float:
    """Return a share of the correction, 0-1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 0 to 1")
    return value


def add_max_pixels(parser: argparse.ArgumentParser) -> None:
    """Add ``--max-pixels``."""
    parser.add_argument(
        "--max-pixels",
        type=positive,
        default=MAX_PIXELS,
        metavar="N",
        help="images of more are not read, since a small file can claim any number; default: "
        "%(default)s",
    )


def positive(text: str) -> int:
    """Return a whole number from 1."""
    return _whole(text, 1)


def not_negative(text: str) -> int:
    """Return a whole number from 0."""
    return _whole(text, 0)


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
    return value
