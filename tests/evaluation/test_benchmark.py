"""Timing: how often, in which process, and that memory and work are what they are."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
import torch

from jpeg_preproc.errors import JpegPreprocError, UnknownRestorerError
from jpeg_preproc.evaluation.benchmark import Case, in_fresh_process, measure_restorer, timed

CPU = torch.device("cpu")


def test_calls_go_on_for_long_and_often_enough():
    times, _ = timed(lambda: time.sleep(0.01), CPU, seconds=0.1, repeats=3)
    assert all(value >= 0.01 for value in times)
    assert sum(times) >= 0.1
    assert len(timed(lambda: None, CPU, seconds=0.0, repeats=7)[0]) == 7


def peaks(case):
    _, large = timed(lambda: np.ones(64 * 2**20, np.uint8).sum(), CPU, seconds=0, repeats=1)
    _, small = timed(lambda: None, CPU, seconds=0, repeats=1)
    return {"large": large, "small": small}


@pytest.mark.slow
def test_the_peak_is_what_a_call_holds():
    # As it is measured: here other tests' threads would give memory back meanwhile.
    found = in_fresh_process(peaks, Case("x", 8, 8))
    assert 60 * 2**20 < found["large"] < 80 * 2**20
    assert found["small"] < 8 * 2**20


def test_a_restorers_row():
    row = measure_restorer(Case("ARCNN:base", 20, 36, batch=2, seconds=0, repeats=2))
    # A convolution does as many multiplications a pixel as it has weights.
    per_pixel = 3 * 64 * 81 + 64 * 32 * 49 + 32 * 16 + 16 * 3 * 25
    assert row["gmacs"] == pytest.approx(per_pixel * 20 * 36 / 1e9, abs=5e-4)
    assert row["parameters"] == 117_731
    assert row["kind"] == "restorer" and row["subject"] == "ARCNN:base"
    assert row["calls"] == 2
    assert row["images_per_s"] == pytest.approx(2e3 / row["latency_ms"], rel=1e-2)


def test_a_restorer_that_there_is_not():
    with pytest.raises(UnknownRestorerError, match="nonesuch"):
        measure_restorer(Case("nonesuch", 8, 8))


def process_of(case):
    return {"process": os.getpid()}


def dying(case):
    os._exit(9)


@pytest.mark.slow
def test_each_case_has_a_process_of_its_own():
    processes = {os.getpid()}
    processes |= {in_fresh_process(process_of, Case("x", 8, 8))["process"] for _ in range(2)}
    assert len(processes) == 3
    with pytest.raises(JpegPreprocError, match="x at 8×9 on cpu: the process died"):
        in_fresh_process(dying, Case("x", 8, 9))
