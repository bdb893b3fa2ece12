"""Tell how images were compressed.

Of a JPEG: size, sampling, quantisation tables and the libjpeg quality that is nearest to them, from
its header alone; with --history also a hint where the pixels carry an earlier, stronger
compression, and the quality that restoring goes by. Of any other image: whether its pixels show
that it was a JPEG once, at which quality, and where its 8x8 grid starts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jpeg_preproc.cli.arguments import QUALITY_FROM, add_max_pixels
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE, SOME_SKIPPED
from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg.describe import Description, describe_image
from jpeg_preproc.jpeg.header import JpegInfo
from jpeg_preproc.report.console import console

if TYPE_CHECKING:
    from jpeg_preproc.restorers.quality import ImageQuality

_TABLE_WIDTH = 8 * 4
_ROLES = ("luma", "chroma", "third", "fourth")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="jpeg-preproc info",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=(
            "Exit code: 0, or 1 if a file could not be read (it is named), 2 on a wrong command.\n"
            "\nexamples:\n  jpeg-preproc info photo.jpg\n  jpeg-preproc info --history photo.jpg"
        ),
    )
    result.add_argument("files", nargs="+", metavar="FILE", help="image files")
    result.add_argument(
        "--history",
        action="store_true",
        help="decode a JPEG too, and hint at an earlier, stronger compression; tell by which "
        "quality an image is restored, and how sure that is",
    )
    add_max_pixels(result)
    result.add_argument("--json", action="store_true", help="print a JSON list, one item a file")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    # Subparsers would not take options between positional arguments, as in IN --qf 10 OUT.
    args = parser().parse_intermixed_args(argv)
    return ended(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Print what is known of each file, and return the exit code."""
    output, notes = console(), console(stderr=True)
    code = DONE
    described = []
    for path in args.files:
        try:
            found = describe_image(path, args.history, args.max_pixels)
        except ImageReadError as error:
            notes.print_line(f"error: {error}", style="red")
            code = SOME_SKIPPED
            continue
        effective = _effective(path, args.max_pixels) if args.history else None
        told = {} if effective is None else _told(effective)
        described.append({**found.as_json(), **told})
        if not args.json:
            for line in _lines(found, effective):
                output.print_line(line)
    if args.json:
        print(json.dumps(described, indent=2))
    return code


def _effective(path: str, max_pixels: int | None) -> ImageQuality | None:
    """Return the quality that an image is restored by; ``None`` of what is not restored."""
    from jpeg_preproc.restorers.inputs import decode_input  # torch takes seconds
    from jpeg_preproc.restorers.quality import find_quality

    try:
        image, _ = decode_input(path, max_pixels)
    except ImageReadError:
        return None
    return find_quality(image)


def _told(quality: ImageQuality) -> dict[str, object]:
    """Return what JSON says of the quality that an image is restored by."""
    return {
        "restored_by_qf": None if quality.is_clean else quality.qf,
        "restored_by_source": quality.source,
        "restored_by_confidence": quality.confidence,
        "restored_by_part_qfs": [None if one.is_clean else one.qf for one in quality.parts],
    }


def _lines(found: Description, effective: ImageQuality | None) -> list[str]:
    """Return what is printed of one file."""
    upright = f" (upright {found.height}x{found.width})" if found.orientation >= 5 else ""
    head = (
        f"{found.path}: {found.metadata.format}, {found.width}x{found.height}{upright}, "
        f"{found.bytes:,} bytes"
    )
    facts = _jpeg_facts(found, found.jpeg) if found.jpeg else _pixel_facts(found)
    if effective is not None:
        facts.append(("restored by", _restored_by(effective)))
    rows = [head, *(f"  {name:12}{value}" for name, value in facts)]
    if found.jpeg:
        rows += ["", *_table_lines(found.jpeg)]
    return [*rows, ""]


def _jpeg_facts(found: Description, info: JpegInfo) -> list[tuple[str, str]]:
    order = f"progressive, {info.scans} scans" if info.progressive else "sequential"
    coder = "arithmetic" if info.arithmetic else "Huffman"
    colours = info.colour_space if info.components == 1 else f"{info.colour_space} {info.sampling}"
    quality = (
        f"QF {info.qf}: libjpeg's own tables"
        if info.qf_exact
        else f"QF {info.qf} is nearest; its steps differ by {_percent(info.qf_distance)} on average"
    )
    return [
        ("coding", f"{order}, {coder}; {'TRUNCATED' if info.truncated else 'complete'}"),
        ("colour", f"{colours}, {info.precision} bits"),
        ("metadata", _metadata(found)),
        ("quality", quality),
        ("8x8 grid", "starts at column 0, row 0"),
        ("hint", _hint(found)),
    ]


def _pixel_facts(found: Description) -> list[tuple[str, str]]:
    grid = found.grid
    if grid is None or not grid.found:
        shown = "none found: never a JPEG, compressed too lightly, or resized since"
        return [("metadata", _metadata(found)), ("8x8 grid", shown)]
    return [
        ("metadata", _metadata(found)),
        ("8x8 grid", f"starts at column {grid.column}, row {grid.row} (estimated)"),
        ("quality", f"about QF {grid.qf}, from pixels (confidence {grid.confidence:.2f})"),
    ]


def _metadata(found: Description) -> str:
    exif = f"EXIF, orientation {found.orientation}" if found.metadata.exif else "no EXIF"
    return f"{exif}; {'a colour profile' if found.metadata.icc else 'no colour profile'}"


def _hint(found: Description) -> str:
    if found.not_looked_at:
        return f"not looked for: {found.not_looked_at}"
    if found.earlier is None:
        return "no earlier, stronger compression on this grid found"
    return (
        f"probably compressed before, at about QF {found.earlier.qf}: "
        f"restore with --qf {found.earlier.qf}"
    )


def _restored_by(quality: ImageQuality) -> str:
    if quality.parts:
        factors = ("nothing" if one.is_clean else f"QF {one.qf}" for one in quality.parts)
        return f"{', '.join(factors)}: its parts were compressed unlike, the largest one first"
    if quality.is_clean:
        return "nothing: no compression found that restoring could mend"
    sure = f"confidence {quality.confidence or 0.0:.2f}"
    return f"QF {quality.qf} ({QUALITY_FROM[quality.source]}; {sure})"


def _percent(octaves: float) -> str:
    return f"{100 * (2**octaves - 1):.0f} %"


def _table_lines(info: JpegInfo) -> list[str]:
    """Return the tables side by side, in natural order."""
    names = [f"{role} table" for role in _ROLES[: len(info.qtables)]]
    lines = ["  " + "    ".join(f"{name:<{_TABLE_WIDTH}}" for name in names)]
    for row in range(8):
        cells = ("".join(f"{step:4d}" for step in table[row]) for table in info.qtables)
        lines.append("  " + "    ".join(cells))
    return [line.rstrip() for line in lines]
