"""Memory while images of ever new shapes are restored."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

from soaking.commands import environment
from soaking.tally import Tally

#: MiB that may come on top once so many shapes have been seen.
MOST_GROWTH, SEEN = 48, 200


def shapes(count: int, seed: int) -> list[tuple[int, int]]:
    """Return distinct heights and widths, of few pixels each, all multiples of 8."""
    every = [(8 * rows, 8 * columns) for rows in range(1, 9) for columns in range(1, 601)]
    random.Random(seed).shuffle(every)
    return every[:count]


def memory_over_shapes(count: int, seed: int) -> list[tuple[int, float]]:
    """Return the MiB that a process of its own has taken after so many shapes, at a few points."""
    line = [sys.executable, str(Path(__file__).resolve()), str(count), str(seed)]
    paths = environment()
    tests = str(Path(__file__).resolve().parents[1])
    paths["PYTHONPATH"] = f"{tests}:{paths['PYTHONPATH']}"
    done = subprocess.run(line, env=paths, capture_output=True, text=True, check=True)
    return [tuple(point) for point in json.loads(done.stdout)]


def restore_shapes(count: int, seed: int) -> Tally:
    """Restore images of ``count`` shapes and return what memory did."""
    points = memory_over_shapes(count, seed)
    tally = Tally("shapes", "JpegRestorer('nano')", tried=count)
    early = next((mebibytes for seen, mebibytes in points if seen >= SEEN), points[0][1])
    growth = points[-1][1] - early
    tally.remark = ", ".join(f"{seen}: {mebibytes:.0f} MiB" for seen, mebibytes in points)
    if growth > MOST_GROWTH:
        tally.fault("memory", f"{growth:.0f} MiB more after {count} shapes than after {SEEN}")
    return tally


def _measure(count: int, seed: int) -> list[tuple[int, float]]:
    import numpy as np
    import torch

    from jpeg_preproc import JpegRestorer
    from soaking.inputs import resident_mebibytes

    torch.set_num_threads(1)
    restorer = JpegRestorer("nano")
    noise = np.random.default_rng(seed).integers(0, 256, (64, 4800, 3), dtype=np.uint8)
    marks = {1, 50, SEEN, *(count * part // 6 for part in range(1, 7))}
    points = []
    for seen, (height, width) in enumerate(shapes(count, seed), start=1):
        restorer(np.ascontiguousarray(noise[:height, :width]), qf=20)
        if seen in marks:
            points.append((seen, round(resident_mebibytes(), 1)))
    return points


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]))))
