"""The tool on small COCO and VOC trees: what it writes, refuses and returns."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
import torch
from dataset_trees import add_bad_images, content, write_coco
from PIL import Image, ImageOps
from PIL.ExifTags import Base as ExifTag

from jpeg_preproc import JpegRestorer
from jpeg_preproc.restorers import build_restorer, save_weights


@pytest.fixture
def run(restore, small_weights):
    """``run(source, out, ...)`` -> exit code, in this process with weights that are small."""
    return lambda *arguments: restore(*arguments, "--restorer", small_weights, "--workers", 0)


def rgb(path: Path) -> np.ndarray:
    """What mmcv's default backend reads, in RGB."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_images_are_what_the_restorer_gives_in_lossless_files(
    run, coco, tmp_path, small_weights, kind
):
    assert run(coco, tmp_path / "out", "--image-format", kind) == 0
    restorer = JpegRestorer(small_weights)
    for path in sorted((coco / "val2017").iterdir()):
        result = tmp_path / "out/small/val2017" / path.name
        with Image.open(result) as image:
            assert image.format == kind.upper()
            assert image.mode == ("L" if path.name == "2.jpg" and kind == "png" else "RGB")
        expected = restorer(path).image
        grey = expected.ndim == 2
        np.testing.assert_array_equal(
            rgb(result), np.stack([expected] * 3, axis=-1) if grey else expected
        )
        # What never was a JPEG stays as it is.
        changed = not np.array_equal(rgb(result), rgb(path))
        assert changed == (path.name != "5.png") or min(expected.shape[:2]) < 8


def test_everything_else_is_copied(run, coco, voc, tmp_path):
    for root, images in ((coco, "val2017/"), (voc, "VOCdevkit/VOC2012/JPEGImages/")):
        out = tmp_path / f"{root.name}_out"
        assert run(root, out) == 0
        source, result = content(root), content(out / "small")
        assert set(result) - set(source) == {"manifest.json"}
        changed = {name for name in source if source[name] != result[name]}
        never_jpeg = {"val2017/5.png"}  # and written again as it was
        assert changed == {name for name in source if name.startswith(images)} - never_jpeg


def test_the_manifest_tells_what_was_restored_and_how(run, coco, tmp_path, small_weights):
    assert run(coco, tmp_path / "out", "--dtype", "bf16", "--tile", 64) == 0
    manifest = json.loads((tmp_path / "out/small/manifest.json").read_bytes())
    settings = manifest["settings"]
    digest = subprocess.check_output(["sha256sum", small_weights], text=True).split()[0]
    assert (settings["restorer"], settings["weights_sha256"]) == ("small", digest)
    assert (settings["network"], settings["preset"]) == ("GridUNet", "nano")
    assert (settings["qf"], settings["dtype"], settings["tile"]) == ("auto", "bf16", 64)
    assert (settings["format"], settings["device"]) == ("png", "cpu")
    assert settings["torch"] == torch.__version__
    assert settings["encoder"]["pillow"] == PIL.__version__
    images = {Path(entry["path"]).name: entry for entry in manifest["images"]}
    believed = {name: (e["believed_qf"], e["believed_from"]) for name, e in images.items()}
    assert (believed["1.jpg"], believed["2.jpg"]) == ((93, "file"), (71, "file"))
    assert believed["5.png"][1] == "estimated" and 90 <= believed["5.png"][0] <= 100
    for entry in images.values():
        for key, root in (("source_sha256", coco), ("sha256", tmp_path / "out/small")):
            path = root / entry["path"]
            assert entry[key] == subprocess.check_output(["sha256sum", path], text=True).split()[0]
    results = json.loads((tmp_path / "out/results.json").read_bytes())
    (row,) = results["rows"]
    assert (row["dataset"], row["restorer"], row["images"]) == ("coco", "small", 5)
    assert (row["qf_file"], row["qf_estimated"]) == (4, 1)
    assert results["meta"]["weights_sha256"] == digest


