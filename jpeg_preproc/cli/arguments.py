"""Values of command-line options, as ``argparse`` types."""

from __future__ import annotations

import argparse

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg.tables import validate_qf


def quality_policy(text: str) -> int | str:
    """Return ``'auto'``, ``'blind'`` or a quality factor, 1-100."""
    if text in ("auto", "blind"):
        return text
    try:
        return validate_qf(int(text))
    except (ValueError, QualityError):
        raise argparse.ArgumentTypeError(f"{text!r} is none of auto, blind, 1-100") from None


def positive(text: str) -> int:
    """Return a whole number from 1."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1")
    return value
