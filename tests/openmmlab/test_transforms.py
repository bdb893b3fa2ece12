from __future__ import annotations

import io
import pickle
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.fileio import BaseStorageBackend, register_backend
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader
from toys import LOAD, OneFile, array_results, run

from jpeg_preproc.errors import (
    ImageReadError,
    PipelineError,
    QualityError,
    UnknownRestorerError,
    WeightsError,
)
from jpeg_preproc.jpeg import compress_jpeg, decode_jpeg, qtables_from_qf, roundtrip
from jpeg_preproc.openmmlab import JpegCompress, JpegRestore
from jpeg_preproc.restorers.engine import JpegRestorer


@pytest.mark.parametrize(
    "corruption,source,qf",
    [
        ("jpeg:15", "file", 15),
        ("double_jpeg:10,80,shift=3", "file", 80),
        ("resized_jpeg:10,1.5,then=70", "file", 70),
        ("cropped_jpeg:10,offset=8", "estimated", 10),  # a whole block: the grid stays in place
    ],
)
def test_restore_goes_by_what_it_would_know_of_such_a_file(
    weights, photo_file, corruption, source, qf
):
    """The source file is JPEG too; what it says of itself is no longer true of the image."""
    steps = [LOAD, dict(type="JpegCorrupt", corruption=corruption)]
    corrupted = run(steps, photo_file)
    trusting = dict(type="JpegRestore", restorer=weights, qf="file")
    told = run([*steps, trusting], photo_file)["jpeg_quality"]
    assert (told["source"], told["qf"]) == (source, qf)
    # As an image that anyone meets: by 'auto', in both ways.
    restored = run([*steps, dict(type="JpegRestore", restorer=weights)], photo_file)
    known = corrupted["jpeg_data"] or np.ascontiguousarray(corrupted["img"][..., ::-1])
    alone = JpegRestorer(weights)(known)
    np.testing.assert_array_equal(restored["img"][..., ::-1], alone.image)
    found = restored["jpeg_quality"]
    assert (found["source"], found["qf"]) == (alone.source, alone.qf)
    assert 5 <= found["qf"] <= 20  # what QF 10 and its source's QF 20 have left of it
    assert 0.2 < found["confidence"] <= 1


@pytest.mark.parametrize("strength", [0.0, 0.5])
def test_restore_at_a_strength(weights, photo_file, strength):
    restored = run(
        [LOAD, dict(type="JpegRestore", restorer=weights, strength=strength)], photo_file
    )
    expected = JpegRestorer(weights, strength=strength)(photo_file).image
    np.testing.assert_array_equal(restored["img"][..., ::-1], expected)
    with pytest.raises(QualityError):
        JpegRestore(weights, strength=1.5)


@pytest.mark.parametrize("shape", [(1, 1, 3), (9, 7, 3), (7, 9)])
def test_tiny_images_work(weights, shape):
    image = np.full(shape, 100, np.uint8)
    results = JpegRestore(weights)(JpegCompress(20)(array_results(image)))
    assert results["img"].shape == shape and results["img"].dtype == np.uint8


@pytest.mark.parametrize("qf", [0, 101, -3, "high", 10.5])
def test_a_quality_that_does_not_exist_is_refused_at_construction(qf, weights):
    with pytest.raises(QualityError):
        JpegCompress(qf)
    with pytest.raises(QualityError):
        JpegRestore(weights, qf=qf)


def test_unknown_settings_are_refused_at_construction(weights):
    with pytest.raises(QualityError, match="4:2:0"):
        JpegCompress(10, subsampling="4:1:0")
    with pytest.raises(UnknownRestorerError, match="no_such_restorer"):
        JpegRestore("no_such_restorer")
    with pytest.raises(PipelineError, match="fp32, bf16, fp16"):
        JpegRestore(weights, dtype="fp8")


# --- JpegRestore: which quality


