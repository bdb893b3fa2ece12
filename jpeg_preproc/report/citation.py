"""How results are cited; ``CITATION.cff`` at the top of the repository says the same."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

TITLE = "jpeg_preproc: learned JPEG artifact removal in front of OpenMMLab models"
AUTHORS = "The jpeg_preproc authors"
LICENCE = "Apache-2.0"
YEAR = 2026


def sentence() -> str:
    """Return how to cite this package, as a sentence."""
    return (
        f"{AUTHORS}: {TITLE}, version {_version()}, {YEAR} ({LICENCE}). Say beside it the command "
        "and the versions above, by which the figures can be made again, and cite the data sets "
        "and models by their own papers."
    )


def bibtex() -> str:
    """Return the same for BibTeX."""
    return (
        "@software{jpeg_preproc,\n"
        f"  author  = {{{{{AUTHORS}}}}},\n"
        f"  title   = {{{{{TITLE}}}}},\n"
        f"  version = {{{_version()}}},\n"
        f"  year    = {{{YEAR}}},\n"
        f"  license = {{{LICENCE}}}\n"
        "}"
    )


def _version() -> str:
    try:
        return version("jpeg_preproc")
    except PackageNotFoundError:  # run from its sources alone
        return "unknown"
