"""Time restorers, and the detector or segmenter beside them, on given sizes, devices and dtypes."""

from __future__ import annotations

if __name__ == "__main__":  # what follows takes seconds
    from jpeg_preproc.cli.stopping import stop_during_imports

    stop_during_imports("start again")

import argparse
import itertools
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from jpeg_preproc.cli.ending import Terminated, ended
from jpeg_preproc.cli.exit_codes import DONE, INTERRUPTED, REFUSED, SOME_SKIPPED, TERMINATED
from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.evaluation.benchmark import Case, in_fresh_process, measure_restorer
from jpeg_preproc.report import console, print_tables, progress, result_tables, write_results
from jpeg_preproc.report.timing import plot_psnr_vs_time, with_shares
from jpeg_preproc.restorers.engine import DTYPES
from jpeg_preproc.restorers.weights import read_manifest, shipped_names, weights_path

_PLOTTED_QF = "10"

_EPILOG = """\
Each case runs in a process of its own: two calls to warm up, then calls for --seconds, at least
--repeats. Times are medians, of uint8 pixels to uint8 pixels for restorers (no decoding) and of
test_step for models, on what their test pipeline makes of an image of that size. Peak memory is
what torch allocated on a GPU, and what the process grew by on the CPU.

example:
  python tools/benchmark.py --restorers base FBCNN:tiny --sizes 480x640 \\
      --model configs/downstream/yolox_nano_coco.py yolox_nano.pth
"""


def parse_args(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--restorers",
        nargs="*",
        metavar="NAME|FILE|NETWORK:PRESET",
        help="weights, or a network with random weights such as DAGN:paper; default: all shipped",
    )
    parser.add_argument(
        "--model",
        nargs="+",
        action="append",
        default=[],
        metavar=("CONFIG", "CHECKPOINT"),
        help="an OpenMMLab config, with or without weights; may be given again",
    )
    parser.add_argument(
        "--sizes", nargs="+", type=_size, default=[(512, 512)], metavar="HxW", help="512x512"
    )
    parser.add_argument(
        "--devices", nargs="+", default=["cuda" if torch.cuda.is_available() else "cpu"]
    )
    parser.add_argument("--dtypes", nargs="+", choices=tuple(DTYPES), default=["fp32"])
    parser.add_argument("--batch", type=int, default=1, help="images in one call; default 1")
    parser.add_argument("--threads", type=int, default=0, help="of torch; default its own choice")
    parser.add_argument(
        "--compile", action="store_true", help="run restorers through torch.compile"
    )
    parser.add_argument("--seconds", type=float, default=3.0, help="default 3")
    parser.add_argument("--repeats", type=int, default=5, help="default 5")
    parser.add_argument(
        "--out", "--work-dir", type=Path, default=Path("work_dirs/benchmark"), metavar="DIR"
    )
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="load checkpoints that hold more than tensors, which runs whatever code they name",
    )
    args = parser.parse_args(argv)
    if min(args.batch, args.repeats) < 1 or args.threads < 0 or args.seconds < 0:
        parser.error("--batch and --repeats are at least 1, --threads and --seconds at least 0")
    if any(len(model) > 2 for model in args.model):
        parser.error("--model takes a CONFIG and a CHECKPOINT; give --model again for another")
    args.restorers = list(shipped_names()) if args.restorers is None else args.restorers
    return args


def _size(text: str) -> tuple[int, int]:
    """Return (height, width) from ``480x640``."""
    try:
        height, width = map(int, text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; give HEIGHTxWIDTH") from None
    if min(height, width) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} has no pixels")
    return height, width


def main(argv: Sequence[str] | None = None) -> int:
    """Measure every case and return the exit code."""
    args = parse_args(argv)
    return ended(lambda: _run(args), "start again")


def _run(args: argparse.Namespace) -> int:
    """Measure, write what was measured, also where it was stopped, and return the exit code."""
    output, notes = console(), console(stderr=True)
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    cases = _cases(args)
    code = DONE
    try:
        with progress("timing") as bar:
            step = bar.add_task("", total=len(cases))
            for measure, case in cases:
                bar.update(step, description=f"{case.subject} {case.height}x{case.width}")
                try:
                    rows.append(in_fresh_process(measure, case))
                except (JpegPreprocError, torch.cuda.OutOfMemoryError) as error:
                    failed.append(f"{case.subject}: {error}")
                bar.advance(step)
    except KeyboardInterrupt as error:
        notes.print("Stopped; what was timed by then is written.")
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
    for line in failed:
        notes.print_line(f"not timed: {line}", style="red")
    if not rows:
        return code or REFUSED
    rows = with_shares(rows)
    print_tables(result_tables(rows))
    for path in _write(args, rows, failed):
        output.print_line(f"wrote {path}")
    return code or (SOME_SKIPPED if failed else DONE)


def _cases(args: argparse.Namespace) -> list[tuple[Callable[[Case], dict[str, Any]], Case]]:
    """Return what to measure, models first at each size."""
    cases: list[tuple[Callable[[Case], dict[str, Any]], Case]] = []
    for device, dtype, (height, width) in itertools.product(args.devices, args.dtypes, args.sizes):
        common: dict[str, Any] = {
            "height": height,
            "width": width,
            "device": device,
            "dtype": dtype,
            "batch": args.batch,
            "threads": args.threads,
            "seconds": args.seconds,
            "repeats": args.repeats,
            "compile": args.compile,
            "trust_checkpoint": args.trust_checkpoint,
        }
        for config, *checkpoint in args.model:
            from jpeg_preproc.openmmlab.evaluation.benchmark import measure_model

            weights = checkpoint[0] if checkpoint else None
            cases.append((measure_model, Case(config, checkpoint=weights, **common)))
        cases += [(measure_restorer, Case(name, **common)) for name in args.restorers]
    return cases


def _write(
    args: argparse.Namespace, rows: Sequence[dict[str, Any]], failed: Sequence[str]
) -> list[Path]:
    """Write all results; without matplotlib, or measured weights, all but the plot."""
    meta = {
        "tool": "benchmark",
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "torch": torch.__version__,
        "compile": args.compile,
        "threads": args.threads or torch.get_num_threads(),
        "failed": list(failed),
    }
    written = list(write_results(args.out, meta, rows).values())
    gains = {}
    for name in args.restorers:
        if name in shipped_names():
            measured = read_manifest(weights_path(name)).measured
            after, before = measured.get("psnr_db", {}), measured.get("psnr_db_jpeg", {})
            if _PLOTTED_QF in after and _PLOTTED_QF in before:
                gains[name] = after[_PLOTTED_QF] - before[_PLOTTED_QF]
    try:
        written.append(
            plot_psnr_vs_time(
                rows,
                gains,
                args.out / "psnr_time.png",
                "Restorers: gain against time",
                f"PSNR over JPEG, LIVE1 at QF {_PLOTTED_QF}, dB",
            )
        )
    except JpegPreprocError as error:
        console(stderr=True).print_line(f"no plot: {error}")
    return written


if __name__ == "__main__":
    sys.exit(main())