def test_the_files_own_tables_are_used_and_said(photo_file, weights):
    result = run([LOAD, dict(type="JpegRestore", restorer=weights)], photo_file)
    expected = JpegRestorer(weights)(photo_file)
    np.testing.assert_array_equal(result["img"], expected.image[..., ::-1])
    quality = result["jpeg_quality"]
    assert (quality["qf"], quality["source"], quality["restorer"]) == (20, "file", weights)
    np.testing.assert_array_equal(quality["qtables"], qtables_from_qf(20))


def test_an_earlier_compression_is_found_in_the_files_coefficients(tmp_path, photo, weights):
    twice = tmp_path / "twice.jpg"
    twice.write_bytes(compress_jpeg(roundtrip(photo, 20), 75))
    result = run([LOAD, dict(type="JpegRestore", restorer=weights)], twice)
    expected = JpegRestorer(weights)(twice)
    assert (expected.source, abs(expected.qf - 20) <= 2) == ("earlier", True)
    np.testing.assert_array_equal(result["img"], expected.image[..., ::-1])
    assert result["jpeg_quality"]["source"] == "earlier"


def test_the_tables_matter_to_the_restorer_of_these_tests(photo_file, weights):
    by_file = run([LOAD, dict(type="JpegRestore", restorer=weights)], photo_file)["img"]
    by_config = run([LOAD, dict(type="JpegRestore", restorer=weights, qf=90)], photo_file)
    assert (by_file != by_config["img"]).any()
    assert by_config["jpeg_quality"]["source"] == "given"


def test_tables_of_jpeg_compress_come_before_the_files(photo_file, weights):
    pipeline = [LOAD, dict(type="JpegCompress", qf=7), dict(type="JpegRestore", restorer=weights)]
    result = run(pipeline, photo_file)
    with Image.open(photo_file) as picture:
        twice = compress_jpeg(np.array(picture), 7)
    expected = JpegRestorer(weights)(twice)
    assert expected.qf == 7
    np.testing.assert_array_equal(result["img"], expected.image[..., ::-1])
    assert (result["jpeg_quality"]["qf"], result["jpeg_quality"]["source"]) == (7, "given")


def test_an_array_is_estimated(photo, weights):
    compressed = JpegCompress(20)(array_results(photo))["img"]
    result = JpegRestore(weights)(array_results(compressed))
    assert result["jpeg_quality"]["source"] == "estimated"
    assert result["jpeg_quality"]["qf"] == 20


def test_a_file_that_is_no_jpeg_is_estimated(tmp_path, photo, weights):
    compressed = JpegCompress(20)(array_results(photo))["img"]
    cv2.imwrite(str(tmp_path / "a.png"), compressed)
    result = run([LOAD, dict(type="JpegRestore", restorer=weights)], tmp_path / "a.png")
    assert (result["jpeg_quality"]["source"], result["jpeg_quality"]["qf"]) == ("estimated", 20)


def test_blind_is_said(photo_file, weights):
    result = run([LOAD, dict(type="JpegRestore", restorer=weights, qf="blind")], photo_file)
    quality = result["jpeg_quality"]
    assert (quality["qf"], quality["source"], quality["qtables"]) == (None, "blind", None)


def test_the_file_is_read_through_its_backend(photo_file, weights):
    content = photo_file.read_bytes()

    class OnlyOneFile(BaseStorageBackend):
        def get(self, filepath):
            return {"somewhere://photo.jpg": content}[filepath]

        def get_text(self, filepath, encoding="utf-8"):
            raise NotImplementedError

    register_backend("only_one_file", OnlyOneFile, force=True)
    backend = dict(backend="only_one_file")
    pipeline = [
        dict(type="LoadImageFromFile", backend_args=backend),
        dict(type="JpegRestore", restorer=weights, backend_args=backend),
    ]
    quality = run(pipeline, "somewhere://photo.jpg")["jpeg_quality"]
    assert (quality["qf"], quality["source"]) == (20, "file")


# --- JpegRestore: which pixels


