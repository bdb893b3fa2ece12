"""One evaluation in several processes, as torchrun starts them, against the same in one."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import sys
from pathlib import Path

import pytest
import torch
from tool_runs import load_tool

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")
pytest.importorskip("mmseg", reason="needs mmseg")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
import onnx_helpers  # noqa: E402

from jpeg_preproc.errors import PipelineError  # noqa: E402
from jpeg_preproc.evaluation.onnx import OnnxTask  # noqa: E402
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask  # noqa: E402

toysets = onnx_helpers.toysets


@pytest.fixture(scope="module")
def evaluate():
    return load_tool("eval_downstream")


def models(folder: Path) -> dict[str, list[str]]:
    """CONFIG CHECKPOINT of a toy of each kind; each set has six images, one of them damaged."""
    coco, voc = toysets.write_coco(folder / "coco"), toysets.write_voc(folder / "voc")
    (coco / "val" / "001.png").write_text("no image")
    onnx = onnx_helpers.bright_box(folder / "toy.onnx")
    return {
        "detector": [toysets.detector_config(folder, coco), toysets.checkpoint(folder)],
        "segmenter": [toysets.segmenter_config(folder, voc), toysets.checkpoint(folder)],
        "onnx": [onnx_helpers.detector_config(folder, coco), onnx],
    }


def start(size: int, evaluate, folder: Path, *arguments, also=None) -> list[tuple[int, str, str]]:
    """Run the tool in ``size`` processes; return the exit code and what each has printed.

    They are forked from this one, which has imported OpenMMLab. ``also`` is called in each with its
    rank, and returns arguments for it alone.
    """
    with socket.socket() as free:
        free.bind(("", 0))
        port = str(free.getsockname()[1])

    def work(rank: int) -> None:
        ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size}
        os.environ.update({name: str(value) for name, value in ranks.items()})
        os.environ.update(MASTER_ADDR="localhost", MASTER_PORT=port)
        torch.set_num_threads(1)
        with (
            (folder / f"{rank}.out").open("w") as out,
            (folder / f"{rank}.err").open("w") as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            own = (also and also(rank)) or arguments
            code = evaluate(*own, "--launcher", "pytorch", "--device", "cpu")
        sys.exit(code)

    context = multiprocessing.get_context("fork")
    started = [context.Process(target=work, args=(rank,)) for rank in range(size)]
    for process in started:
        process.start()
    for process in started:
        process.join(240)
    return [
        (
            process.exitcode,
            (folder / f"{rank}.out").read_text(),
            (folder / f"{rank}.err").read_text(),
        )
        for rank, process in enumerate(started)
    ]


def content(out: Path) -> dict[str, object]:
    """All that a run has written that is no time, and does not say where or how it was started."""
    document = json.loads((out / "results.json").read_text())
    rows = [{key: row[key] for key in row if key != "seconds"} for row in document["rows"]]
    changing = ("command", "started", "seconds", "breakdown")
    found: dict[str, object] = {
        "rows": rows,
        "meta": {key: value for key, value in document["meta"].items() if key not in changing},
    }
    for path in sorted((out / "conditions").iterdir()):
        stored = json.loads(path.read_text())
        del stored["result"]["seconds"], stored["result"]["stages"]
        found[path.name] = stored
    for path in sorted([*out.glob("predictions/*"), *out.glob("annotations/*")]):
        found[path.name] = path.read_bytes()
    return found


def tables(printed: str) -> str:
    """The tables of results, without that of times and what follows."""
    return printed.split("Where the time went")[0]


@pytest.mark.parametrize("kind", ["detector", "segmenter", "onnx"])
def test_two_processes_give_what_one_does(evaluate, tmp_path, small_weights, kind, capsys):
    model = models(tmp_path)[kind]
    options = (*model, "--qf", 2, "--restorers", small_weights)
    one, two = tmp_path / "one", tmp_path / "two"
    skipped = kind != "segmenter"
    assert evaluate(*options, "--device", "cpu", "--out", one) == skipped
    alone = capsys.readouterr()
    (code, printed, notes), others = start(2, evaluate, tmp_path, *options, "--out", two)
    assert code == skipped, notes
    assert others == (0, "", "")
    assert content(two) == content(one)
    assert tables(printed) == tables(alone.out) and "toy" in tables(printed)
    assert notes.count("001.png cannot be") == alone.err.count("001.png cannot be") <= 1
    breakdown = json.loads((two / "results.json").read_text())["meta"]["breakdown"]
    assert {"decode", "compress", "restore", "model", "metric"} <= {r["stage"] for r in breakdown}


def test_a_run_goes_on_with_another_number_of_processes(evaluate, tmp_path, capsys):
    model = models(tmp_path)["segmenter"]
    straight, out = tmp_path / "straight", tmp_path / "out"
    options = (*model, "--restorers", "--limit", 5)
    assert evaluate(*options, "--qf", 2, 50, 90, "--device", "cpu", "--out", straight) == 0
    for size, qfs, there in ((2, [2], 0), (3, [2, 50], 2), (1, [2, 50, 90], 3)):
        if size > 1:
            (code, printed, notes), *_ = start(
                size, evaluate, tmp_path, *options, "--qf", *qfs, "--out", out
            )
        else:
            capsys.readouterr()
            code = evaluate(*options, "--qf", *qfs, "--device", "cpu", "--out", out)
            printed, notes = capsys.readouterr()
        assert code == 0, notes
        assert (f"{there} condition(s) were there" in printed) == bool(there)
    assert content(out) == content(straight)


def test_an_error_in_one_process_is_told_once_and_ends_all(evaluate, tmp_path):
    config, checkpoint = models(tmp_path)["segmenter"]
    options = ("--restorers", "--qf", 2, "--out", tmp_path / "out")

    def without_weights(rank):
        return (config, tmp_path / "absent.pth" if rank else checkpoint, *options)

    first, second = start(2, evaluate, tmp_path, also=without_weights)
    assert first[0] == 2 and first[2].count("error: ") == 1 and "absent.pth" in first[2]
    assert second == (0, "", "")
    assert not (tmp_path / "out" / "conditions").exists()


def test_a_condition_that_fails_in_one_process_is_left_out_in_all(evaluate, tmp_path):
    model = models(tmp_path)["segmenter"]
    options = (*model, "--restorers", "--qf", 2, "--out", tmp_path / "out")

    def fail(rank):
        if rank == 1:
            test = OpenMMLabTask._test

            def once(task, *arguments):
                OpenMMLabTask._test = test
                raise PipelineError("no room on this machine")

            OpenMMLabTask._test = once
        return options

    first, second = start(2, evaluate, tmp_path, also=fail)
    assert first[0] == 1 and "no room on this machine" in first[2]
    assert second == (0, "", "")
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert [row["restorer"] for row in rows] == ["jpeg", "jpeg"]
    assert [row["metric"] for row in rows] == ["mIoU", "IoU per image"]


def test_a_process_that_dies_is_missed(evaluate, tmp_path):
    model = models(tmp_path)["onnx"]
    options = (*model, "--restorers", "--qf", 2, "--out", tmp_path / "out")

    def die(rank):
        if rank == 1:
            OnnxTask.measure = lambda *_: os._exit(7)
        return options

    first, second = start(2, evaluate, tmp_path, also=die)
    assert second[0] == 7
    assert first[0] == 2 and "Process 0 of 2 has lost the others" in first[2]
    assert first[2].count("error: ") == 1 and "Traceback" not in first[2]
