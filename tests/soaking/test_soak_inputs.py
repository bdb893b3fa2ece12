"""The quick share of tools/soak.py: damaged files at fixed seeds, and that faults are seen."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import load_image
from soaking import inputs
from soaking.calls import Call, calls
from soaking.inputs import MOST_MEBIBYTES, MOST_SECONDS, try_many, try_sample
from soaking.mutations import mutated, samples

COUNT, SEED = 2_000, 19
# Each takes tenths of a millisecond, so that every file goes through them.
QUICK = ("read_jpeg_info", "load_image, decode_jpeg", "scan_dataset, annotations")


@pytest.mark.slow
def test_no_damaged_file_raises_anything_else_or_takes_long_or_much(tmp_path):
    every = calls()
    quick = [way for way in every if way.name in QUICK]
    others = [way for way in every if way.name not in QUICK]
    faults, tried = [], Counter()
    for number in range(COUNT):
        ways = [*quick, others[number // 2 % len(others)]]  # JPEG is every other file
        for one in try_sample(mutated(SEED, number), tmp_path / "work", ways):
            tried[one.call] += 1
            if one.wrong or one.seconds > MOST_SECONDS or one.mebibytes > MOST_MEBIBYTES:
                faults.append(f"seed {SEED}, number {number}: {one}")
    assert faults == []
    assert all(tried[way.name] > 50 for way in every), tried


def test_the_samples_are_sound_but_for_those_that_are_refused_by_kind():
    refused = set()
    for sample in samples():
        try:
            load_image(sample.data, sample.name)
        except ImageReadError:
            refused.add(sample.name)
    assert refused == {"cmyk.jpg", "deep.png"}
    assert {sample.name.rpartition(".")[2] for sample in samples()} >= {
        *("jpg", "png", "webp", "tif", "gif", "bmp", "ppm", "jp2", "j2k")
    }


def test_equal_seeds_give_equal_files_and_others_others():
    first, again = ([mutated(3, number) for number in range(40)] for _ in "ab")
    assert first == again
    assert len({sample.data for sample in first}) == 40
    assert mutated(4, 0).data != first[0].data


def test_what_goes_wrong_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MOST_SECONDS", 0.05)

    def burn() -> None:
        total = 0
        for value in range(3_000_000):
            total += value

    def refuse() -> None:
        raise ImageReadError("two\nlines")

    kept = []
    ways = [
        Call("raises", lambda sample, folder: lambda: {}["none"]),
        Call("allowed", lambda sample, folder: lambda: load_image(b"none")),
        Call("two lines", lambda sample, folder: refuse),
        Call("slow", lambda sample, folder: burn),
        Call("large", lambda sample, folder: lambda: kept.append(np.ones(300 << 20, np.uint8))),
        Call("cannot", lambda sample, folder: None),
    ]
    found = {one.call: one for one in try_sample(mutated(1, 1), tmp_path / "work", ways)}
    assert list(found) == ["raises", "allowed", "two lines", "slow", "large"]
    assert found["raises"].wrong.startswith("KeyError")
    assert found["allowed"].wrong == ""
    assert "not one line" in found["two lines"].wrong
    assert found["slow"].seconds > 0.05
    assert found["large"].mebibytes > 250


@pytest.mark.slow
def test_a_process_that_dies_is_counted_and_replaced(tmp_path, monkeypatch):
    class Dying(inputs._Worker):
        def outcomes(self, number):
            if number == 1:
                self._process.kill()
            return super().outcomes(number)

    monkeypatch.setattr(inputs, "_Worker", Dying)
    tallies = {tally.what: tally for tally in try_many(3, SEED, tmp_path)}
    assert tallies["the process itself"].faults == Counter(crashed=1)
    assert tallies["read_jpeg_info"].tried == 2
    assert [path.name[:9] for path in (tmp_path / "faults").iterdir()] == ["19-000001"]
