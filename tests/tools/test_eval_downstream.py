from __future__ import annotations

import csv
import sys
from pathlib import Path

import pytest
from tool_runs import own_rows, results, run

pytest.importorskip("mmdet", reason="needs mmdet, which tools/bootstrap.py installs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "openmmlab"))
import toysets  # noqa: E402  (the toy models are imported by the configs by this path)

from jpeg_preproc.demo import WHAT_IT_SHOWS  # noqa: E402
from jpeg_preproc.demo.files import demo_files  # noqa: E402
from jpeg_preproc.openmmlab.evaluation.task import OpenMMLabTask  # noqa: E402


@pytest.fixture
def model(tmp_path):
    """CONFIG CHECKPOINT of a toy detector on six images."""
    coco = toysets.write_coco(tmp_path / "coco")
    config = toysets.detector_config(tmp_path, coco)
    return [str(config), str(toysets.checkpoint(tmp_path))]


def test_a_whole_run_writes_every_form_and_resumes(tool, tmp_path, model, weights, capsys):
    arguments = (*model, "--qf", 2, 50, "--restorers", weights)
    assert run(tool, tmp_path, *arguments) == 0
    rows = own_rows(tmp_path)
    assert [(row["restorer"], row["qf"]) for row in rows] == [
        ("original", None),
        ("jpeg", 2),
        ("jpeg", 50),
        ("arcnn", 2),
        ("arcnn", 50),
    ]
    assert {(row["dataset"], row["model"], row["metric"]) for row in rows} == {
        ("coco", "toy_detector", "mAP")
    }
    values = {(row["restorer"], row["qf"]): row for row in rows}
    original, jpeg, restored = (
        values[key]["value"] for key in (("original", None), ("jpeg", 2), ("arcnn", 2))
    )
    assert values["arcnn", 2]["recovery"] == pytest.approx((restored - jpeg) / (original - jpeg))
    meta = results(tmp_path)["meta"]
    assert {"torch", "mmcv", "mmdet", "pillow", "jpeg"} <= meta["versions"].keys()
    assert meta["seed"] == 0 and meta["skipped"] == []
    settings = [corruption["settings"] for corruption in meta["corruptions"]]
    assert settings == [{"qf": qf, "subsampling": "4:2:0"} for qf in (2, 50)]
    with (tmp_path / "out" / "results.csv").open() as stream:
        written = list(csv.DictReader(stream))
    assert [row["metric"] for row in written] == ["mAP"] * 5 + ["F1 against the original"] * 5
    assert "toy_detector" in (tmp_path / "out" / "results.md").read_text()
    assert (tmp_path / "out" / "accuracy.png").stat().st_size > 1000
    finer = {(row["restorer"], row["qf"]): row for row in results(tmp_path)["rows"][5:]}
    assert finer["original", None]["value"] == 100.0
    for figures in (values, finer):
        jpeg, restored = figures["jpeg", 2], figures["arcnn", 2]
        assert restored["difference"] == pytest.approx(restored["value"] - jpeg["value"])
        assert restored["difference_low"] <= restored["difference"] <= restored["difference_high"]
        assert 0 <= restored["difference_positive"] <= 1 and jpeg["difference"] is None
    printed = capsys.readouterr().out
    assert "QF 2" in printed and "results.json" in printed
    assert printed.index(" · mAP · ") < printed.index(" · F1 against the original · ")

    assert run(tool, tmp_path, *arguments) == 0
    assert "5 condition(s) were there" in capsys.readouterr().out
    assert own_rows(tmp_path) == rows


def test_other_corruptions_beside_qualities_or_alone(tool, tmp_path, model, weights, capsys):
    spellings = ("webp:20", "resized_jpeg:30,0.5", "cropped_jpeg:2,offset=3")
    arguments = (*model, "--restorers", weights, "--corruptions", *spellings)
    assert run(tool, tmp_path, *arguments) == 0
    rows = own_rows(tmp_path)
    assert [(row["restorer"], row["corruption"], row["qf"]) for row in rows] == [
        ("original", None, None),
        *(("corrupted", spelling, None) for spelling in spellings),
        *(("arcnn", spelling, None) for spelling in spellings),
    ]
    assert all(row["bytes_per_pixel"] > 0 for row in rows[1:])
    assert [row["strength"] for row in rows[1:4]] == [20.0, 30.0, 2.0]
    assert "webp:20" in capsys.readouterr().out
    assert run(tool, tmp_path, *arguments, "--qf", 50) == 0
    rows = own_rows(tmp_path)
    assert {row["corruption"] for row in rows} == {None, "jpeg:50", *spellings}
    assert "7 condition(s) were there" in capsys.readouterr().out


def test_what_has_changed_since_is_told(tool, tmp_path, model, capsys):
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 0
    image = tmp_path / "coco" / "val" / "003.png"
    image.write_bytes((tmp_path / "coco" / "val" / "002.png").read_bytes())
    capsys.readouterr()
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 0
    printed = capsys.readouterr()
    assert "were there" not in printed.out
    assert "Measured 2 condition(s) again" in printed.err and "task.data was" in printed.err


def test_a_data_set_may_move(tool, tmp_path, model, capsys):
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 0
    moved = (tmp_path / "coco").rename(tmp_path / "elsewhere")
    capsys.readouterr()
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers", "--data-root", moved) == 0
    printed = capsys.readouterr()
    assert "2 condition(s) were there" in printed.out and "again" not in printed.err


def test_the_breakdown_is_printed_kept_and_compared(tool, tmp_path, model, capsys):
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers", "--alone") == 0
    printed = capsys.readouterr().out
    assert "Where the time went" in printed and "(the run: " in printed
    meta = results(tmp_path)["meta"]
    stages = ["prepare", "check", "decode", "compress", "model", "metric", "rest", "total"]
    assert [row["stage"] for row in meta["breakdown"]] == stages
    total = meta["breakdown"].pop()
    parts = sum(row["wall_s"] for row in meta["breakdown"])
    assert parts == pytest.approx(total["wall_s"], abs=0.01)
    assert list(meta["alone"]) == ["decode", "compress", "model"]


def test_restoring_in_the_data_preprocessor_gives_the_same(tool, tmp_path, model, weights, capsys):
    arguments = (*model, "--qf", 2, "--restorers", weights)
    assert run(tool, tmp_path, *arguments) == 0
    expected = [(row["restorer"], row["value"]) for row in own_rows(tmp_path)]
    assert run(tool, tmp_path, *arguments, "--where", "preprocessor") == 0
    assert [(row["restorer"], row["value"]) for row in own_rows(tmp_path)] == expected
    assert results(tmp_path)["meta"]["where"] == "preprocessor"
    assert "2 condition(s) were there" in capsys.readouterr().out


def test_more_conditions_reuse_those_there(tool, tmp_path, model, capsys):
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 0
    assert run(tool, tmp_path, *model, "--qf", 50, 10, "--restorers") == 0
    assert "2 condition(s) were there" in capsys.readouterr().out
    assert len(own_rows(tmp_path)) == 3


def test_bad_images_are_listed_and_the_exit_code_says_so(tool, tmp_path, model, capsys):
    (tmp_path / "coco" / "val" / "001.png").unlink()
    (tmp_path / "coco" / "val" / "004.png").write_text("no image")
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers") == 1
    notes = capsys.readouterr().err
    assert "Left out 2 image(s)" in notes and "001.png" in notes and "004.png" in notes
    document = results(tmp_path)
    assert {row["images"] for row in document["rows"]} == {4}
    assert document["rows"][0]["value"] == pytest.approx(100.0)
    assert len(document["meta"]["skipped"]) == 2


def test_limit_and_options_reach_the_run(tool, tmp_path, model):
    options = ("--cfg-options", "test_dataloader.dataset.pipeline.1.scale_factor=3.0")
    assert run(tool, tmp_path, *model, "--qf", 50, "--restorers", "--limit", 2, *options) == 0
    assert {row["images"] for row in results(tmp_path)["rows"]} == {2}


@pytest.mark.parametrize(
    "arguments,restorers",
    [
        ([], ["small-task"]),
        (["my.py", "my.pth"], ["small-task"]),
        (["my.py", "my.pth", "--restorers"], []),
    ],
)
def test_restorers_that_nobody_named(tool, arguments, restorers):
    assert tool.parse_args(arguments).restorers == restorers


@pytest.mark.filterwarnings("ignore")
def test_without_a_config_it_is_the_demo(tool, tmp_path, capsys):
    pytest.importorskip("mmseg")
    assert run(tool, tmp_path, "--qf", 5, "--restorers", "--limit", 3) == 0
    values = {
        (row["model"], row["metric"], row["restorer"]): row["value"]
        for row in results(tmp_path)["rows"]
    }
    metrics = [
        *(("yolox_nano", "mAP"), ("yolox_nano", "F1 against the original")),
        *(("deeplabv3_mnv2", "mIoU"), ("deeplabv3_mnv2", "IoU per image")),
    ]
    assert {key[:2] for key in values} == set(metrics)
    for metric in metrics:
        original, jpeg = (values[(*metric, restorer)] for restorer in ("original", "jpeg"))
        assert 0 < jpeg != original > 0  # three images do not settle which is more
    assert values["yolox_nano", "F1 against the original", "jpeg"] < 90
    assert WHAT_IT_SHOWS in " ".join(capsys.readouterr().out.split())


def test_a_changed_file_of_the_demo_is_one_error_before_anything(
    tool, tmp_path, monkeypatch, capsys
):
    rows = [dict(row, sha256="0" * 64) for row in demo_files()]
    monkeypatch.setattr("jpeg_preproc.demo.files.demo_files", lambda *_: rows)
    assert run(tool, tmp_path) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert f"{Path(rows[0]['file']).name}: SHA-256 is" in error and "Traceback" not in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments,words",
    [
        (["--restorers", "no_such_restorer"], "no_such_restorer"),
        (["--qf", "0"], "0"),
        (["--qf", "101"], "101"),
        (["--corruptions", "wepb:30"], "webp"),
        (["--corruptions", "webp:300"], "300"),
        (["--data-root", "no/such/folder"], "val.json"),
    ],
)
def test_bad_arguments_are_refused_before_anything_runs(
    tool, tmp_path, model, capsys, arguments, words
):
    assert run(tool, tmp_path, *model, *arguments) == 2
    error = capsys.readouterr().err
    assert "error: " in error and words in error
    assert not (tmp_path / "out" / "conditions").exists()


def test_a_missing_config_or_checkpoint_is_named(tool, tmp_path, model, capsys):
    assert run(tool, tmp_path, "absent.py", model[1]) == 2
    assert "absent.py" in capsys.readouterr().err
    assert run(tool, tmp_path, model[0], "absent.pth") == 2
    assert "absent.pth" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["only_a_config.py"],
        ["--data-root", "x"],
        ["--limit", "0"],
        ["--num-workers", "-1"],
        ["--alone", "--launcher", "pytorch"],
        ["--where", "gpu"],
    ],
)
def test_wrong_usage_is_refused(tool, tmp_path, arguments):
    with pytest.raises(SystemExit) as stop:
        run(tool, tmp_path, *arguments)
    assert stop.value.code == 2


def test_a_stopped_run_says_how_to_go_on(tool, tmp_path, model, capsys, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(OpenMMLabTask, "measure", stop)
    assert run(tool, tmp_path, *model, "--restorers") == 130
    assert "goes on from here" in capsys.readouterr().err


def test_help_ends_with_an_example(tool, capsys):
    with pytest.raises(SystemExit):
        tool.parse_args(["--help"])
    assert "jpeg-preproc eval-downstream configs/downstream" in capsys.readouterr().out[-400:]
