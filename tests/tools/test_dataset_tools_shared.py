"""One run of the dataset tools in several processes, as torchrun starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from dataset_trees import add_bad_images, content, write_coco
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[2]
TOOLS = REPOSITORY / "tools"
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}

pytest.importorskip("mmengine", reason="needs mmengine")
pytestmark = pytest.mark.slow


def start(processes: int, tool: str, *arguments: object) -> list[subprocess.Popen[str]]:
    """Start the processes of one run as torchrun would."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])
    return [
        subprocess.Popen(
            [sys.executable, TOOLS / f"{tool}.py", *map(str, arguments), "--launcher", "pytorch"],
            env={
                **ENVIRONMENT,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(processes),
                "MASTER_ADDR": "localhost",
                "MASTER_PORT": port,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(processes)
    ]


def results(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("results.*")}


def test_torchrun_with_two_processes_compresses_as_one_does(compress, coco, tmp_path, capfd):
    bad = add_bad_images(coco)
    names = [f"{index}.jpg" for index in range(1, 5)] + [*bad, "missing.jpg", "../../hostname"]
    write_coco(coco, "val2017", dict.fromkeys(names, (184, 120)))
    one, two = tmp_path / "one", tmp_path / "two"
    assert compress(coco, one, "--qf", 10, 30, "--workers", 0) == 1
    alone = capfd.readouterr()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [TOOLS / "compress_dataset.py", coco, two, "--qf", "10", "30", "--launcher=pytorch"]
    run = subprocess.run(
        [*launcher, *command], env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 1
    assert content(two) == content(one) and results(two) == results(one)
    assert run.stdout.replace(str(two), str(one)) == alone.out
    for item in json.loads((two / "qf10/manifest.json").read_bytes())["skipped"]:
        assert run.stderr.count(item["reason"]) == 1


def test_two_processes_restore_as_one_does(restore, small_weights, coco, tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ["--restorer", small_weights, "--workers", 0, "--names", "suffix"]
    assert restore(coco, one, *options) == 0
    for process in start(2, "restore_dataset", coco, two, *options):
        _, complaints = process.communicate(timeout=300)
        assert process.returncode == 0, complaints
    assert content(two) == content(one) and results(two) == results(one)


def test_an_error_is_told_once(coco):
    (coco / "out").mkdir()
    first, second = start(2, "compress_dataset", coco, coco / "out", "--qf", 10)
    _, complaints = first.communicate(timeout=300)
    assert first.returncode == 2 and "lies in the dataset" in complaints
    # A launcher would end the first process if the second one failed before it has said why.
    assert second.communicate(timeout=300) == ("", "")
    assert second.returncode == 0
    assert list((coco / "out").iterdir()) == []


@pytest.fixture(scope="module")
def long_run(compress, tmp_path_factory) -> tuple[Path, Path]:
    """A dataset that takes seconds, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("long")
    source, straight = folder / "source", folder / "straight"
    (source / "val2017").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"{index:03}.jpg" for index in range(160)]
    for name in names:
        noise = rng.integers(0, 256, (320, 480, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "val2017" / name, quality=90)
    write_coco(source, "val2017", dict.fromkeys(names, (480, 320)))
    assert compress(source, straight, "--workers", 0) == 0
    return source, straight


def test_processes_that_lose_another_one_end_with_one_error(long_run, tmp_path):
    first, second = start(2, "compress_dataset", long_run[0], tmp_path / "out", "--workers", 0)
    wait_until(lambda: (tmp_path / "out").exists(), first)
    second.kill()
    second.communicate()
    _, complaints = first.communicate(timeout=300)
    assert first.returncode == 2
    assert "error: Process 0 of 2 has lost the others" in complaints
    assert "Traceback" not in complaints


def test_a_killed_run_goes_on_with_another_number_of_processes(compress, long_run, tmp_path, capfd):
    source, straight = long_run
    out = tmp_path / "out"
    recorded = 0
    for number in (2, 3):
        processes = start(number, "compress_dataset", source, out, "--workers", 0)
        journals = [out / f"qf40/manifest.{rank}.jsonl" for rank in range(1, number)]
        wait_until(lambda paths=journals: all(map(has_entries, paths)), processes[0])
        assert compress(source, out, "--workers", 0) == 2
        assert "is being written by another process" in capfd.readouterr().err
        for process in processes:
            process.kill()
        for process in processes:
            process.communicate()
        lines = [path.read_bytes().count(b"\n") - 1 for path in (out / "qf40").glob("*.jsonl")]
        assert sum(lines) > recorded
        recorded = sum(lines)
    assert compress(source, out, "--workers", 0) == 0
    kept = int(capfd.readouterr().out.split(" found done")[0].split()[-1])
    assert recorded <= kept < 4 * 160
    assert content(out) == content(straight)


def has_entries(journal: Path) -> bool:
    return journal.exists() and journal.read_bytes().count(b"\n") > 3


def wait_until(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
