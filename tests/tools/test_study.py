"""The tool that measures studies, on a toy detector under onnxruntime."""

from __future__ import annotations

import csv
import errno
import json
import re
import sys
from pathlib import Path

import pytest
from tool_runs import load_module

pytest.importorskip("mmengine", reason="needs mmengine, which reads configs")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "evaluation"))
import onnx_helpers  # noqa: E402

from jpeg_preproc.evaluation.onnx import OnnxTask  # noqa: E402
from jpeg_preproc.restorers.engine import JpegRestorer  # noqa: E402


@pytest.fixture(scope="module")
def study_tool():
    return load_module("study")


@pytest.fixture
def study(tmp_path, weights):
    """A study of a toy detector on six images."""
    coco = onnx_helpers.toysets.write_coco(tmp_path / "coco")
    model = onnx_helpers.bright_box(tmp_path / "toy.onnx")
    config = onnx_helpers.detector_config(tmp_path, coco)
    path = tmp_path / "toys.py"
    path.write_text(
        "title = 'Toys'\n"
        f"datasets = dict(boxes=dict(data_root={str(coco)!r}))\n"
        f"models = dict(toy=dict(config={config.name!r}, checkpoint={str(model)!r},\n"
        "    datasets=['boxes']))\n"
        "corruptions = ['jpeg:2', 'jpeg:50']\n"
        f"restorers = [{str(weights)!r}]\n"
        "compare = dict(robustness=True, baseline='arcnn')\n"
    )
    return path


def run(tool, tmp_path, *arguments):
    options = ("--out", tmp_path / "out", "--device", "cpu")
    return tool.main(["--no-report", *map(str, arguments), *map(str, options)])


