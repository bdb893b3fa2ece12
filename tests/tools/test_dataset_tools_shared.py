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
# Commands one after another in one process, since starting torch takes longer than all of them.
# Each has a port of its own: a process must not meet the one of the command before.
SCRIPT = """
import json, os, runpy, sys
for port, *sys.argv in json.load(sys.stdin):
    os.environ["MASTER_PORT"] = str(port)
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        print("exit code", end.code, file=sys.stderr)
"""

pytest.importorskip("mmengine", reason="needs mmengine")
pytestmark = pytest.mark.slow


def start_two(*commands: list[object]) -> list[subprocess.Popen[str]]:
    """Start two processes that run tools with arguments, with what torchrun would tell them."""
    lines = [
        [free_port(), str(TOOLS / f"{tool}.py"), *map(str, arguments), "--launcher=pytorch"]
        for tool, *arguments in commands
    ]
    started = []
    for rank in ("0", "1"):
        launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env={**ENVIRONMENT, **launched},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(json.dumps(lines))
        process.stdin.close()
        process.stdin = None
        started.append(process)
    return started


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


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


def test_two_processes_restore_as_one_does_and_tell_an_error_once(
    restore, small_weights, coco, tmp_path
):
    one, two = tmp_path / "one", tmp_path / "two"
    options = ["--restorer", small_weights, "--workers", 0, "--names", "suffix"]
    assert restore(coco, one, *options) == 0
    first, second = start_two(
        ["compress_dataset", coco, coco / "out"], ["restore_dataset", coco, two, *options]
    )
    told, _, ended = first.communicate(timeout=300)[1].partition("exit code 2\n")
    # A launcher would end the first process if the second one failed before it has said why.
    assert second.communicate(timeout=300) == ("", "exit code 0\nexit code 0\n")
    assert told.splitlines()[-1].startswith("error: ") and "lies in the dataset" in told
    assert ended.endswith("exit code 0\n")
    assert not (coco / "out").exists()
    assert content(two) == content(one) and results(two) == results(one)


def test_a_run_that_lost_a_process_ends_and_another_number_of_them_goes_on(
    compress, tmp_path, capfd
):
    source, straight, out = (tmp_path / name for name in ("source", "straight", "out"))
    (source / "val2017").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"{index:03}.jpg" for index in range(100)]
    for name in names:
        noise = rng.integers(0, 256, (320, 480, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "val2017" / name, quality=90)
    write_coco(source, "val2017", dict.fromkeys(names, (480, 320)))
    assert compress(source, straight, "--workers", 0) == 0

    first, second = start_two(["compress_dataset", source, out, "--workers", 0])
    journal = out / "qf40/manifest.1.jsonl"
    deadline = time.monotonic() + 240
    while not journal.exists() or journal.read_bytes().count(b"\n") < 4:
        assert second.poll() is None and time.monotonic() < deadline
        time.sleep(0.002)
    assert compress(source, out, "--workers", 0) == 2
    assert "is being written by another process" in capfd.readouterr().err
    second.kill()
    second.communicate()
    recorded = journal.read_bytes().count(b"\n") - 2  # beside the settings, and a torn one
    _, complaints = first.communicate(timeout=300)
    assert "error: Process 0 of 2 has lost the others" in complaints
    assert complaints.endswith("exit code 2\n") and "Traceback" not in complaints

    assert compress(source, out, "--workers", 0) == 0
    kept = int(capfd.readouterr().out.split(" found done")[0].split()[-1])
    assert 4 * (50 + recorded) <= kept < 4 * 100
    assert content(out) == content(straight)
