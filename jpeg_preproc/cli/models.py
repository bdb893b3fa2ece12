"""List the networks that can be built, and the trained weights that come with the package.

MACs are multiply-accumulates of convolutions and matrix products. 'quality is' says whether a
network has to be told the quality, uses it where it is known, or ignores it. 'sees px around' is
how far away a pixel changes another; 'whole' images cannot be cut into tiles. PSNR is what the
weights' own manifest says was measured, in dB.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from jpeg_preproc.cli.ending import ended
from jpeg_preproc.cli.exit_codes import DONE
from jpeg_preproc.report.console import console, print_tables
from jpeg_preproc.report.tables import Table

if TYPE_CHECKING:
    from jpeg_preproc.restorers.catalogue import RestorerEntry, WeightsEntry

# By channels. Luma is restored inside colour images too, whose chroma stays.
_RESTORES = {1: "luma", 3: "colour"}
_QFS = ("10", "20", "40")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    result = argparse.ArgumentParser(
        prog="jpeg-preproc models",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  jpeg-preproc models --json",
    )
    result.add_argument("--json", action="store_true", help="print one JSON object")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return the exit code."""
    # Subparsers would not take options between positional arguments, as in IN --qf 10 OUT.
    args = parser().parse_intermixed_args(argv)
    return ended(lambda: run(args))


def run(args: argparse.Namespace) -> int:
    """Print the tables, and return the exit code."""
    from jpeg_preproc.restorers import list_restorers, list_weights

    networks, weights = list_restorers(), list_weights()
    if args.json:
        print(json.dumps(_as_json(networks, weights), indent=2))
    else:
        print_tables([_network_table(networks), _weights_table(weights)], console())
    return DONE


def _as_json(
    networks: dict[str, RestorerEntry], weights: dict[str, WeightsEntry]
) -> dict[str, Any]:
    return {
        "networks": [{"name": name, **asdict(entry)} for name, entry in networks.items()],
        "weights": [asdict(entry) for entry in weights.values()],
    }


def _network_table(networks: dict[str, RestorerEntry]) -> Table:
    rows = [
        (
            name,
            preset,
            f"{cost.parameters / 1e6:.3f}",
            f"{cost.macs_per_pixel / 1000:.1f}",
            _RESTORES[cost.channels],
            entry.spec.quality,
            "whole" if cost.receptive_radius is None else str(cost.receptive_radius),
        )
        for name, entry in networks.items()
        for preset, cost in entry.presets.items()
    ]
    return Table(
        "Networks",
        (
            "network",
            "preset",
            "M parameters",
            "kMAC/pixel",
            "restores",
            "quality is",
            "sees px around",
        ),
        tuple(rows),
    )


def _weights_table(weights: dict[str, WeightsEntry]) -> Table:
    rows = [
        (
            name,
            entry.manifest.restorer,
            entry.manifest.preset,
            f"{entry.manifest.parameters / 1e6:.3f}",
            f"{entry.cost.macs_per_pixel / 1000:.1f}",
            _RESTORES[entry.cost.channels],
            f"{entry.bytes / 1e6:.1f}",
            *(_gain(entry.manifest.measured, qf) for qf in _QFS),
            str(entry.manifest.measured.get("dataset", "")),
        )
        for name, entry in weights.items()
    ]
    return Table(
        "Weights that come with the package; PSNR in dB, and its gain over the JPEG",
        (
            "weights",
            "network",
            "preset",
            "M parameters",
            "kMAC/pixel",
            "restores",
            "MB",
            *(f"QF {qf}" for qf in _QFS),
            "measured on",
        ),
        tuple(rows),
    )


def _gain(measured: dict[str, Any], qf: str) -> str:
    """Return ``'27.19 (+1.50)'``; empty where it was not measured."""
    psnr = measured.get("psnr_db", {}).get(qf)
    jpeg = measured.get("psnr_db_jpeg", {}).get(qf)
    if psnr is None:
        return ""
    return f"{psnr:.2f}" if jpeg is None else f"{psnr:.2f} ({psnr - jpeg:+.2f})"