def test_a_study_is_written_in_every_form_and_goes_on(study_tool, tmp_path, study, capsys):
    assert run(study_tool, tmp_path, study) == 0
    folder = tmp_path / "out" / "toys"
    document = json.loads((folder / "results.json").read_text())
    assert {(row["dataset"], row["model"]) for row in document["rows"]} == {("boxes", "toy")}
    metrics = ["mAP", "F1 against the original"]
    assert [row["metric"] for row in document["rows"]] == [
        name for name in metrics for _ in "12345"
    ]
    assert (
        document["meta"]["title"] == "Toys" and "jpeg-preproc study " in document["meta"]["command"]
    )
    with (folder / "comparisons.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(document["comparisons"]) == 2 * (3 + 1 + 4)
    assert list(dict.fromkeys(row["metric"] for row in rows)) == metrics
    assert rows[0].keys() == document["comparisons"][0].keys()
    assert {row["comparison"] for row in rows} == {"difference", "robustness"}
    by_name = {
        (row["restorer"], row["corruption"]): row["value"]
        for row in document["rows"]
        if row["metric"] == "mAP"
    }
    gained = by_name["arcnn", "jpeg:2"] - by_name["jpeg", "jpeg:2"]
    assert float(rows[0]["value"]) == pytest.approx(gained)
    text = (folder / "results.md").read_text()
    assert "points gained by restoring" in text and "under corruption" in text
    assert "points gained by restoring" in capsys.readouterr().out

    assert run(study_tool, tmp_path, study) == 0
    assert "5 condition(s) were there" in capsys.readouterr().out
    again = json.loads((folder / "results.json").read_text())
    assert again["rows"] == document["rows"] and again["comparisons"] == document["comparisons"]


def test_a_page_is_written_beside_it_and_a_stored_study_has_the_same(
    study_tool, tmp_path, study, capsys
):
    pytest.importorskip("jinja2", reason="needs jinja2: pip install '.[report]'")
    folder = tmp_path / "out" / "toys"
    assert run(study_tool, tmp_path, study) == 0
    assert not (folder / "report.html").exists()
    assert "report" not in capsys.readouterr().out

    def read():
        assert run(study_tool, tmp_path, study, "--report") == 0
        assert f"wrote {folder / 'report.html'}" in capsys.readouterr().out
        html = (folder / "report.html").read_text()
        block = re.search(r'<script type="application/json" id="data">(.*?)</script>', html)
        return html, json.loads(block[1])

    html, data = read()
    assert "<h1>Toys</h1>" in html and "JPEG at QF 2 costs toy" in html
    assert len(data["charts"]) == 2 and data["charts"][0]["axes"][0]["name"].startswith("JPEG")
    _, found = read()
    assert found == data
    text = (folder / "report.md").read_text()
    assert text.startswith("# Toys") and "](accuracy.svg)" in text and "results.csv" in text
    assert (folder / "accuracy.pdf").read_bytes().startswith(b"%PDF")
    with (folder / "parts.csv").open() as stream:
        parts = list(csv.DictReader(stream))
    # The Markdown has the same figures; the classes and sizes are those of the data set.
    assert "parts.csv" in text and {row["by"] for row in parts} == {"class", "size"}
    for row in parts:
        assert f"## {row['table']}" in text and row["part"] in text and row["column"] in text


def test_without_jinja2_a_study_is_as_good_but_for_the_page(
    study_tool, tmp_path, study, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run(study_tool, tmp_path, study, "--report") == 0
    assert "no page: a page needs jinja2" in capsys.readouterr().err
    assert (tmp_path / "out" / "toys" / "results.json").is_file()
    assert not (tmp_path / "out" / "toys" / "report.html").exists()


def test_a_dry_run_lists_the_cells(study_tool, tmp_path, study, capsys):
    assert run(study_tool, tmp_path, study, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "5 cells" in printed and "5 to measure" in printed and "arcnn at QF 50" in printed
    assert not (tmp_path / "out").exists()
    assert run(study_tool, tmp_path, study) == 0
    capsys.readouterr()
    assert run(study_tool, tmp_path, study, "--dry-run") == 0
    printed = capsys.readouterr().out
    assert "0 to measure" in printed and printed.count("stored") == 5


def test_options_reach_the_study_and_the_run(study_tool, tmp_path, study):
    options = ("--limit", 2, "--cfg-options", "corruptions=webp:30,jpeg:7")
    assert run(study_tool, tmp_path, study, *options) == 0
    rows = json.loads((tmp_path / "out" / "toys" / "results.json").read_text())["rows"]
    assert {row["images"] for row in rows} == {2}
    assert {row["corruption"] for row in rows} == {None, "webp:30", "jpeg:7"}


@pytest.mark.parametrize(
    "option,words",
    [
        ("models.toy.checkpoint=absent.onnx", "absent.onnx is not there"),
        ("datasets.boxes.data_root=absent", "absent is not there"),
        ("models.toy.datasets=voc,boxes", "'voc', which is unknown"),
        ("corruptions=jpg:2,webp:30", "did you mean 'jpeg'"),
        ("corruptions=jpeg:200,webp:30", "whole number from 1 to 100"),
        ("restorers=basic,base", "no restorer weights 'basic'"),
        ("compare.baseline=bass", "compare.baseline is 'bass'"),
    ],
)
def test_what_is_wrong_is_told_before_anything_is_measured(
    study_tool, tmp_path, study, capsys, option, words
):
    assert run(study_tool, tmp_path, study, "--cfg-options", option) == 2
    error = capsys.readouterr().err
    assert error.count("error: ") == 1 and words in error
    assert not (tmp_path / "out" / "conditions").exists()


def test_a_study_that_fails_to_import_is_one_error(study_tool, tmp_path, study, capsys):
    study.write_text("custom_imports = dict(imports=['not_there'])\n" + study.read_text())
    assert run(study_tool, tmp_path, study) == 2
    assert "not_there" in capsys.readouterr().err


def test_a_disk_that_fills_loses_nothing_that_is_done(
    study_tool, tmp_path, study, capsys, monkeypatch
):
    measure, done = OnnxTask.measure, []

    def full(task, *arguments):
        if len(done) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        done.append(arguments)
        return measure(task, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(OnnxTask, "measure", full)
        assert run(study_tool, tmp_path, study) == 2
    assert "No space left on device; what is finished is kept in" in capsys.readouterr().err
    assert run(study_tool, tmp_path, study) == 0
    assert "3 condition(s) were there" in capsys.readouterr().out


def test_without_a_study_it_is_the_demo(study_tool):
    args = study_tool.parse_args([])
    study = study_tool.read_study(args.study)
    assert study.name == "demo" and study.jobs is None


@pytest.mark.parametrize("arguments", [["--dry-run", "--launcher", "pytorch"], ["--limit", "0"]])
def test_wrong_usage_is_refused(study_tool, tmp_path, arguments):
    with pytest.raises(SystemExit) as stop:
        run(study_tool, tmp_path, *arguments)
    assert stop.value.code == 2


def test_help_ends_with_an_example(study_tool, capsys):
    with pytest.raises(SystemExit):
        study_tool.parse_args(["--help"])
    assert "jpeg-preproc study configs/studies" in capsys.readouterr().out[-300:]


def test_images_are_restored_once_for_all_models(study_tool, tmp_path, study, monkeypatch, capsys):
    assert run(study_tool, tmp_path, study) == 0
    expected = json.loads((tmp_path / "out" / "toys" / "results.json").read_text())["rows"]
    text = study.read_text().replace("models = dict(toy=", "models = dict(second=")
    (tmp_path / "second.py").write_text(text.replace("'boxes']", "'boxes'], cfg_options=SCORE"))
    score = "SCORE = {'model.score_threshold': 0.02}\n"
    (tmp_path / "second.py").write_text(score + (tmp_path / "second.py").read_text())
    kept = tmp_path / "kept"
    restore, calls = JpegRestorer._restore, []

    def counted(restorer, images, *others):
        calls.append(len(images))
        return restore(restorer, images, *others)

    monkeypatch.setattr(JpegRestorer, "_restore", counted)
    options = ("--out", kept, "--device", "cpu", "--keep-images", "--no-report")
    assert study_tool.main([*map(str, (study, *options))]) == 0
    assert len(calls) == 12  # six images at two qualities
    rows = json.loads((kept / "toys" / "results.json").read_text())["rows"]
    assert [row["value"] for row in rows] == [row["value"] for row in expected]
    (folder,) = (kept / "images").iterdir()
    assert folder.name.startswith("arcnn-") and len(list(folder.iterdir())) == 12
    capsys.readouterr()
    assert study_tool.main([*map(str, (tmp_path / "second.py", *options))]) == 0
    assert "were there" not in capsys.readouterr().out  # it is another model, measured anew
    assert len(calls) == 12
    rows = json.loads((kept / "second" / "results.json").read_text())["rows"]
    assert [row["value"] for row in rows] == [row["value"] for row in expected]


def test_what_is_restored_in_the_preprocessor_is_not_kept(study_tool, tmp_path, study, capsys):
    assert run(study_tool, tmp_path, study, "--keep-images", "--where", "preprocessor") == 2
    assert "leave --where out" in capsys.readouterr().err