@pytest.mark.parametrize("qf", ["auto", 20, "blind"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_file_is_restored_as_stored(tmp_path, photo, weights, orientation, qf):
    path = tmp_path / "turned.jpg"
    path.write_bytes(compress_jpeg(photo[:103, :157], 20, orientation=orientation))
    result = run([LOAD, dict(type="JpegRestore", restorer=weights, qf=qf)], path)
    plain = tmp_path / "plain.jpg"
    plain.write_bytes(compress_jpeg(photo[:103, :157], 20))
    restored = JpegRestorer(weights)(plain, qf=qf).image
    # Pillow's own transposition is the reference for what upright means.
    turn = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}.get(orientation)
    upright = Image.fromarray(restored)
    upright = upright if turn is None else upright.transpose(Image.Transpose(turn))
    np.testing.assert_array_equal(result["img"], np.array(upright)[..., ::-1])


@pytest.mark.parametrize("color_type", ["color", "grayscale", "unchanged"])
def test_a_grey_file_is_restored_as_grey(tmp_path, photo, weights, color_type):
    path = tmp_path / "grey.jpg"
    path.write_bytes(compress_jpeg(photo[..., 1], 20))
    load = dict(type="LoadImageFromFile", color_type=color_type)
    image = run([load, dict(type="JpegRestore", restorer=weights)], path)["img"]
    expected = JpegRestorer(weights)(path).image
    assert image.shape == (photo.shape if color_type == "color" else photo.shape[:2])
    np.testing.assert_array_equal(image if image.ndim == 2 else image[..., 0], expected)
    assert image.ndim == 2 or (image == image[..., :1]).all()


@pytest.mark.parametrize("axis", [False, True])
def test_a_grey_array_for_a_colour_pipeline_gets_three_channels(photo, weights, axis):
    grey = photo[..., 1]
    array = grey[..., None] if axis else grey
    image = JpegRestore(weights, color_type="color")(array_results(array))["img"]
    expected = JpegRestorer(weights)(grey).image
    np.testing.assert_array_equal(image, np.stack([expected] * 3, axis=-1))
    kept = JpegRestore(weights, color_type="grayscale")(array_results(array))["img"]
    assert kept.shape == array.shape


def test_behind_resize_it_is_refused_by_file(photo_file, weights):
    resize = dict(type="Resize", scale=(64, 64))
    for transform in (dict(type="JpegRestore", restorer=weights), dict(type="JpegCompress", qf=9)):
        with pytest.raises(PipelineError, match=r"photo\.jpg.*directly behind LoadImageFromFile"):
            run([LOAD, resize, transform], photo_file)


@pytest.mark.parametrize(
    "transform",
    [
        dict(type="RandomFlip", prob=0.0),
        dict(type="Pad", size_divisor=32),
        dict(type="CenterCrop", crop_size=(40, 40)),
        dict(type="mmdet.RandomCrop", crop_size=(40, 40), allow_negative_crop=True),
        dict(type="mmseg.RandomCrop", crop_size=(40, 40)),
    ],
)
def test_behind_real_transforms_it_is_refused(photo_file, weights, transform):
    pytest.importorskip("mmdet")
    pytest.importorskip("mmseg")
    annotations = dict(
        gt_bboxes=np.zeros((0, 4), np.float32), gt_seg_map=np.zeros((103, 157), np.uint8)
    )
    results = Compose([LOAD])(dict(img_path=str(photo_file))) | annotations
    results["seg_fields"] = ["gt_seg_map"]
    with pytest.raises(PipelineError, match=r"photo\.jpg"):
        Compose([transform, JpegRestore(weights)])(results)


def test_restoring_twice_is_refused(photo_file, weights):
    restore = dict(type="JpegRestore", restorer=weights)
    with pytest.raises(PipelineError, match=r"photo\.jpg.*restored before"):
        run([LOAD, restore, restore], photo_file)


# --- bad files


def cmyk(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).convert("CMYK").save(stream, "JPEG", quality=20)
    return stream.getvalue()


@pytest.mark.parametrize("backend", ["cv2", "pillow"])
@pytest.mark.parametrize(
    "damage,words",
    [
        (lambda photo: compress_jpeg(photo, 20)[:-2] + bytes(600), "truncated"),
        (cmyk, "CMYK"),
    ],
    ids=["truncated", "cmyk"],
)
def test_a_file_that_the_loader_decodes_goes_on_by_an_estimate(
    tmp_path, photo, backend, damage, words
):
    path = tmp_path / "bad.jpg"
    path.write_bytes(damage(photo))
    load = LOAD | dict(imdecode_backend=backend)
    before = run([load], path)["img"]
    result = run([load, dict(type="JpegRestore", restorer="nano")], path)
    quality = result["jpeg_quality"]
    assert words in quality["problem"] and "bad.jpg" in quality["problem"]
    assert quality["source"] in ("estimated", "grid")
    by_pixels = JpegRestore("nano")(array_results(before))
    np.testing.assert_array_equal(result["img"], by_pixels["img"])
    assert by_pixels["jpeg_quality"]["problem"] is None
    with pytest.raises(ImageReadError, match=rf"bad\.jpg.*{words}"):
        run([load, dict(type="JpegRestore", restorer="nano", strict=True)], path)


def test_pixels_that_an_unknown_transform_has_changed_are_not_restored_by_the_files_tables(
    tmp_path, photo
):
    path = tmp_path / "fine.jpg"
    path.write_bytes(compress_jpeg(photo, 96))

    @TRANSFORMS.register_module(name="ToyCorrupt", force=True)
    class ToyCorrupt:
        def __call__(self, results):
            rgb = np.ascontiguousarray(results["img"][..., ::-1])
            results["img"] = decode_jpeg(compress_jpeg(rgb, 7)).pixels[..., ::-1]
            return results

    steps = [LOAD, dict(type="ToyCorrupt"), dict(type="JpegRestore", restorer="nano", qf="file")]
    quality = run(steps, path)["jpeg_quality"]
    assert (quality["source"], quality["qf"] < 20) == ("estimated", True)
    assert "a transform before JpegRestore has changed it" in quality["problem"]
    with pytest.raises(PipelineError, match=r"fine\.jpg.*has changed it"):
        run([*steps[:2], steps[2] | dict(strict=True)], path)


@pytest.mark.parametrize("grey", [False, True])
def test_an_image_that_is_too_large_is_left_as_it_is(photo, grey):
    image = photo[..., 0] if grey else photo
    restore = JpegRestore("nano", max_pixels=image.shape[0] * image.shape[1] - 1)
    result = restore(array_results(image))
    np.testing.assert_array_equal(result["img"], image)
    quality = result["jpeg_quality"]
    assert (quality["source"], quality["qf"], quality["qtables"]) == ("unrestored", None, None)
    assert "184x120 pixels are more than max_pixels=22079" in quality["problem"]


@pytest.mark.parametrize(
    "steps",
    [
        [dict(type="JpegRestore", restorer="nano")],
        [dict(type="JpegCompress", qf=10), dict(type="JpegRestore", restorer="nano")],
        [dict(type="JpegCorrupt", corruption="jpeg:10")],
    ],
    ids=["restore", "both", "corrupt"],
)
def test_float32_of_a_loader_stays_float32(photo_file, steps):
    expected = run([LOAD, *steps], photo_file)["img"]
    result = run([LOAD | dict(to_float32=True), *steps], photo_file)["img"]
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, expected)


