"""The tool on small COCO and VOC trees: what it writes, refuses, survives and returns."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from PIL import Image, ImageOps
from PIL.ExifTags import Base as ExifTag

from jpeg_preproc.datasets import compress_dataset, scan_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "compress_dataset.py"


@pytest.fixture(scope="module")
def main():
    specification = importlib.util.spec_from_file_location("compress_dataset_tool", TOOL)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return lambda *arguments: module.main([str(argument) for argument in arguments])


def pillow_bytes(path: Path, qf: int, subsampling: str = "4:2:0") -> bytes:
    """What Pillow makes of a file's pixels at a quality; the reference."""
    with Image.open(path) as image:
        grey = image.mode == "L"
        # By way of an array, because Pillow would carry a source's comment over.
        pixels = Image.fromarray(np.asarray(image if grey else image.convert("RGB")))
    stream = io.BytesIO()
    options = {} if grey else {"subsampling": subsampling}
    pixels.save(stream, "JPEG", quality=qf, **options)
    return stream.getvalue()


def content(folder: Path) -> dict[str, bytes]:
    """Every file below ``folder``, by relative name; folders as ``b''``, results.* apart."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if not path.name.startswith("results.")
    }


def write_coco(root: Path, split: str, images: dict[str, tuple[int, int]]) -> None:
    """Write an instances file with one box for each image: name -> (width, height)."""
    names = enumerate(images.items(), start=1)
    document = {
        "images": [
            {"id": index, "file_name": name, "width": width, "height": height}
            for index, (name, (width, height)) in names
        ],
        "annotations": [
            {
                "id": index,
                "image_id": index,
                "category_id": 1,
                "bbox": [0, 0, 1, 1],
                "area": 1,
                "iscrowd": 0,
                "segmentation": [[0, 0, 1, 0, 1, 1]],
            }
            for index in range(1, len(images) + 1)
        ],
        "categories": [{"id": 1, "name": "thing"}],
    }
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


@pytest.fixture
def coco(tmp_path, photo) -> Path:
    root = tmp_path / "coco"
    (root / "val2017").mkdir(parents=True)
    picture = Image.fromarray(photo)
    picture.save(root / "val2017/1.jpg", quality=93, subsampling="4:4:4")
    picture.convert("L").save(root / "val2017/2.jpg", quality=71)
    picture.crop((0, 0, 1, 1)).save(root / "val2017/3.jpg")
    picture.crop((5, 5, 12, 14)).save(root / "val2017/4.jpg", progressive=True)
    picture.save(root / "val2017/5.png")
    sizes = {"1.jpg": (184, 120), "2.jpg": (184, 120), "3.jpg": (1, 1), "4.jpg": (7, 9)}
    write_coco(root, "val2017", {**sizes, "5.png": (184, 120)})
    masks = root / "annotations/panoptic_val2017"
    masks.mkdir()
    Image.fromarray(photo[..., 0]).save(masks / "1.png")
    return root


@pytest.fixture
def voc(tmp_path, photo) -> Path:
    year = tmp_path / "voc/VOCdevkit/VOC2012"
    for folder in ("JPEGImages", "SegmentationClass", "Annotations", "ImageSets/Main", "empty"):
        (year / folder).mkdir(parents=True)
    for name in ("2007_000001", "2007_000002"):
        Image.fromarray(photo[:64, :80]).save(year / f"JPEGImages/{name}.jpg", quality=90)
        Image.fromarray(photo[:64, :80, 0]).save(year / f"SegmentationClass/{name}.png")
        (year / f"Annotations/{name}.xml").write_text(
            f"<annotation><filename>{name}.jpg</filename><size><width>80</width>"
            "<height>64</height><depth>3</depth></size></annotation>"
        )
    (year / "ImageSets/Main/train.txt").write_text("2007_000001\n")
    (year / "ImageSets/Main/val.txt").write_text("2007_000002\n")
    return tmp_path / "voc"


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_images_are_pillows_bit_for_bit(main, coco, tmp_path, subsampling):
    out = tmp_path / "out"
    code = main(coco, out, "--qf", 10, 95, "--workers", 0, "--subsampling", subsampling)
    assert code == 0
    for qf in (10, 95):
        for path in sorted((coco / "val2017").iterdir()):
            expected = pillow_bytes(path, qf, subsampling)
            assert (out / f"qf{qf}/val2017" / path.name).read_bytes() == expected, path


def test_everything_else_is_copied_and_not_linked(main, coco, tmp_path):
    out = tmp_path / "out"
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    source, result = content(coco), content(out / "qf10")
    assert set(result) - set(source) == {"manifest.json"}
    changed = {name for name in source if source[name] != result[name]}
    assert changed == {f"val2017/{path.name}" for path in (coco / "val2017").iterdir()}
    copied = out / "qf10/annotations/instances_val2017.json"
    original = coco / "annotations/instances_val2017.json"
    assert copied.stat().st_ino != original.stat().st_ino
    assert copied.stat().st_mtime_ns == original.stat().st_mtime_ns
    assert copied.stat().st_mode & 0o777 == original.stat().st_mode & 0o777


@pytest.mark.filterwarnings("ignore::DeprecationWarning:pycocotools")
def test_pycocotools_reads_the_result(main, coco, tmp_path):
    coco_api = pytest.importorskip("pycocotools.coco")
    assert main(coco, tmp_path / "out", "--qf", 10, "--workers", 0) == 0
    root = tmp_path / "out/qf10"
    dataset = coco_api.COCO(root / "annotations/instances_val2017.json")
    images = dataset.loadImgs(dataset.getImgIds())
    assert len(images) == 5
    for image in images:
        # As mmcv's default backend does; 5.png holds a JPEG.
        pixels = cv2.imread(str(root / "val2017" / image["file_name"]), cv2.IMREAD_COLOR)
        assert pixels.shape == (image["height"], image["width"], 3)
        (annotation,) = dataset.loadAnns(dataset.getAnnIds(imgIds=[image["id"]]))
        assert dataset.annToMask(annotation).shape == pixels.shape[:2]
    assert Image.open(root / "val2017/5.png").format == "JPEG"


def test_a_voc_tree_differs_in_jpegimages_only(main, voc, tmp_path):
    out = tmp_path / "out"
    assert main(voc, out, "--qf", 20, "--workers", 0) == 0
    source, result = content(voc), content(out / "qf20")
    assert set(result) == {*source, "manifest.json"}
    assert "VOCdevkit/VOC2012/empty" in result
    for name, data in source.items():
        if name.endswith(".jpg"):
            assert result[name] == pillow_bytes(voc / name, 20)
        else:
            assert result[name] == data


def test_a_voc_split(main, voc, tmp_path):
    assert (
        main(
            voc / "VOCdevkit/VOC2012",
            tmp_path / "out",
            "--splits",
            "val",
            "--qf",
            10,
            "--workers",
            0,
        )
        == 0
    )
    images = sorted(path.name for path in (tmp_path / "out/qf10/JPEGImages").iterdir())
    assert images == ["2007_000002.jpg"]


@pytest.mark.parametrize("orientation", range(2, 9))
def test_exif_rotated_images_stay_stored_as_they_were(main, coco, tmp_path, photo, orientation):
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    exif[ExifTag.Make] = "Camera"
    path = coco / "val2017/1.jpg"
    Image.fromarray(photo).save(path, quality=93, exif=exif)
    assert main(coco, tmp_path / "out", "--qf", 30, "--workers", 0) == 0
    result = tmp_path / "out/qf30/val2017/1.jpg"
    with Image.open(result) as image, Image.open(io.BytesIO(pillow_bytes(path, 30))) as expected:
        assert image.getexif()[ExifTag.Orientation] == orientation
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        # The annotations' geometry is that of the upright image.
        with Image.open(path) as source:
            assert ImageOps.exif_transpose(image).size == ImageOps.exif_transpose(source).size


def test_the_manifest_tells_what_was_read_and_written(main, coco, tmp_path):
    assert main(coco, tmp_path / "out", "--qf", 10, "--workers", 0) == 0
    manifest = json.loads((tmp_path / "out/qf10/manifest.json").read_bytes())
    settings = manifest["settings"]
    assert (settings["qf"], settings["subsampling"]) == (10, "4:2:0")
    assert settings["encoder"]["pillow"] == PIL.__version__
    assert "libjpeg" in settings["encoder"]["library"]
    images = {Path(entry["path"]).name: entry for entry in manifest["images"]}
    assert (images["1.jpg"]["source_qf"], images["1.jpg"]["source_qf_exact"]) == (93, True)
    assert (images["2.jpg"]["source_qf"], images["2.jpg"]["source_subsampling"]) == (71, "grey")
    assert images["5.png"]["source_qf"] is None
    for entry in images.values():
        for key, root in (("source_sha256", coco), ("sha256", tmp_path / "out/qf10")):
            path = root / entry["path"]
            digest = subprocess.check_output(["sha256sum", path], text=True).split()[0]
            assert entry[key] == digest
        assert entry["bytes"] == (tmp_path / "out/qf10" / entry["path"]).stat().st_size
    results = json.loads((tmp_path / "out/results.json").read_bytes())
    (row,) = results["rows"]
    assert (row["dataset"], row["qf"], row["images"]) == ("coco", 10, 5)
    assert row["bytes"] == sum(entry["bytes"] for entry in images.values())


def add_bad_images(root: Path, photo: np.ndarray) -> dict[str, str]:
    """Add images that cannot be compressed to ``val2017``; name -> a word of the error."""
    folder = root / "val2017"
    data = (folder / "1.jpg").read_bytes()
    (folder / "truncated.jpg").write_bytes(data[: len(data) // 2])
    (folder / "header.jpg").write_bytes(data[:20])
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "text.jpg").write_text("this is no image")
    Image.fromarray(photo).convert("CMYK").save(folder / "cmyk.jpg")
    Image.fromarray(photo[..., 0].astype(np.uint16) * 256).save(folder / "deep.png")
    return {
        "truncated.jpg": "truncated",
        "header.jpg": "header.jpg",
        "empty.jpg": "empty.jpg",
        "text.jpg": "no image",
        "cmyk.jpg": "CMYK",
        "deep.png": "8 bits",
    }


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_skipped_one_by_one(main, coco, tmp_path, photo, capfd, workers):
    bad = add_bad_images(coco, photo)
    good = ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.png"]
    names = [*good, *bad, "missing.jpg", "/etc/hostname", "../../hostname"]
    write_coco(coco, "val2017", dict.fromkeys(names, (184, 120)))
    (coco / "val2017/leak.jpg").symlink_to(REPOSITORY / "setup.cfg")
    assert main(coco, tmp_path / "out", "--qf", 10, 20, "--workers", workers) == 1
    captured = capfd.readouterr()
    for qf in (10, 20):
        folder = tmp_path / f"out/qf{qf}"
        assert sorted(path.name for path in (folder / "val2017").iterdir()) == good
        manifest = json.loads((folder / "manifest.json").read_bytes())
        assert len(manifest["images"]) == len(good)
        skipped = {Path(item["path"]).name: item["reason"] for item in manifest["skipped"]}
        assert set(skipped) == {*bad, "missing.jpg", "hostname", "leak.jpg"}
        for name, word in bad.items():
            assert word in skipped[name] and name in skipped[name]
        assert len(manifest["skipped"]) == len(bad) + 4
        for item in manifest["skipped"]:
            assert item["reason"] in captured.err
    assert "Traceback" not in captured.err


def test_an_image_that_has_gone_bad_leaves_the_manifest(main, coco, tmp_path):
    out = tmp_path / "out"
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    (coco / "val2017/1.jpg").write_text("no image any more")
    assert main(coco, out, "--qf", 10, "--workers", 0) == 1
    manifest = json.loads((out / "qf10/manifest.json").read_bytes())
    assert "val2017/1.jpg" not in {entry["path"] for entry in manifest["images"]}


@pytest.mark.parametrize("qf", ["0", "101", "-3", "ten"])
def test_a_quality_that_does_not_exist_is_refused_before_any_work(main, coco, tmp_path, capfd, qf):
    try:
        code = main(coco, tmp_path / "out", "--qf", 10, qf)
    except SystemExit as stopped:  # argparse, for what is no whole number
        code = stopped.code
    assert code == 2
    assert qf in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["coco", "coco/out", "coco/val2017", "link/out"])
def test_an_output_inside_the_source_is_refused(main, coco, tmp_path, capfd, out):
    (tmp_path / "link").symlink_to(coco)
    before = content(coco)
    assert main(coco, tmp_path / out, "--workers", 0) == 2
    assert "outside" in capfd.readouterr().err
    assert content(coco) == before


def test_a_source_inside_the_output_is_refused(main, coco, tmp_path):
    shutil.move(coco, tmp_path / "qf10")
    before = content(tmp_path / "qf10")
    assert main(tmp_path / "qf10", tmp_path, "--qf", 10, "--workers", 0) == 2
    assert content(tmp_path / "qf10") == before
    assert main(tmp_path / "qf10", tmp_path, "--qf", 20, "--workers", 0) == 0


def test_an_output_that_cannot_be_made_is_one_error(main, coco, tmp_path, capfd):
    (tmp_path / "file").touch()
    assert main(coco, tmp_path / "file", "--workers", 0) == 2
    assert "error:" in capfd.readouterr().err
    assert main(tmp_path / "gone", tmp_path / "out") == 2
    assert "gone" in capfd.readouterr().err


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(main, coco, tmp_path, capfd, workers):
    out = tmp_path / "out"
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    (out / "qf10/val2017/3.jpg").unlink()
    (out / "qf10/val2017/3.jpg").mkdir()  # a rename onto it fails, whoever runs the test
    assert main(coco, out, "--qf", 10, "--workers", workers) == 2
    message = capfd.readouterr().err
    assert "3.jpg cannot be written" in message and "Traceback" not in message
    (out / "qf10/val2017/3.jpg").rmdir()
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "1 JPEGs written, 4 found done" in capfd.readouterr().out


def test_a_second_run_encodes_nothing_and_a_third_mends_what_was_damaged(
    main, coco, tmp_path, capfd
):
    out = tmp_path / "out"
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    first = content(out)
    times = {path: path.stat().st_mtime_ns for path in (out / "qf10/val2017").iterdir()}
    capfd.readouterr()
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "0 JPEGs written, 5 found done" in capfd.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in times} == times
    (out / "qf10/val2017/1.jpg").write_bytes(b"damaged")
    (out / "qf10/val2017/2.jpg").unlink()
    Image.new("RGB", (7, 9), "red").save(coco / "val2017/4.jpg")
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "3 JPEGs written, 2 found done" in capfd.readouterr().out
    changed = {name for name, data in content(out).items() if data != first[name]}
    assert changed == {"qf10/val2017/4.jpg", "qf10/manifest.json"}


def test_splits_can_be_added_to_one_output(main, coco, tmp_path):
    (coco / "train2017").mkdir()
    shutil.copy(coco / "val2017/1.jpg", coco / "train2017/9.jpg")
    write_coco(coco, "train2017", {"9.jpg": (184, 120)})
    for split in ("val2017", "train2017"):
        assert main(coco, tmp_path / "a", "--qf", 10, "--workers", 0, "--splits", split) == 0
    assert main(coco, tmp_path / "b", "--qf", 10, "--workers", 0) == 0
    assert content(tmp_path / "a") == content(tmp_path / "b")


def test_other_settings_in_the_same_output_are_refused(main, coco, tmp_path, capfd):
    out = tmp_path / "out"
    assert main(coco, out, "--qf", 10, "--workers", 0) == 0
    before = content(out)
    assert main(coco, out, "--qf", 10, "--workers", 0, "--subsampling", "4:4:4") == 2
    assert "other settings" in capfd.readouterr().err
    assert content(out) == before


def test_compressing_twice_leaves_the_first_manifest_behind(main, coco, tmp_path):
    assert main(coco, tmp_path / "once", "--qf", 30, "--workers", 0) == 0
    assert main(tmp_path / "once/qf30", tmp_path / "twice", "--qf", 10, "--workers", 0) == 0
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

    compress_dataset(tree, tmp_path / "out", [10], on_progress=second)
    assert errors and all("another process" in error for error in errors)


@pytest.fixture(scope="module")
def long_run(main, tmp_path_factory) -> tuple[Path, Path]:
    """A dataset that takes half a second, and what an undisturbed run makes of it."""
    folder = tmp_path_factory.mktemp("long")
    source, straight = folder / "source", folder / "straight"
    (source / "val2017").mkdir(parents=True)
    rng = np.random.default_rng(3)
    names = [f"{index:03}.jpg" for index in range(40)]
    for name in names:
        noise = rng.integers(0, 256, (320, 480, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / "val2017" / name, quality=90)
    write_coco(source, "val2017", dict.fromkeys(names, (480, 320)))
    assert main(source, straight, "--workers", 0) == 0
    return source, straight


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_run_ended_in_the_middle_goes_on_to_the_same_result(
    main, long_run, tmp_path, capfd, number
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
    (out / "qf10/val2017/.000.jpg.k1ll3d__").write_bytes(b"half")
    capfd.readouterr()

    assert main(source, out, "--workers", 0) == 0
    written = int(capfd.readouterr().out.split(" JPEGs written")[0].split()[-1])
    assert 0 < written <= 4 * (40 - 3)
    assert content(out) == content(straight)


@pytest.mark.slow
def test_real_coco_and_voc(main, shared_data, tmp_path):
    coco, voc = tmp_path / "coco", tmp_path / "voc"
    for folder in (coco / "val2017", coco / "annotations"):
        folder.mkdir(parents=True)
    document = json.loads((shared_data / "coco/annotations/instances_val2017.json").read_bytes())
    document["images"] = document["images"][:6]
    (coco / "annotations/instances_val2017.json").write_text(json.dumps(document))
    for image in document["images"]:
        shutil.copy(shared_data / "coco/val2017" / image["file_name"], coco / "val2017")
    year = shared_data / "voc/VOCdevkit/VOC2012"
    names = (year / "ImageSets/Segmentation/val.txt").read_text().split()[:6]
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    (voc / "ImageSets/Segmentation/val.txt").write_text("\n".join(names) + "\n")
    for folder, suffix in (("JPEGImages", ".jpg"), ("SegmentationClass", ".png")):
        (voc / folder).mkdir()
        for name in names:
            shutil.copy(year / folder / (name + suffix), voc / folder)
    for root, images in ((coco, "val2017"), (voc, "JPEGImages")):
        out = tmp_path / f"{root.name}_out"
        assert main(root, out, "--qf", 10, "--workers", 0) == 0
        for path in (root / images).iterdir():
            assert (out / "qf10" / images / path.name).read_bytes() == pillow_bytes(path, 10)


@pytest.mark.slow
def test_stock_openmmlab_datasets_read_the_result_by_data_root(main, coco, voc, tmp_path):
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    from mmdet.datasets import CocoDataset, VOCDataset
    from mmseg.datasets import PascalVOCDataset

    assert main(coco, tmp_path / "coco_out", "--qf", 10, "--workers", 0) == 0
    assert main(voc, tmp_path / "voc_out", "--qf", 10, "--workers", 0) == 0
    year = str(tmp_path / "voc_out/qf10/VOCdevkit/VOC2012") + "/"
    boxes = CocoDataset(
        data_root=str(tmp_path / "coco_out/qf10") + "/",
        ann_file="annotations/instances_val2017.json",
        data_prefix={"img": "val2017/"},
        metainfo={"classes": ("thing",)},
        test_mode=True,
    )
    objects = VOCDataset(
        data_root=str(tmp_path / "voc_out/qf10/VOCdevkit") + "/",
        ann_file="VOC2012/ImageSets/Main/val.txt",
        data_prefix={"sub_data_root": "VOC2012/"},
        test_mode=True,
    )
    regions = PascalVOCDataset(
        data_root=year,
        ann_file="ImageSets/Main/val.txt",
        data_prefix={"img_path": "JPEGImages", "seg_map_path": "SegmentationClass"},
        test_mode=True,
    )
    assert (len(boxes), len(objects), len(regions)) == (5, 1, 1)
    for dataset in (boxes, objects, regions):
        for index in range(len(dataset)):
            record = dataset.get_data_info(index)
            with Image.open(record["img_path"]) as image:
                assert image.format == "JPEG"
    assert Path(regions.get_data_info(0)["seg_map_path"]).is_file()


def test_help_ends_with_an_example(main, capsys):
    with pytest.raises(SystemExit, match="0"):
        main("--help")
    assert "python tools/compress_dataset.py" in capsys.readouterr().out.splitlines()[-1]
