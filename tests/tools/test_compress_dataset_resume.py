"""Runs of the tool after other runs: ended ones, finished ones, and ones at the same time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import content, write_coco
from PIL import Image

from jpeg_preproc.datasets import Execution, compress_dataset, scan_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "compress_dataset.py"


def test_a_second_run_encodes_nothing_and_a_third_mends_what_was_damaged(
    compress, coco, tmp_path, capfd
):
    out = tmp_path / "out"
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    first = content(out)
    times = {path: path.stat().st_mtime_ns for path in (out / "qf10/val2017").iterdir()}
    capfd.readouterr()
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "0 JPEGs written, 5 found done" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in times} == times
    (out / "qf10/val2017/1.jpg").write_bytes(b"damaged")
    (out / "qf10/val2017/2.jpg").unlink()
    Image.new("RGB", (7, 9), "red").save(coco / "val2017/4.jpg")
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "3 JPEGs written, 2 found done" in capfd.readouterr().out
    changed = {name for name, data in content(out).items() if data != first[name]}
    assert changed == {"qf10/val2017/4.jpg", "qf10/manifest.json"}


def test_splits_can_be_added_to_one_output(compress, coco, tmp_path):
    (coco / "train2017").mkdir()
    shutil.copy(coco / "val2017/1.jpg", coco / "train2017/9.jpg")
    write_coco(coco, "train2017", {"9.jpg": (184, 120)})
    for split in ("val2017", "train2017"):
        assert compress(coco, tmp_path / "a", "--qf", 10, "--workers", 0, "--splits", split) == 0
    assert compress(coco, tmp_path / "b", "--qf", 10, "--workers", 0) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_other_settings_in_the_same_output_are_refused(compress, coco, tmp_path, capfd):
    out = tmp_path / "out"
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    before = content(out)
    assert compress(coco, out, "--qf", 10, "--workers", 0, "--subsampling", "4:4:4") == 2
    assert "other settings" in capfd.readouterr().err
    assert content(out) == before


def test_compressing_twice_leaves_the_first_manifest_behind(compress, coco, tmp_path):
    assert compress(coco, tmp_path / "once", "--qf", 30, "--workers", 0) == 0
    assert compress(tmp_path / "once/qf30", tmp_path / "twice", "--qf", 10, "--workers", 0) == 0
    manifest = json.loads((tmp_path / "twice/qf10/manifest.json").read_bytes())
    sources = {entry["source_qf"] for entry in manifest["images"]}
    assert sources == {30}
    assert "manifest.json" not in {entry["path"] for entry in manifest["images"]}


def test_two_runs_do_not_write_one_output(coco, tmp_path):
    tree = scan_dataset(coco)
    errors = []

    def second(phase: str, done: int, total: int) -> None:
        try:
            compress_dataset(tree, tmp_path / "out", [10])
        except ValueError as error:
            errors.append(str(error))

    compress_dataset(tree, tmp_path / "out", [10], execution=Execution(on_progress=second))
    assert errors and all("another process" in error for error in errors)


#: So many that a run is still under way when a busy machine gets round to ending it.
IMAGES = 160


@pytest.fixture(scope="module")
def long_run(compress, tmp_path_factory) -> tuple[Path, Path]:
    """A dataset that takes two seconds, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("long")
    source, straight = folder / "source", folder / "straight"
    (source / "val2017").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"{index:03}.jpg" for index in range(IMAGES)]
    for name in names:
        noise = rng.integers(0, 256, (320, 480, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "val2017" / name, quality=90)
    write_coco(source, "val2017", dict.fromkeys(names, (480, 320)))
    assert compress(source, straight, "--workers", 0) == 0
    return source, straight


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_ended_in_the_middle_goes_on_to_the_same_result(
    compress, long_run, tmp_path, capfd, number
):
    source, straight = long_run
    out = tmp_path / "out"
    process = subprocess.Popen(
        [sys.executable, TOOL, source, out, "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = out / "qf40/manifest.jsonl"
    deadline = time.monotonic() + 60
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as Ctrl-C does: all processes get it
    else:
        process.kill()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if number == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in errors
    assert journal.exists() and not (out / "qf40/manifest.json").exists()
    (out / "qf10/val2017/.000.jpg.0123abcd").write_bytes(b"half")
    capfd.readouterr()

    assert compress(source, out, "--workers", 0) == 0
    written = int(capfd.readouterr().out.split(" JPEGs written")[0].split()[-1])
    assert 0 < written <= 4 * (IMAGES - 3)
    assert content(out) == content(straight)