def test_a_16_bit_png_says_what_to_set(tmp_path, weights):
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((9, 9, 3), 40000, np.uint16))
    restore = dict(type="JpegRestore", restorer=weights)
    assert run([LOAD, restore], tmp_path / "deep.png")["img"].dtype == np.uint8
    load = dict(type="LoadImageFromFile", color_type="unchanged")
    with pytest.raises(PipelineError, match=r"deep\.png.*uint16.*color_type='color'"):
        run([load, restore], tmp_path / "deep.png")


def test_a_damaged_weights_file_is_named(photo_file, weights, tmp_path):
    data = bytearray(Path(weights).read_bytes())
    data[-1] ^= 1
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(bytes(data))
    manifest = Path(weights).with_suffix(".json").read_bytes()
    (tmp_path / "damaged.json").write_bytes(manifest)
    with pytest.raises(WeightsError, match=r"damaged\.safetensors"):
        run([LOAD, dict(type="JpegRestore", restorer=str(damaged))], photo_file)


# --- workers, pickles, configs


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_give_what_the_main_process_gives(photo_file, weights, context):
    dataset = OneFile(photo_file, LOAD, JpegRestore(weights))
    here = dataset[0]
    loader = DataLoader(
        dataset,
        num_workers=2 if context == "fork" else 1,  # a spawned one imports everything anew
        multiprocessing_context=context,
        collate_fn=pseudo_collate,
    )
    images = [image for batch in loader for image in batch]
    assert len(images) == 3
    for image in images:
        np.testing.assert_array_equal(image, here)