def test_consistent_results_are_those_of_the_consistent_restorer(
    run, coco, tmp_path, small_weights
):
    assert run(coco, tmp_path / "out", "--consistent") == 0
    restorer = JpegRestorer(small_weights, consistent=True)
    plain = JpegRestorer(small_weights)
    manifest = json.loads((tmp_path / "out/small/manifest.json").read_bytes())
    assert manifest["settings"]["consistent"]
    moved = 0
    for entry in manifest["images"]:
        expected = restorer(coco / entry["path"])
        assert entry["consistent"] == expected.consistent == (entry["believed_from"] == "file")
        found = rgb(tmp_path / "out/small" / entry["path"])
        same_layout = found if expected.image.ndim == 3 else found[..., 0]
        np.testing.assert_array_equal(same_layout, expected.image)
        moved += not np.array_equal(expected.image, plain(coco / entry["path"]).image)
    assert moved


@pytest.mark.parametrize("policy,expected", [("30", (30, "given")), ("blind", (None, "blind"))])
def test_the_quality_can_be_given_or_kept_back(run, coco, tmp_path, policy, expected):
    assert run(coco, tmp_path / "out", "--qf", policy) == 0
    manifest = json.loads((tmp_path / "out/small/manifest.json").read_bytes())
    assert {(e["believed_qf"], e["believed_from"]) for e in manifest["images"]} == {expected}


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_boxes_fit_images_that_exif_rotates(run, coco, tmp_path, photo, orientation, kind):
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    path = coco / "val2017/1.jpg"
    Image.fromarray(photo).save(path, quality=93, exif=exif)
    assert run(coco, tmp_path / "out", "--image-format", kind) == 0
    result = tmp_path / "out/small/val2017/1.jpg"
    # The source as OpenCV and Pillow show it is what the annotations were drawn on.
    upright = rgb(path)
    with Image.open(result) as image:
        turned = np.asarray(ImageOps.exif_transpose(image))
        stored = image.size
    for shown in (rgb(result), turned):
        assert shown.shape == upright.shape
        # Turned in any other way it is 0.7 at most.
        assert np.corrcoef(shown.ravel(), upright.ravel())[0, 1] > 0.9
    entries = json.loads((tmp_path / "out/small/manifest.json").read_bytes())["images"]
    (entry,) = (entry for entry in entries if entry["path"] == "val2017/1.jpg")
    assert (entry["width"], entry["height"]) == stored
    assert entry["orientation"] == (orientation if kind == "png" else 1)


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_names_that_tell_the_format(run, coco, tmp_path, kind):
    coco_api = pytest.importorskip("pycocotools.coco")
    options = ("--names", "suffix", "--image-format", kind)
    assert run(coco, tmp_path / "out", *options) == 0
    root = tmp_path / "out/small"
    names = [f"{index}.{kind}" for index in range(1, 6)]
    assert sorted(path.name for path in (root / "val2017").iterdir()) == names
    dataset = coco_api.COCO(root / "annotations/instances_val2017.json")
    assert [image["file_name"] for image in dataset.loadImgs(dataset.getImgIds())] == names
    before, after = (
        json.loads((folder / "annotations/instances_val2017.json").read_bytes())
        for folder in (coco, root)
    )
    assert after["annotations"] == before["annotations"]
    # What is no image of the dataset keeps its name: a label map.
    assert (root / "annotations/panoptic_val2017/1.png").is_file()
    manifest = json.loads((root / "manifest.json").read_bytes())
    mapping = {e["path"]: e.get("source_path", e["path"]) for e in manifest["images"]}
    sources = ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.png"]
    assert mapping == {
        f"val2017/{new}": f"val2017/{old}" for new, old in zip(names, sources, strict=True)
    }
    state = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert run(coco, tmp_path / "out", *options) == 0
    state.pop(root / "manifest.json")
    assert {path: path.stat().st_mtime_ns for path in state} == state


def test_two_images_of_one_new_name_are_refused(run, coco, tmp_path, capfd):
    shutil.copy(coco / "val2017/5.png", coco / "val2017/1.png")
    write_coco(coco, "val2017", {"1.jpg": (184, 120), "1.png": (184, 120)})
    assert run(coco, tmp_path / "out", "--names", "suffix") == 2
    assert "val2017/1.jpg and val2017/1.png would both be called" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()
    assert run(coco, tmp_path / "out") == 0


