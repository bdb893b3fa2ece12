"""How long a restorer takes and how much memory: one case at a time, each in a process of its own.

A fresh process keeps one case's allocator, caches and peak memory out of the next one's figures.
Times are of warm calls that take uint8 pixels and give uint8 pixels; decoding is not in them.
"""

from __future__ import annotations

import copy
import multiprocessing
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from jpeg_preproc.errors import JpegPreprocError
from jpeg_preproc.restorers.catalogue import macs
from jpeg_preproc.restorers.contract import Restorer
from jpeg_preproc.restorers.engine import JpegRestorer
from jpeg_preproc.restorers.inputs import DecodedImage
from jpeg_preproc.restorers.registry import build_restorer, registered_names

#: Quality factor that the restorers are told; their time does not depend on it.
QF = 10
_WARM_UP = 2


@dataclass(frozen=True)
class Case:
    """What is timed, and on what.

    Attributes:
        subject: What is timed. A restorer: the name of shipped weights, a weights file, or
            ``NETWORK:PRESET`` with random weights. A model: the path of its config.
        height: Height of the images, pixels.
        width: Width of the images, pixels.
        device: Device to compute on, as torch names it.
        dtype: ``'fp32'``, ``'bf16'`` or ``'fp16'``.
        batch: Images in one call.
        threads: Threads that torch computes with on the CPU; 0 leaves its own choice.
        seconds: Least time to repeat calls for, seconds.
        repeats: Least number of calls.
        checkpoint: Weights of a model; ``None`` for random ones.
        compile: Whether restorers run through ``torch.compile``.
        trust_checkpoint: Whether to load a checkpoint that holds more than tensors, which runs its
            code.
    """

    subject: str
    height: int
    width: int
    device: str = "cpu"
    dtype: str = "fp32"
    batch: int = 1
    threads: int = 0
    seconds: float = 3.0
    repeats: int = 5
    checkpoint: str | None = None
    compile: bool = False
    trust_checkpoint: bool = False


def in_fresh_process(measure: Callable[[Case], dict[str, Any]], case: Case) -> dict[str, Any]:
    """Return ``measure(case)`` from a process that has done nothing before.

    Raises:
        JpegPreprocError: The process died, as when memory runs out.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            return pool.submit(measure, case).result()
        except BrokenProcessPool as error:
            raise JpegPreprocError(
                f"{case.subject} at {case.height}×{case.width} on {case.device}: the process died "
                "(out of memory?); try a smaller --sizes or --batch"
            ) from error


def measure_restorer(case: Case) -> dict[str, Any]:
    """Return the row of a restorer.

    Raises:
        UnknownRestorerError: No such weights, network or preset.
        WeightsError: Damaged weights.
    """
    restorer = JpegRestorer(
        _network(case.subject),
        case.device,
        case.dtype,
        tile=None,
        batch_size=case.batch,
        compile=case.compile,
    )
    rng = np.random.default_rng(0)
    shape = (case.height, case.width, 3)
    images = [DecodedImage(rng.integers(0, 256, shape, dtype=np.uint8)) for _ in range(case.batch)]
    return row(
        case,
        "restorer",
        lambda: restorer.restore(images, QF),
        parameters=sum(value.numel() for value in restorer.network.parameters()),
        gmacs=lambda: _gmacs(restorer.network, case.height, case.width),
    )


def _gmacs(network: Restorer, height: int, width: int) -> float:
    """Return the 10⁹ multiply-accumulates of one image, padded as the engine pads it."""
    multiple = network.spec.size_multiple
    shapes_only = copy.deepcopy(network).to("meta")
    return macs(shapes_only, height + -height % multiple, width + -width % multiple) / 1e9


def _network(subject: str) -> str | Restorer:
    """Return a network with random weights for ``NETWORK:PRESET``, and other names as they are."""
    name, colon, preset = subject.partition(":")
    return build_restorer(name, preset) if colon and name in registered_names() else subject


def row(
    case: Case, kind: str, run: Callable[[], object], *, parameters: int, gmacs: Callable[[], float]
) -> dict[str, Any]:
    """Time ``run`` and return the result row of a case.

    Args:
        case: What ``run`` computes.
        kind: ``'restorer'`` or ``'model'``.
        run: Function that makes one call over ``case.batch`` images.
        parameters: Number of the network's parameters.
        gmacs: Function that counts the 10⁹ multiply-accumulates of one image, called after the
            timing.
    """
    if case.threads:
        torch.set_num_threads(case.threads)
    seconds, peak = timed(run, torch.device(case.device), case.seconds, case.repeats)
    median = statistics.median(seconds)
    low, high = np.percentile(seconds, [10, 90])
    return {
        "kind": kind,
        "subject": Path(case.subject).stem if kind == "model" else case.subject,
        "device": case.device,
        "dtype": case.dtype,
        "height": case.height,
        "width": case.width,
        "batch": case.batch,
        "latency_ms": round(1e3 * median, 3),
        "latency_ms_p10": round(1e3 * float(low), 3),
        "latency_ms_p90": round(1e3 * float(high), 3),
        "images_per_s": round(case.batch / median, 3),
        "peak_mib": round(peak / 2**20, 1),
        "gmacs": round(gmacs(), 3),
        "parameters": parameters,
        "calls": len(seconds),
    }


def timed(
    run: Callable[[], object], device: torch.device, seconds: float, repeats: int
) -> tuple[list[float], int]:
    """Return the seconds of warm calls, and the bytes held at the peak of one.

    On a GPU these are the bytes that torch has allocated, weights included; on the CPU those that
    the process has grown by over what it held before the call.

    Args:
        run: Function that makes the call.
        device: Device that the call computes on; its end is waited for on a GPU.
        seconds: Least time to go on for, seconds.
        repeats: Least number of calls.
    """
    on_gpu = device.type == "cuda"

    def call() -> float:
        started = time.perf_counter()
        run()
        if on_gpu:
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
        call()
        peak = torch.cuda.max_memory_allocated(device)
    else:
        before = _start_watching_memory()
        call()
        peak = _peak_memory() - before
    for _ in range(_WARM_UP - 1):
        call()
    times: list[float] = []
    while len(times) < repeats or sum(times) < seconds:
        times.append(call())
    return times, peak


def _start_watching_memory() -> int:
    """Return the bytes that this process holds, and let its peak begin anew from there."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        return _status("VmRSS")
    except OSError:  # not Linux, or not allowed: the peak so far has to do
        return _peak_memory()


def _peak_memory() -> int:
    """Return the most bytes that this process has held."""
    try:
        return _status("VmHWM")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _status(field: str) -> int:
    """Return a size in bytes from Linux' account of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in /proc/self/status")
