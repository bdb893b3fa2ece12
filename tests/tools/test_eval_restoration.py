"""The tool itself: what it prints, writes and returns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tool_runs import load_module

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.evaluation import psnr
from jpeg_preproc.evaluation.protocols import decode_nearest_chroma

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "eval_restoration.py"


main = load_module("eval_restoration").main


@pytest.fixture
def images(tmp_path, photo) -> Path:
    folder = tmp_path / "tiny"
    folder.mkdir()
    Image.fromarray(photo[:40, :48]).save(folder / "a.png")
    Image.fromarray(photo[40:80, 60:108]).save(folder / "b.png")
    return folder


def test_a_run_from_the_shell_then_again(tmp_path, images, weights, capsys, monkeypatch):
    arguments = ["--data", str(images), "--qf", "10", "40", "--restorers", str(weights)]
    arguments += ["--out", "out"]
    environment = dict(os.environ, PYTHONPATH=str(REPOSITORY), OMP_NUM_THREADS="1")
    command = [sys.executable, str(TOOL), *arguments]
    options = {"capture_output": True, "text": True, "check": False}
    first = subprocess.run(command, cwd=tmp_path, env=environment, **options)
    assert first.returncode == 0, first.stderr
    assert "tiny · fbcnn" in first.stdout
    out = tmp_path / "out"
    names = {"per_image.jsonl", "psnr.png", "results.csv", "results.json", "results.md"}
    assert {path.name for path in out.iterdir()} == names
    assert all(f"wrote out/{name}" in first.stdout for name in names - {"per_image.jsonl"})
    document = json.loads((out / "results.json").read_text())
    assert [(row["qf"], row["restorer"], row["images"]) for row in document["rows"]] == [
        *((10, "jpeg", 2), (10, "arcnn", 2), (40, "jpeg", 2), (40, "arcnn", 2))
    ]
    assert document["meta"]["protocol"] == "fbcnn"
    assert document["meta"]["subsampling"] == "4:2:0"
    stored = (out / "per_image.jsonl").read_text()
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0
    assert capsys.readouterr().out == first.stdout
    assert (out / "per_image.jsonl").read_text() == stored


@pytest.mark.parametrize("protocol", ["fbcnn", "qgac"])
def test_values_are_those_of_the_public_restorer(tmp_path, images, weights, protocol):
    """The tool hands over pixels and tables; the public call on the file must agree."""
    arguments = ["--data", str(images), "--qf", "10", "--restorers", str(weights)]
    arguments += ["--protocol", protocol, "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    restorer = JpegRestorer(weights)
    values = []
    for path in sorted(images.iterdir()):
        clean = np.array(Image.open(path))
        data = compress_jpeg(clean, 10)
        if protocol == "fbcnn":
            restored = restorer(data).image
        else:
            restored = restorer(decode_nearest_chroma(data), qf=10).image
        values.append(psnr(clean, restored))
    rows = json.loads((tmp_path / "out" / "results.json").read_text())["rows"]
    assert rows[1]["psnr"] == pytest.approx(np.mean(values), abs=1e-9)


def test_skipped_images_are_listed_and_set_the_exit_code(tmp_path, images, capsys):
    (images / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    assert main(["--data", str(images), "--qf", "10", "--out", str(tmp_path / "out")]) == 1
    shown = capsys.readouterr().err
    assert "Skipped 1 image" in shown
    assert "broken.jpg" in shown
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["rows"][0]["images"] == 2
    assert document["meta"]["skipped"] == ["broken.jpg"]


def test_without_matplotlib_all_but_the_plot_is_written(tmp_path, images, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["--data", str(images), "--qf", "10", "--out", str(tmp_path / "out")]) == 0
    assert "jpeg_preproc[report]" in capsys.readouterr().err
    assert (tmp_path / "out" / "results.json").exists()
    assert not (tmp_path / "out" / "psnr.png").exists()


def test_an_interrupt_says_how_to_go_on(tmp_path, images, capsys, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(main.__globals__, "evaluate_restoration", interrupt)
    assert main(["--data", str(images), "--out", str(tmp_path / "out")]) == 130
    assert "the same command" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nowhere"], "nowhere is no folder"),
        (["--data", "tiny", "--qf", "101"], "101"),
        (["--data", "tiny", "--restorers", "unknown"], "unknown"),
        (["--data", "tiny", "--limit", "0"], "at least 1"),
        (["--data", "tiny", "--corruptions", "webm:30"], "did you mean 'webp'"),
        (["--data", "tiny", "--corruptions", "webp:30", "--protocol", "qgac"], "webp:30"),
    ],
)
def test_errors_are_printed_and_exit_code_2(
    tmp_path, images, arguments, message, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_help_ends_with_an_example_and_names_the_protocols(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--help"])
    shown = capsys.readouterr().out
    assert shown.rstrip().splitlines()[-1].startswith("  jpeg-preproc eval-restoration")
    assert all(name in shown for name in ("fbcnn", "qgac", "grey-y"))


def test_histories_stand_beside_jpeg(tmp_path, images, weights, capsys):
    arguments = ["--data", str(images), "--qf", "10", "20", "--restorers", str(weights)]
    arguments += ["--corruptions", "webp:30", "webp:60", "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    found = [(row["corruption"], row["qf"], row["restorer"]) for row in document["rows"]]
    assert found == [
        *(("jpeg:10", 10, "jpeg"), ("jpeg:10", 10, "arcnn")),
        *(("jpeg:20", 20, "jpeg"), ("jpeg:20", 20, "arcnn")),
        *(("webp:30", None, "corrupted"), ("webp:30", None, "arcnn")),
        *(("webp:60", None, "corrupted"), ("webp:60", None, "arcnn")),
    ]
    keys = document["meta"]["corruptions"]
    assert [key["kind"] for key in keys] == ["jpeg", "jpeg", "webp", "webp"]
    assert "webp" in keys[2]["libraries"]
    heads = ["restorer", "QF 10", "QF 20", "webp:30", "webp:60"]
    text = (tmp_path / "out" / "results.md").read_text()
    assert [cell.strip() for cell in text.splitlines()[2].strip("| ").split("|")] == heads
    arguments = ["--data", str(images), "--corruptions", "webp:30", "--out", str(tmp_path / "webp")]
    assert main(arguments) == 0
    document = json.loads((tmp_path / "webp" / "results.json").read_text())
    assert [row["corruption"] for row in document["rows"]] == ["webp:30"]


def test_what_holds_no_longer_is_measured_again_and_told(tmp_path, images, capsys):
    out = tmp_path / "out"
    arguments = ["--data", str(images), "--qf", "10", "--out", str(out)]
    assert main(arguments) == 0
    rows = json.loads((out / "results.json").read_text())["rows"]
    entries = [json.loads(line) for line in (out / "per_image.jsonl").read_text().splitlines()]
    for entry in entries:
        entry["psnr"] += 1
        entry["key"]["versions"]["pillow"] = "1.0"
    earlier = "".join(json.dumps(entry) + "\n" for entry in entries)
    (out / "per_image.jsonl").write_text(earlier)
    capsys.readouterr()
    assert main(arguments) == 0
    shown = capsys.readouterr().err
    assert "Stored values that hold no longer were measured again" in shown
    assert "2 value(s): versions.pillow was 1.0, is" in shown
    assert json.loads((out / "results.json").read_text())["rows"] == rows


def test_published_figures_are_drawn_beside_and_kept_out_of_the_rows(tmp_path, images, capsys):
    figures = tmp_path / "figures.csv"
    figures.write_text("dataset,colour,qf,method,metric,value\nTiny,rgb,10,ARCNN,psnr_db,26.43\n")
    arguments = ["--data", str(images), "--qf", "10", "--published", str(figures)]
    arguments += ["--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    plain = (tmp_path / "out" / "psnr.png").read_bytes()
    figures.write_text(figures.read_text().replace("26.43", "46.43"))
    assert main(arguments) == 0
    assert (tmp_path / "out" / "psnr.png").read_bytes() != plain
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [row["restorer"] for row in document["rows"]] == ["jpeg"]
    assert main([*arguments, "--methods", "DAGN"]) == 2
    assert "no published PSNR of DAGN on tiny" in " ".join(capsys.readouterr().err.split())


def test_each_restorer_once_more_with_less_told(tmp_path, images, small_weights):
    arguments = ["--data", str(images), "--qf", "10", "--restorers", str(small_weights)]
    arguments += [
        "--quality-source",
        "file",
        "blind",
        "--consistent",
        "--out",
        str(tmp_path / "out"),
    ]
    assert main(arguments) == 0
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    assert document["meta"]["quality_source"] == ["file", "blind"]
    assert [row["restorer"] for row in document["rows"]] == [
        *("jpeg", "small", "small+file", "small+blind")
    ]