def test_bad_images_are_skipped_one_by_one(run, coco, tmp_path, capfd):
    bad = add_bad_images(coco)
    good = ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.png"]
    names = [*good, *bad, "missing.jpg", "../../hostname"]
    write_coco(coco, "val2017", dict.fromkeys(names, (184, 120)))
    out = tmp_path / "out"
    assert run(coco, out) == 1
    captured = capfd.readouterr()
    assert sorted(path.name for path in (out / "small/val2017").iterdir()) == good
    manifest = json.loads((out / "small/manifest.json").read_bytes())
    skipped = {Path(item["path"]).name: item["reason"] for item in manifest["skipped"]}
    assert set(skipped) == {*bad, "missing.jpg", "hostname"}
    for name, word in bad.items():
        assert word in skipped[name] and name in skipped[name]
    assert all(reason in captured.err for reason in skipped.values())
    assert "Traceback" not in captured.err


def test_too_little_memory_for_one_image(run, coco, tmp_path, monkeypatch, capfd):
    def fail(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    monkeypatch.setattr(JpegRestorer, "restore", fail)
    assert run(coco, tmp_path / "out") == 1
    assert "1.jpg: too little memory for its size" in capfd.readouterr().err


def other_weights(folder: Path) -> Path:
    """Weights of the same name as ``small_weights``, but others."""
    path = folder / "small.safetensors"
    save_weights(build_restorer("GridUNet", "nano"), path, preset="nano")
    return path


@pytest.mark.parametrize(
    "options",
    [
        ["--qf", "10"],
        ["--dtype", "bf16"],
        ["--tile", "512"],
        ["--image-format", "webp"],
        ["--names", "suffix"],
        ["--consistent"],
        ["--restorer", "other"],
    ],
)
def test_other_settings_in_the_same_output_are_refused(
    run, restore, coco, tmp_path, capfd, options
):
    out = tmp_path / "out"
    assert run(coco, out) == 0
    before = content(out)
    if options[0] == "--restorer":
        code = restore(coco, out, "--restorer", other_weights(tmp_path), "--workers", 0)
    else:
        code = run(coco, out, *options)
    assert code == 2
    message = capfd.readouterr().err
    assert "other settings" in message
    assert ("weights_sha256" in message) == (options[0] == "--restorer")
    assert content(out) == before


@pytest.mark.parametrize(
    "options,words",
    [
        (["--restorer", "nobody"], "no restorer weights 'nobody': shipped are"),
        (["--device", "cuda"], "torch finds no CUDA device"),
        (["--device", "abacus"], "device 'abacus'"),
        (["--restorer", "DnCNN.pth"], "DnCNN.pth"),
    ],
)
def test_what_is_not_there_is_one_error_and_nothing_is_written(
    restore, coco, tmp_path, capfd, options, words
):
    if "cuda" in options and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    assert restore(coco, tmp_path / "out", *options) == 2
    message = capfd.readouterr().err
    assert message.startswith("error: ") and words in message.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_restorer_that_must_know_the_quality_is_not_run_blind(restore, coco, tmp_path, capfd):
    weights = tmp_path / "needy.safetensors"
    save_weights(build_restorer("QGCN", "tiny"), weights, preset="tiny")
    assert restore(coco, tmp_path / "out", "--restorer", weights, "--qf", "blind") == 2
    assert "needy needs the quality of each image" in capfd.readouterr().err


def test_help_ends_with_an_example(restore, capsys):
    with pytest.raises(SystemExit, match="0"):
        restore("--help")
    assert "jpeg-preproc restore-dataset" in capsys.readouterr().out.splitlines()[-1]


def test_a_strength_reaches_every_image_and_the_manifest(run, coco, tmp_path, small_weights):
    assert run(coco, tmp_path / "out", "--strength", "0.5") == 0
    manifest = json.loads((tmp_path / "out/small/manifest.json").read_bytes())
    assert manifest["settings"]["strength"] == 0.5
    path = coco / "val2017/1.jpg"
    expected = JpegRestorer(small_weights, strength=0.5)(path).image
    np.testing.assert_array_equal(rgb(tmp_path / "out/small/val2017/1.jpg"), expected)
    assert run(coco, tmp_path / "out", "--strength", "0.7") == 2  # made otherwise before
