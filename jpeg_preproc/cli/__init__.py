"""The command ``jpeg-preproc``: parse, call the package, print."""

from jpeg_preproc.cli.main import main

__all__ = ["main"]
