"""The tool on small COCO and VOC trees: what it writes, refuses, survives and returns."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from pathlib import Path

import cv2
import numpy as np
import PIL
import pytest
from dataset_trees import add_bad_images, content, pillow_bytes, write_coco
from PIL import Image, ImageOps
from PIL.ExifTags import Base as ExifTag
from PIL.PngImagePlugin import PngInfo

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "compress_dataset.py"


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_images_are_pillows_bit_for_bit(compress, coco, tmp_path, subsampling):
    out = tmp_path / "out"
    code = compress(coco, out, "--qf", 10, 95, "--workers", 0, "--subsampling", subsampling)
    assert code == 0
    for qf in (10, 95):
        for path in sorted((coco / "val2017").iterdir()):
            expected = pillow_bytes(path, qf, subsampling)
            assert (out / f"qf{qf}/val2017" / path.name).read_bytes() == expected, path


def test_metadata_of_a_source_stays_behind(compress, coco, tmp_path, photo):
    text = PngInfo()
    text.add_text("comment", "Pillow would write this into a JPEG")
    path = coco / "val2017/5.png"
    Image.fromarray(photo).save(path, pnginfo=text, dpi=(300, 300), icc_profile=b"profile")
    path = coco / "val2017/1.jpg"
    Image.fromarray(photo).save(path, dpi=(300, 300), icc_profile=b"profile", comment=b"mine")
    assert compress(coco, tmp_path / "out", "--qf", 10, "--workers", 0) == 0
    for name in ("1.jpg", "5.png"):
        expected = pillow_bytes(coco / "val2017" / name, 10)
        assert (tmp_path / "out/qf10/val2017" / name).read_bytes() == expected


def test_everything_else_is_copied_and_not_linked(compress, coco, tmp_path):
    out = tmp_path / "out"
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
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
def test_pycocotools_reads_the_result(compress, coco, tmp_path):
    coco_api = pytest.importorskip("pycocotools.coco")
    assert compress(coco, tmp_path / "out", "--qf", 10, "--workers", 0) == 0
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


def test_a_voc_tree_differs_in_jpegimages_only(compress, voc, tmp_path):
    out = tmp_path / "out"
    assert compress(voc, out, "--qf", 20, "--workers", 0) == 0
    source, result = content(voc), content(out / "qf20")
    assert set(result) == {*source, "manifest.json"}
    assert "VOCdevkit/VOC2012/empty" in result
    for name, data in source.items():
        if name.endswith(".jpg"):
            assert result[name] == pillow_bytes(voc / name, 20)
        else:
            assert result[name] == data


def test_a_voc_split(compress, voc, tmp_path):
    assert (
        compress(
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
def test_exif_rotated_images_stay_stored_as_they_were(compress, coco, tmp_path, photo, orientation):
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    exif[ExifTag.Make] = "Camera"
    path = coco / "val2017/1.jpg"
    Image.fromarray(photo).save(path, quality=93, exif=exif)
    assert compress(coco, tmp_path / "out", "--qf", 30, "--workers", 0) == 0
    result = tmp_path / "out/qf30/val2017/1.jpg"
    with Image.open(result) as image, Image.open(io.BytesIO(pillow_bytes(path, 30))) as expected:
        assert image.getexif()[ExifTag.Orientation] == orientation
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected))
        # The annotations' geometry is that of the upright image.
        with Image.open(path) as source:
            assert ImageOps.exif_transpose(image).size == ImageOps.exif_transpose(source).size


def test_the_manifest_tells_what_was_read_and_written(compress, coco, tmp_path):
    assert compress(coco, tmp_path / "out", "--qf", 10, "--workers", 0) == 0
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


@pytest.mark.parametrize("workers", [0, 2])
def test_bad_images_are_skipped_one_by_one(compress, coco, tmp_path, capfd, workers):
    bad = add_bad_images(coco)
    good = ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.png"]
    names = [*good, *bad, "missing.jpg", "/etc/hostname", "../../hostname"]
    write_coco(coco, "val2017", dict.fromkeys(names, (184, 120)))
    (coco / "val2017/leak.jpg").symlink_to(REPOSITORY / "setup.cfg")
    assert compress(coco, tmp_path / "out", "--qf", 10, 20, "--workers", workers) == 1
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


def test_an_image_that_has_gone_bad_leaves_the_manifest(compress, coco, tmp_path):
    out = tmp_path / "out"
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    (coco / "val2017/1.jpg").write_text("no image any more")
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 1
    manifest = json.loads((out / "qf10/manifest.json").read_bytes())
    assert "val2017/1.jpg" not in {entry["path"] for entry in manifest["images"]}


@pytest.mark.parametrize("qf", ["0", "101", "-3", "ten"])
def test_a_quality_that_does_not_exist_is_refused_before_any_work(
    compress, coco, tmp_path, capfd, qf
):
    try:
        code = compress(coco, tmp_path / "out", "--qf", 10, qf)
    except SystemExit as stopped:  # argparse, for what is no whole number
        code = stopped.code
    assert code == 2
    assert qf in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["coco", "coco/out", "coco/val2017", "link/out"])
def test_an_output_inside_the_source_is_refused(compress, coco, tmp_path, capfd, out):
    (tmp_path / "link").symlink_to(coco)
    before = content(coco)
    assert compress(coco, tmp_path / out, "--workers", 0) == 2
    assert "outside" in capfd.readouterr().err
    assert content(coco) == before


def test_a_source_inside_the_output_is_refused(compress, coco, tmp_path):
    shutil.move(coco, tmp_path / "qf10")
    before = content(tmp_path / "qf10")
    assert compress(tmp_path / "qf10", tmp_path, "--qf", 10, "--workers", 0) == 2
    assert content(tmp_path / "qf10") == before
    assert compress(tmp_path / "qf10", tmp_path, "--qf", 20, "--workers", 0) == 0


def test_an_output_that_cannot_be_made_is_one_error(compress, coco, tmp_path, capfd):
    (tmp_path / "file").touch()
    assert compress(coco, tmp_path / "file", "--workers", 0) == 2
    assert "error:" in capfd.readouterr().err
    assert compress(tmp_path / "gone", tmp_path / "out") == 2
    assert "gone" in capfd.readouterr().err


@pytest.mark.parametrize("workers", [0, 2])
def test_a_full_disk_ends_the_run_and_keeps_what_is_done(compress, coco, tmp_path, capfd, workers):
    out = tmp_path / "out"
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    (out / "qf10/val2017/3.jpg").unlink()
    (out / "qf10/val2017/3.jpg").mkdir()  # a rename onto it fails, whoever runs the test
    assert compress(coco, out, "--qf", 10, "--workers", workers) == 2
    message = capfd.readouterr().err
    assert "3.jpg cannot be written" in message and "Traceback" not in message
    (out / "qf10/val2017/3.jpg").rmdir()
    assert compress(coco, out, "--qf", 10, "--workers", 0) == 0
    assert "1 JPEGs written, 4 found done" in capfd.readouterr().out


@pytest.mark.slow
def test_real_coco_and_voc(compress, shared_data, tmp_path):
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
        assert compress(root, out, "--qf", 10, "--workers", 0) == 0
        for path in (root / images).iterdir():
            assert (out / "qf10" / images / path.name).read_bytes() == pillow_bytes(path, 10)


@pytest.mark.slow
def test_stock_openmmlab_datasets_read_the_result_by_data_root(compress, coco, voc, tmp_path):
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    from mmdet.datasets import CocoDataset, VOCDataset
    from mmseg.datasets import PascalVOCDataset

    assert compress(coco, tmp_path / "coco_out", "--qf", 10, "--workers", 0) == 0
    assert compress(voc, tmp_path / "voc_out", "--qf", 10, "--workers", 0) == 0
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


def test_help_ends_with_an_example(compress, capsys):
    with pytest.raises(SystemExit, match="0"):
        compress("--help")
    assert "jpeg-preproc compress-dataset" in capsys.readouterr().out.splitlines()[-1]


# --- other corruptions


@pytest.mark.parametrize("spelling,folder", [("webp:30", "webp_30"), ("jpeg:10", "jpeg_10")])
def test_a_corruption_has_a_tree_of_its_own(compress, coco, tmp_path, spelling, folder):
    out = tmp_path / "out"
    assert compress(coco, out, "--corruption", spelling, "--workers", 0) == 0
    for path in sorted((coco / "val2017").iterdir()):
        with Image.open(path) as source:
            pixels = source.convert("L" if source.mode in ("L", "1") else "RGB")
            orientation = source.getexif().get(ExifTag.Orientation, 1)
        if orientation != 1:
            continue
        stream = io.BytesIO()
        quality = int(spelling.partition(":")[2])
        pixels.save(stream, "WEBP" if "webp" in spelling else "JPEG", quality=quality)
        with Image.open(io.BytesIO(stream.getvalue())) as expected:
            expected = np.array(expected.convert(pixels.mode))
        with Image.open(out / folder / "val2017" / path.name) as found:
            np.testing.assert_array_equal(np.array(found.convert(pixels.mode)), expected)
    record = json.loads((out / folder / "manifest.json").read_text())
    assert record["settings"]["corruption"] == spelling
    assert all(image["num_bytes"] > 0 for image in record["images"])


@pytest.mark.parametrize("spelling", ["double_jpeg:10,90", "webp:30"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_stays_whatever_the_format_holds(
    compress, coco, tmp_path, photo, spelling, orientation
):
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    path = coco / "val2017/1.jpg"
    Image.fromarray(photo[:50, :70]).save(path, exif=exif, quality=95)
    with Image.open(path) as source:
        upright = np.array(ImageOps.exif_transpose(source))
    assert compress(coco, tmp_path / "out", "--corruption", spelling, "--workers", 0) == 0
    (tree,) = [folder for folder in (tmp_path / "out").iterdir() if folder.is_dir()]
    with Image.open(tree / "val2017/1.jpg") as found:
        turned = np.array(ImageOps.exif_transpose(found))
    assert turned.shape[:2] == upright.shape[:2]
    assert np.abs(turned[..., :3].astype(int) - upright).mean() < 12


def test_what_moves_an_image_is_refused_before_anything_is_written(
    compress, coco, tmp_path, capsys
):
    for spelling in ("resized_jpeg:10,0.5", "cropped_jpeg:10,offset=3"):
        assert compress(coco, tmp_path / "out", "--corruption", spelling) == 2
        assert "annotations would no longer fit" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_stopped_corruption_goes_on_as_qualities_do(compress, coco, tmp_path):
    arguments = (coco, tmp_path / "out", "--corruption", "webp:30", "double_jpeg:10,90")
    assert compress(*arguments, "--workers", 0) == 0
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")}
    assert compress(*arguments, "--workers", 0) == 0
    assert before and before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.jpg")
    }
