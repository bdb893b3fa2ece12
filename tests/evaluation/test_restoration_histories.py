"""Restoration runs over histories, against Pillow's images, and what a restorer is told."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from restoration_runs import coded_by_pillow, measured
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jpeg_preproc import JpegRestorer
from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.evaluation.conditions import (
    QUALITY_SOURCES,
    choose_restorers,
)
from jpeg_preproc.evaluation.folders import find_images
from jpeg_preproc.evaluation.protocols import decode_nearest_chroma
from jpeg_preproc.evaluation.restoration import evaluate_restoration
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info
from jpeg_preproc.report import result_tables
from jpeg_preproc.restorers import DecodedImage


def jpeg_by_pillow(pixels, quality):
    return coded_by_pillow(pixels, "JPEG", quality=quality, subsampling="4:2:0")


def resized_by_pillow(pixels, scale):
    height, width = pixels.shape[:2]
    size = (round(width * scale), round(height * scale))
    return np.array(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def resized(clean):
    data, coded = jpeg_by_pillow(clean, 20)
    return data, resized_by_pillow(coded, 0.75), resized_by_pillow(clean, 0.75)


def cropped(clean):
    data, coded = jpeg_by_pillow(clean, 20)
    return data, coded[3:, 3:], clean[3:, 3:]


def saved_again(clean):
    _, once = jpeg_by_pillow(clean, 10)
    data, twice = jpeg_by_pillow(np.ascontiguousarray(once[4:, 4:]), 95)
    return data, twice, clean[4:, 4:]


def webp(clean):
    return *coded_by_pillow(clean, "WEBP", quality=30), clean


@pytest.mark.parametrize(
    ("spelling", "strength", "independent"),
    [
        ("resized_jpeg:20,0.75", 20.0, resized),
        ("cropped_jpeg:20,offset=3", 20.0, cropped),
        ("double_jpeg:10,95,shift=4", 10.0, saved_again),
        ("webp:30", 30.0, webp),
    ],
)
def test_a_history_end_to_end(tmp_path, photo, spelling, strength, independent):
    """Against Pillow's files and kernels, and scikit-image's PSNR and SSIM."""
    folder = tmp_path / "set"
    folder.mkdir()
    cuts = [photo[:48, :64], photo[40:120, 60:180]]
    expected = {"psnr": [], "ssim": [], "bytes": 0, "pixels": 0}
    for index, clean in enumerate(cuts):
        Image.fromarray(clean).save(folder / f"{index}.png")
        data, tested, reference = independent(np.ascontiguousarray(clean))
        expected["psnr"].append(peak_signal_noise_ratio(reference, tested))
        # As Wang et al. 2004 have it: 11 pixels of a Gaussian, population variances.
        options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
        ssim = structural_similarity(reference, tested, channel_axis=2, **options)
        expected["ssim"].append(ssim)
        expected["bytes"] += len(data)
        expected["pixels"] += clean.shape[0] * clean.shape[1]
    (row,) = evaluate_restoration([folder], [spelling]).rows
    assert row.psnr == pytest.approx(np.mean(expected["psnr"]), abs=1e-9)
    assert row.ssim == pytest.approx(np.mean(expected["ssim"]), abs=1e-9)
    assert row.bytes_per_pixel == expected["bytes"] / expected["pixels"]
    assert (row.restorer, row.qf, row.images) == ("corrupted", None, 2)
    assert (row.corruption, row.strength) == (spelling, strength)


def test_a_cut_at_random_is_drawn_from_the_name(images):
    seen = []
    spelling = "cropped_jpeg:20"
    measured([images], [spelling], lambda image: seen.append(image.pixels.shape) or image.pixels)
    corruption = parse_corruption(spelling)
    for path, shape in zip(find_images(images), seen, strict=True):
        with Image.open(path) as picture:
            assert corruption.apply(np.array(picture), path.name, SEED).pixels.shape == shape


def test_kinds_stand_in_the_order_given_and_each_by_strength(images):
    given = ["webp:40", "jpeg:30", "webp:20", Jpeg(10)]
    run = evaluate_restoration([images], given, limit=1)
    assert [row.corruption for row in run.rows] == ["webp:20", "webp:40", "jpeg:10", "jpeg:30"]
    (table,) = result_tables(run.rows)
    assert table.columns == ("restorer", "webp:20", "webp:40", "QF 10", "QF 30")
    assert [line[0] for line in table.rows] == ["corrupted", "jpeg"]


@pytest.mark.parametrize(
    ("spelling", "has_file"),
    [
        ("jpeg:10", True),
        ("double_jpeg:10,95,shift=4", True),
        ("cropped_jpeg:10,offset=3", False),
        ("webp:30", False),
    ],
)
def test_a_restorer_gets_what_a_user_would_have(images, spelling, has_file):
    seen = []

    def restore(image: DecodedImage) -> np.ndarray:
        seen.append(image)
        return image.pixels

    run = measured([images], [spelling], restore, limit=1)
    (image,) = seen
    assert (image.data is not None) == (image.qtables is not None) == has_file
    if has_file:
        np.testing.assert_array_equal(image.qtables, read_jpeg_info(image.data).qtables)
        np.testing.assert_array_equal(image.pixels, np.array(Image.open(io.BytesIO(image.data))))
    reference, same = run.rows
    assert same.least_gain == 0
    assert replace(same, restorer=reference.restorer, least_gain=None) == reference


def test_what_a_protocols_own_decoder_cannot_take_is_refused_in_one_error(images):
    good = ["jpeg:10", "jpeg:10,4:4:4", "double_jpeg:10,95,shift=4", "resized_jpeg:20,0.75,then=90"]
    bad = ["jpeg:10,4:2:2", "webp:30", "cropped_jpeg:20,offset=3", "resized_jpeg:20,0.75"]
    with pytest.raises(CorruptionError) as refused:
        evaluate_restoration([images], [*good, *bad], protocol="qgac")
    assert "'qgac' has a JPEG decoder of its own" in str(refused.value)
    assert f"leave: {', '.join(bad)}. " in str(refused.value)
    assert len(evaluate_restoration([images], good, protocol="qgac").rows) == len(good)


def test_a_protocols_own_decoder_reads_the_last_file(tmp_path, photo):
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(photo).save(folder / "a.png")
    seen = []

    def restore(image: DecodedImage) -> np.ndarray:
        seen.append(image)
        return image.pixels

    run = measured([folder], ["double_jpeg:10,95,shift=4"], restore, protocol="qgac")
    data, _, reference = saved_again(photo)
    assert seen[0].data == data
    np.testing.assert_array_equal(seen[0].pixels, decode_nearest_chroma(data))
    expected = peak_signal_noise_ratio(reference, decode_nearest_chroma(data))
    assert run.rows[0].psnr == pytest.approx(expected, abs=1e-9)


def test_a_consistent_restorer_has_rows_of_its_own(tmp_path, images, small_weights):
    choices = choose_restorers([str(small_weights)], consistent=True)
    run = evaluate_restoration([images], ["jpeg:20"], choices, limit=1)
    assert [row.restorer for row in run.rows] == ["jpeg", "small", "small+file"]
    with Image.open(images / "a.png") as picture:
        clean = np.array(picture)
    data = compress_jpeg(clean, 20)
    for row, consistent in zip(run.rows[1:], (False, True), strict=True):
        expected = JpegRestorer(small_weights, consistent=consistent)(data).image
        assert row.psnr == pytest.approx(peak_signal_noise_ratio(clean, expected), abs=1e-9)
    assert run.rows[2].psnr > run.rows[1].psnr


def test_a_restorer_that_is_told_less_has_rows_of_its_own(images, small_weights):
    choices = choose_restorers([str(small_weights)], quality_sources=QUALITY_SOURCES)
    labels = ["small", "small+estimated", "small+blind", "small+best"]
    assert [chosen.label for chosen in choices] == labels
    run = evaluate_restoration([images], ["jpeg:20"], choices, limit=1)
    with Image.open(images / "a.png") as picture:
        clean = np.array(picture)
    data = compress_jpeg(clean, 20)
    engine = JpegRestorer(small_weights)
    results = [
        engine(data),
        engine(np.array(Image.open(io.BytesIO(data)))),
        engine(data, qf="blind"),
    ]
    assert [result.source for result in results] == ["file", "estimated", "blind"]
    values = [peak_signal_noise_ratio(clean, result.image) for result in results]
    assert [row.psnr for row in run.rows[1:4]] == pytest.approx(values, abs=1e-9)
    jpeg, plain, _, blind, best = run.rows
    assert (plain.told_qf, blind.told_qf) == (20, None)
    assert plain.least_gain == plain.psnr - jpeg.psnr
    best_qf = int(best.told_qf)
    assert best.psnr == pytest.approx(
        peak_signal_noise_ratio(clean, engine(data, qf=best_qf).image), abs=1e-9
    )
    for other in (5, 20, 80):
        other_psnr = peak_signal_noise_ratio(clean, engine(data, qf=other).image)
        assert best.psnr >= other_psnr - 0.05