def test_a_pickle_holds_no_network_and_works(photo_file, weights):
    transform = JpegRestore(weights, qf=30)
    before = transform(run([LOAD], photo_file))["img"]
    data = pickle.dumps(transform)
    assert len(data) < 1000
    after = pickle.loads(data)(run([LOAD], photo_file))["img"]
    np.testing.assert_array_equal(before, after)


def test_repr_shows_every_setting(weights):
    assert repr(JpegCompress(10, "4:4:4")) == (
        "JpegCompress(qf=10, subsampling='4:4:4', prob=1.0, backend_args=None)"
    )
    assert repr(JpegRestore(weights, qf="blind", tile=None)) == (
        f"JpegRestore(restorer={weights!r}, qf='blind', device='cpu', dtype='fp32', tile=None, "
        "backend_args=None, color_type='unchanged', consistent=False, strength=None, "
        "strict=False, max_pixels=100000000)"
    )


@pytest.mark.parametrize("scope", ["mmdet", "mmseg"])
def test_child_registries_find_both(scope, weights):
    pytest.importorskip(scope)
    registry = __import__(f"{scope}.registry", fromlist=["TRANSFORMS"]).TRANSFORMS
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(registry.build(dict(type="JpegCompress", qf=10)), JpegCompress)
        restore = registry.build(dict(type="JpegRestore", restorer=weights))
        assert isinstance(restore, JpegRestore)
        assert TRANSFORMS.get("JpegRestore") is JpegRestore


def test_custom_imports_suffice(tmp_path, photo_file, weights):
    """In a process that never imported this package, as a user's mmdet is."""
    pytest.importorskip("mmdet")
    config = tmp_path / "config.py"
    config.write_text(
        "custom_imports = dict(imports=['jpeg_preproc.openmmlab'], allow_failed_imports=False)\n"
        "default_scope = 'mmdet'\n"
        "pipeline = [dict(type='LoadImageFromFile'),"
        f" dict(type='JpegRestore', restorer={weights!r}),"
        " dict(type='Resize', scale=(64, 64), keep_ratio=True),"
        " dict(type='PackDetInputs', meta_keys=('img_path', 'jpeg_quality'))]\n"
    )
    assert Config.fromfile(str(config)).default_scope == "mmdet"
    program = (
        "import sys; from mmengine.config import Config; from mmengine.dataset import Compose\n"
        "from mmengine.registry import init_default_scope\n"
        "config = Config.fromfile(sys.argv[1]); init_default_scope(config.default_scope)\n"
        "data = Compose(config.pipeline)(dict(img_path=sys.argv[2], img_id=0))\n"
        "quality = data['data_samples'].jpeg_quality\n"
        "print(quality['qf'], quality['source'], tuple(data['inputs'].shape))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(config), str(photo_file)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[-2] == "20 file (3, 42, 64)"
