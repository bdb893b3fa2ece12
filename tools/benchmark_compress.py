"""Measure compress_dataset against bare encoders that are run at once on the same cores.

A bare encoder opens an image with Pillow, saves it at each quality, and does nothing else: no hash,
no manifest, no atomic write, no check of what it reads. Both get the same images, written to fresh
folders of one file system, in turn; start-up is part of both times. The share is the time of the
bare encoders over that of the tool. CPU seconds are those of all processes of a run together, so
that they can be compared also where something else keeps the cores busy.
"""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jpeg_preproc.cli.arguments import positive
from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.errors import FileError
from jpeg_preproc.jpeg.image import JPEG_SUFFIXES
from jpeg_preproc.report import print_tables, result_tables, write_results

_TOOL = Path(__file__).resolve().with_name("compress_dataset.py")
_PR_SET_CHILD_SUBREAPER = 36

# What a bare encoder runs: names come by standard input, so that all have their share.
_BARE = """
import os, sys
from PIL import Image
out, qfs = sys.argv[1], [int(text) for text in sys.argv[2:]]
for path in sys.stdin.read().splitlines():
    with Image.open(path) as picture:
        if picture.mode not in ("RGB", "L"):
            picture = picture.convert("RGB")
        for qf in qfs:
            picture.save(os.path.join(out, f"qf{qf}", os.path.basename(path)), "JPEG", quality=qf)
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tools/benchmark_compress.py data/coco/val2017 --images 5000",
    )
    parser.add_argument("images_of", nargs="+", type=Path, metavar="DIR", help="folders of JPEGs")
    parser.add_argument(
        "--images",
        type=positive,
        default=5000,
        metavar="N",
        help="size of the set: images are copied under new names until there are that many, as "
        "many as COCO's val2017 has; default: %(default)s",
    )
    parser.add_argument(
        "--qf", nargs="+", type=int, default=[10, 20, 30, 40], help="default: 10 20 30 40"
    )
    parser.add_argument(
        "--processes",
        type=positive,
        default=2,
        metavar="N",
        help="workers of the tool, and bare encoders; default: %(default)s",
    )
    parser.add_argument(
        "--repeats", type=positive, default=3, metavar="N", help="of each; default: %(default)s"
    )
    parser.add_argument(
        "--scratch", type=Path, help="folder for the copies and results; default: a temporary one"
    )
    parser.add_argument("--out", type=Path, help="folder for results.json; default: none")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print the table, and return the exit code."""
    args = parse_args(argv)
    return ended(lambda: _run(args), "start again")


def _run(args: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory(dir=args.scratch) as scratch:
        rows = _measure(args, Path(scratch))
    print_tables(result_tables(rows))
    if args.out:
        meta = {"tool": "benchmark_compress", "qfs": args.qf, "repeats": args.repeats}
        write_results(args.out, meta, rows)
    return DONE


def _measure(args: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Return one row for the bare encoders and one for the tool: medians over the repeats."""
    source = scratch / "source"
    paths = _copies(args.images_of, source / "images", args.images)
    (source / "annotations").mkdir()  # which makes it COCO, of which every JPEG is an image
    # Processes whose parents have ended become ours, so that their CPU time is counted.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    spent: dict[str, list[tuple[float, float]]] = {"bare": [], "compress_dataset": []}
    for _ in range(args.repeats):
        for name, seconds in spent.items():
            out = scratch / "out"
            if name == "bare":
                seconds.append(_run_bare(paths, out, args.qf, args.processes))
            else:
                seconds.append(_run_tool(source, out, args.qf, args.processes))
            shutil.rmtree(out)
    bare_wall, bare_cpu = _medians(spent["bare"])
    rows = []
    for name, seconds in spent.items():
        wall, cpu = _medians(seconds)
        rows.append(
            {
                "run": name,
                "processes": args.processes,
                "images": len(paths),
                "qualities": len(args.qf),
                "wall_s": round(wall, 2),
                "wall_share": round(bare_wall / wall, 3),
                "cpu_ms_per_image": round(1000 * cpu / len(paths), 3),
                "cpu_share": round(bare_cpu / cpu, 3),
            }
        )
    return rows


def _copies(folders: Sequence[Path], target: Path, count: int) -> list[Path]:
    """Fill ``target`` with that many JPEGs from the folders, over and over, under new names."""
    found = [
        path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in JPEG_SUFFIXES
    ]
    if not found:
        raise FileError(f"{', '.join(map(str, folders))}: no JPEG here; give a folder that has.")
    target.mkdir(parents=True)
    copies = []
    for index in range(count):
        copy = target / f"{index:06}.jpg"
        shutil.copyfile(found[index % len(found)], copy)
        copies.append(copy)
    return copies


def _run_bare(
    paths: Sequence[Path], out: Path, qfs: Sequence[int], processes: int
) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of bare encoders, each with its share of the images."""
    for qf in qfs:
        (out / f"qf{qf}").mkdir(parents=True)
    command = [sys.executable, "-c", _BARE, str(out), *map(str, qfs)]
    begin, used = time.perf_counter(), _cpu_of_children()
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for index, process in enumerate(running):
        if process.stdin is not None:
            process.stdin.write("\n".join(map(str, paths[index::processes])))
            process.stdin.close()
    codes = [process.wait() for process in running]
    if any(codes):
        raise FileError("A bare encoder has failed; see above.")
    return time.perf_counter() - begin, _cpu_of_children() - used


def _run_tool(source: Path, out: Path, qfs: Sequence[int], processes: int) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of compress_dataset with all its processes."""
    options = ["--workers", str(processes), "--qf", *map(str, qfs)]
    begin, used = time.perf_counter(), _cpu_of_children()
    done = subprocess.run(
        [sys.executable, str(_TOOL), str(source), str(out), *options],
        capture_output=True,
        text=True,
    )
    wall = time.perf_counter() - begin
    if done.returncode != DONE:
        raise FileError(f"compress_dataset has failed: {done.stderr.strip()}")
    while True:  # the server of the workers ends a little later
        try:
            os.wait()
        except ChildProcessError:
            break
    return wall, _cpu_of_children() - used


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system


def _medians(seconds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    walls, cpus = zip(*seconds, strict=True)
    return statistics.median(walls), statistics.median(cpus)


if __name__ == "__main__":
    sys.exit(main())
