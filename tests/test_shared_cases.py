"""Every case of ../shared/cases: inputs and scripts on which something broke, and what is right.

The checkpoint that runs code is in test_checkpoint.py and tools/test_untrusted_checkpoints.py.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jpeg_preproc import JpegRestorer
from jpeg_preproc.cli import main
from jpeg_preproc.errors import ImageReadError, WeightsError
from jpeg_preproc.jpeg import load_image

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT.parent / "shared" / "cases"
WEIGHTS = ROOT / "jpeg_preproc" / "restorers" / "weights"

pytestmark = pytest.mark.skipif(
    not CASES.is_dir(), reason="needs ../shared/cases, which is absent here"
)


@pytest.fixture
def openmmlab():
    for name in ("mmcv", "mmdet", "mmseg"):
        pytest.importorskip(name, reason=f"needs {name}, which tools/bootstrap.py installs")


@pytest.fixture
def script(capfd, monkeypatch):
    """Run a case's script with arguments, in this process; return what it printed."""

    def run(case: str, *arguments: object) -> str:
        path = CASES / "field" / case / "run.py"
        monkeypatch.setattr(sys, "argv", [str(path), *map(str, arguments)])
        runpy.run_path(str(path), run_name="__main__")
        return capfd.readouterr().out

    return run


def restored(path: Path, out: Path, *options: str) -> int:
    return main(["restore", "--restorer", "nano", *options, str(path), str(out)])


def test_a_plain_bitmap_is_restored(tmp_path):
    assert restored(CASES / "hostile/p1_plain.ppm", tmp_path / "out") == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


def test_postscript_is_never_opened(monkeypatch):
    def refuse(*arguments: object, **settings: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with pytest.raises(ImageReadError, match="is no image that is opened here"):
        load_image(CASES / "hostile/eps_named.jpg")


def test_a_claim_of_many_pixels_is_one_line(tmp_path, capsys):
    started = time.process_time()
    assert restored(CASES / "hostile/jpeg_13000x13000.jpg", tmp_path / "out") == 1
    assert time.process_time() - started < 5
    errors = capsys.readouterr().err
    assert "13000x13000 pixels" in errors and "--max-pixels" in errors
    assert "Traceback" not in errors


def test_very_many_scans_cost_nothing(capsys):
    path = str(CASES / "hostile/scanbomb.jpg")
    started = time.process_time()
    assert main(["info", path]) == 0  # from the header alone
    assert "1001 scans" in capsys.readouterr().out
    assert main(["info", "--history", path]) in (0, 1)
    assert time.process_time() - started < 5  # torch is imported in it


@pytest.mark.parametrize("name", ["shanull", "unknown_setting"])
def test_a_wrong_manifest_names_the_entry(tmp_path, name):
    manifest = json.loads((CASES / f"hostile/{name}.json").read_text())
    if manifest["sha256"] is not None:  # it is of an earlier generation
        manifest["sha256"] = json.loads((WEIGHTS / "nano.json").read_text())["sha256"]
    (tmp_path / "nano.json").write_text(json.dumps(manifest))
    shutil.copy(WEIGHTS / "nano.safetensors", tmp_path)
    with pytest.raises(WeightsError, match={"shanull": "sha256"}.get(name, "nonsense")):
        JpegRestorer(tmp_path / "nano.safetensors")


@pytest.fixture
def sets(tmp_path, shared_data, monkeypatch):
    """The small sets of case 01, whose script looks for our configs in the current folder."""
    monkeypatch.chdir(ROOT)
    path = CASES / "field/01_metric_error_traceback/make.py"
    monkeypatch.setattr(sys, "argv", [str(path), str(shared_data), str(tmp_path / "sets")])
    runpy.run_path(str(path), run_name="__main__")
    return tmp_path / "sets"


@pytest.mark.slow
@pytest.mark.usefixtures("openmmlab")
def test_what_a_metric_raises_is_one_line_before_the_images(sets, shared_data, tmp_path, capfd):
    yolox = shared_data / "models/yolox_nano_mmdet.pth"
    deeplab = shared_data / "models/deeplabv3_mnv2_mmseg.pth"
    configs = ROOT / "configs/downstream"
    for number, (config, checkpoint, *options) in enumerate(
        [
            (configs / "yolox_nano_coco.py", yolox, "--data-root", sets / "nocrowd"),
            (configs / "deeplabv3_mnv2_voc.py", deeplab, "--data-root", sets / "rgbmask"),
            (sets / "concat_list.py", yolox),
            (sets / "concat_multi.py", yolox),
        ]
    ):
        arguments = (config, checkpoint, *options, "--out", tmp_path / str(number))
        capfd.readouterr()
        assert main(["eval-downstream", *map(str, arguments), "--qf", "10", "--restorers"]) == 2
        errors = capfd.readouterr().err
        assert "Traceback" not in errors
        assert len(re.findall(r"^error: ", errors, re.MULTILINE)) == 1, errors


@pytest.mark.slow
@pytest.mark.usefixtures("openmmlab")
def test_xml_without_boxes_is_named(shared_data, tmp_path):
    path = CASES / "field/02_voc_xml_traceback/run.sh"
    done = subprocess.run(
        ["sh", str(path)],
        cwd=ROOT,
        env={
            **os.environ,
            "PY": sys.executable,
            "SHARED": str(shared_data),
            "OUT": str(tmp_path / "case"),
        },
        capture_output=True,
        text=True,
    )
    said = done.stdout + done.stderr
    assert "Traceback" not in said and "AttributeError" not in said
    assert ".xml" in said


@pytest.mark.usefixtures("openmmlab")
def test_a_loader_of_floats_is_converted(script, photo_file):
    said = script("03_float32_loader", photo_file)
    assert {"stock ok", "converted ok"} <= set(said.splitlines())


@pytest.mark.usefixtures("openmmlab")
def test_pixels_that_a_transform_has_changed_are_not_restored_by_the_files_tables(
    script, photo_file
):
    from mmengine.registry import TRANSFORMS

    before = TRANSFORMS.module_dict.get("Corrupt")
    try:
        said = script("04_corrupt_before_restore", photo_file)
    finally:
        TRANSFORMS.module_dict.pop("Corrupt")
        if before is not None:
            TRANSFORMS.module_dict["Corrupt"] = before
    corrupted, changed, loose = (float(value) for value in re.findall(r": ([0-9.]+) dB", said))
    assert changed > corrupted and loose > corrupted
    assert re.search(r"restored: .*'source': '(estimated|grid|earlier)'", said)


@pytest.mark.usefixtures("openmmlab")
def test_what_the_loader_loads_passes(script):
    folder = CASES / "field/05_one_file_ends_the_run"
    said = script(folder.name, *(folder / f"{name}.jpg" for name in ("cmyk", "padded", "good")))
    lines = [line for line in said.splitlines() if "stock ok" in line]
    assert len(lines) >= 5
    assert all(line.endswith("JpegRestore ok") for line in lines), said


@pytest.mark.slow
@pytest.mark.usefixtures("openmmlab")
@pytest.mark.skipif(importlib.util.find_spec("lmdb") is None, reason="needs lmdb")
def test_where_the_bytes_come_from_is_carried_over(script, photo_file):
    said = script("06_file_client_args", photo_file)
    assert "stock ok" in said and "converted ok" in said


@pytest.mark.usefixtures("openmmlab")
def test_a_loader_inside_a_wrapper_is_found(script):
    script("07_nested_loader")


@pytest.fixture
def photo_file(tmp_path, photo):
    from PIL import Image

    path = tmp_path / "photo.jpg"
    Image.fromarray(photo).save(path, quality=96)
    return path
