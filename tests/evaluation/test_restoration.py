"""Restoration runs: the papers' JPEG rows, histories, order, resuming, and what is skipped."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from jpeg_preproc import JpegRestorer
from jpeg_preproc.corruptions import Jpeg, parse_corruption
from jpeg_preproc.errors import CorruptionError, ImageReadError, JpegPreprocError
from jpeg_preproc.evaluation.conditions import (
    QUALITY_SOURCES,
    RestorerChoice,
    choose_restorers,
    jpeg_at,
)
from jpeg_preproc.evaluation.folders import find_images
from jpeg_preproc.evaluation.protocols import decode_nearest_chroma
from jpeg_preproc.evaluation.restoration import evaluate_restoration
from jpeg_preproc.evaluation.task import SEED
from jpeg_preproc.jpeg import compress_jpeg, read_jpeg_info
from jpeg_preproc.report import result_tables
from jpeg_preproc.restorers import DecodedImage, Restored


class Blur:
    """A restorer that counts its calls: the mean of each pixel and its left neighbour."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: DecodedImage) -> np.ndarray:
        self.calls += 1
        pixels = image.pixels.astype(np.uint16)
        return ((pixels + np.roll(pixels, 1, axis=1)) // 2).astype(np.uint8)


class Function:
    """A function of one image as a restorer that takes several."""

    def __init__(self, function) -> None:
        self.function = function

    def restore(self, images, qf):
        return [Restored(self.function(image), None, "blind") for image in images]


def choice(name="blur") -> RestorerChoice:
    return RestorerChoice(name, name, sha256=f"that of {name}")


def measured(folders, corruptions, function, **options):
    """Measure a function of a user's own, under the name ``blur``; or several, by name."""
    functions = function if isinstance(function, dict) else {"blur": function}
    return evaluate_restoration(
        folders,
        corruptions,
        [choice(name) for name in functions],
        load=lambda chosen, settings: Function(functions[chosen.name]),
        **options,
    )


@pytest.fixture
def images(tmp_path, photo) -> Path:
    """A folder ``set`` of three small images, one of them grey."""
    folder = tmp_path / "set"
    folder.mkdir()
    Image.fromarray(photo[:48, :64]).save(folder / "a.png")
    Image.fromarray(photo[30:90, 40:100]).save(folder / "b.png")
    Image.fromarray(photo[50:100, 90:160, 0]).save(folder / "c.PNG")
    return folder


def by_name(rows, restorer, qf):
    (row,) = [row for row in rows if row.restorer == restorer and row.qf == qf]
    return row


# Published JPEG rows (DAGN table I, D2LNet tables 1 and 2, QGAC table 2); 4:4:4 is measured with
# Pillow by an independent script.
LIVE1_COLOUR = {
    10: (25.693, 0.743, 24.201),
    20: (28.061, 0.826, 26.488),
    30: (29.366, 0.861, 27.838),
    40: (30.280, 0.882, 28.832),
}


def assert_rows(rows, expected, psnr_tolerance=0.005):
    assert {row.qf for row in rows} == set(expected)
    for row in rows:
        psnr, ssim, psnr_b = expected[row.qf]
        assert row.psnr == pytest.approx(psnr, abs=psnr_tolerance)
        assert row.ssim == pytest.approx(ssim, abs=0.0005)
        assert row.psnr_b == pytest.approx(psnr_b, abs=psnr_tolerance)


@pytest.mark.slow
def test_jpeg_rows_of_live1_in_colour(shared_data):
    run = evaluate_restoration([shared_data / "restoration" / "live1"], jpeg_at(LIVE1_COLOUR))
    assert_rows(run.rows, LIVE1_COLOUR)
    assert {(row.dataset, row.images) for row in run.rows} == {("live1", 29)}


def test_jpeg_row_of_live1_at_full_chroma(shared_data):
    folder = shared_data / "restoration" / "live1"
    run = evaluate_restoration([folder], ["jpeg:10,4:4:4"])
    assert_rows(run.rows, {10: (25.966, 0.742, 24.394)})


def test_jpeg_rows_of_the_grey_sets(shared_data):
    root = shared_data / "restoration"
    run = evaluate_restoration([root / "live1", root / "classic5"], ["jpeg:10"], protocol="grey-y")
    expected = {"live1": (27.77, 0.773, 25.33), "classic5": (27.82, 0.760, 25.21)}
    for row in run.rows:
        assert_rows([row], {10: expected[row.dataset]})


def test_grey_files_measure_alike_under_both_protocols(shared_data):
    root = shared_data / "restoration"
    from_grey = evaluate_restoration([root / "live1_grey"], ["jpeg:10"], protocol="fbcnn", limit=2)
    from_colour = evaluate_restoration([root / "live1"], ["jpeg:10"], protocol="grey-y", limit=2)
    for measure in ("psnr", "ssim", "psnr_b"):
        grey, colour = (getattr(run.rows[0], measure) for run in (from_grey, from_colour))
        assert grey == pytest.approx(colour, abs=1e-4)


def test_jpeg_row_of_live1_under_qgac(shared_data):
    """0.008 dB below the published row: the authors' decoder does not round to 8 bits."""
    run = evaluate_restoration(
        [shared_data / "restoration" / "live1"], ["jpeg:10"], protocol="qgac"
    )
    assert_rows(run.rows, {10: (25.60, 0.755, 23.53)}, psnr_tolerance=0.01)


def test_the_reference_comes_first_and_means_are_over_images(images):
    run = measured([images], ["jpeg:40", "jpeg:10", "jpeg:40,4:2:0"], Blur())
    assert [(row.qf, row.restorer) for row in run.rows] == [
        (10, "jpeg"),
        (10, "blur"),
        (40, "jpeg"),
        (40, "blur"),
    ]
    values, num_bytes, num_pixels = [], 0, 0
    for path in find_images(images):
        clean = np.array(Image.open(path))
        data, coded = coded_by_pillow(clean, "JPEG", quality=10)
        values.append(peak_signal_noise_ratio(clean, coded))
        num_bytes += len(data)
        num_pixels += clean.shape[0] * clean.shape[1]
    row = run.rows[0]
    assert row.psnr == pytest.approx(np.mean(values), abs=1e-9)
    assert row.bytes_per_pixel == num_bytes / num_pixels
    assert (row.dataset, row.images, row.protocol) == ("set", 3, "fbcnn")
    assert (row.corruption, row.strength) == ("jpeg:10", 10.0)
    assert (run.skipped, run.outdated) == ([], [])


def coded_by_pillow(pixels, kind, **options):
    """Return the file that Pillow writes and the pixels that it reads back."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue(), np.array(Image.open(stream))


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


def test_order_and_grouping_of_images_change_no_value(tmp_path, images):
    run = measured([images], ["jpeg:10", "jpeg:30"], Blur())
    reversed_folder = tmp_path / "reversed" / "set"
    reversed_folder.mkdir(parents=True)
    for index, path in enumerate(reversed(find_images(images))):
        (reversed_folder / f"{index}.png").write_bytes(path.read_bytes())
    assert measured([reversed_folder], ["jpeg:30", "jpeg:10"], Blur()).rows == run.rows
    singles = [
        measured([_alone(tmp_path, path)], ["jpeg:10"], Blur()).rows for path in find_images(images)
    ]
    for index, restorer in enumerate(("jpeg", "blur")):
        mean = math.fsum(rows[index].ssim for rows in singles) / 3
        assert by_name(run.rows, restorer, 10).ssim == mean


def _alone(root: Path, path: Path) -> Path:
    folder = root / f"only_{path.stem}"
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_stopped_run_goes_on_where_it_was(images, tmp_path):
    store = tmp_path / "out" / "per_image.jsonl"
    whole = measured([images], ["jpeg:10", "jpeg:30"], Blur())
    blur = Blur()

    def stop_at_fourth(image):
        if blur.calls == 3:
            raise KeyboardInterrupt
        return blur(image)

    with pytest.raises(KeyboardInterrupt):
        measured([images], ["jpeg:10", "jpeg:30"], stop_at_fourth, store=store)
    assert len(store.read_text().splitlines()) == 7  # 4 of jpeg, 3 of blur
    with store.open("a") as stream:
        stream.write('{"dataset": "set", "ima')  # killed while writing
    again = Blur()
    resumed = measured([images], ["jpeg:10", "jpeg:30"], again, store=store)
    assert again.calls == 3
    assert (resumed.rows, resumed.outdated) == (whole.rows, [])
    assert len(store.read_text().splitlines()) == 12
    assert all(json.loads(line)["psnr"] for line in store.read_text().splitlines())


def test_a_last_line_without_its_end_is_completed(images, tmp_path):
    store = tmp_path / "per_image.jsonl"
    evaluate_restoration([images], ["jpeg:10"], store=store)
    store.write_text(store.read_text().rstrip("\n"))
    blur = Blur()
    measured([images], ["jpeg:10"], blur, store=store)
    assert blur.calls == 3
    assert len([json.loads(line) for line in store.read_text().splitlines()]) == 6


def test_infinite_values_survive_the_store(images, tmp_path):
    store = tmp_path / "per_image.jsonl"
    Image.new("L", (32, 32), 128).save(images / "a.png")
    runs = [evaluate_restoration([images], ["jpeg:90"], limit=1, store=store) for _ in range(2)]
    assert runs[0].rows == runs[1].rows
    assert runs[1].rows[0].psnr == math.inf


def test_unreadable_images_are_skipped_and_named(images, photo):
    (images / "0_text.png").write_text("no image")
    (images / "1_cut.jpg").write_bytes(compress_jpeg(photo, 90)[:2000])
    Image.new("CMYK", (32, 32)).save(images / "2_cmyk.jpg")
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(images / "3_deep.png")
    Image.new("RGB", (1, 1)).save(images / "4_dot.png")
    Image.new("RGB", (9, 7)).save(images / "5_tiny.png")
    (images / "6_gone.png").symlink_to(images / "nowhere.png")
    (images / "notes.txt").write_text("not for us")
    steps = []
    run = measured([images], ["jpeg:10"], Blur(), on_step=lambda *s: steps.append(s))
    assert [path.name for path, _ in run.skipped] == [
        *("0_text.png", "1_cut.jpg", "2_cmyk.jpg", "3_deep.png", "4_dot.png", "5_tiny.png"),
        "6_gone.png",
    ]
    assert all(str(path) in reason for path, reason in run.skipped)
    assert {row.images for row in run.rows} == {3}
    assert steps[-1] == (20, 20, "c.PNG")


def test_an_image_one_restorer_fails_on_leaves_all_rows(images):
    def fussy(image: DecodedImage) -> np.ndarray:
        if image.pixels.ndim == 2:
            raise ImageReadError("colour only")
        return image.pixels

    run = measured([images], ["jpeg:10", "webp:30"], {"blur": Blur(), "fussy": fussy})
    assert {row.images for row in run.rows} == {2}
    ((path, reason),) = run.skipped
    assert path.name == "c.PNG"
    assert "fussy at QF 10: colour only" in reason


def test_an_image_that_a_corruption_cannot_take_is_skipped(tmp_path, images):
    """No WebP is wider than 16383 pixels."""
    Image.new("L", (16400, 16)).save(images / "0_wide.png")
    run = evaluate_restoration([images], ["webp:30"])
    ((path, reason),) = run.skipped
    assert path.name == "0_wide.png"
    assert str(path) in reason and "corrupted, WebP at quality 30" in reason
    assert run.rows[0].images == 3


def test_a_restorer_that_changes_the_shape_is_named(images):
    run = measured([images], ["jpeg:10"], {"crop": lambda image: image.pixels[:-1]})
    assert run.rows == []
    assert len(run.skipped) == 3
    assert "crop at QF 10" in run.skipped[0][1]


def test_data_sets_of_one_name_are_told_apart(images, tmp_path):
    other = tmp_path / "more" / "set"
    other.mkdir(parents=True)
    (other / "a.png").write_bytes((images / "a.png").read_bytes())
    run = evaluate_restoration([images, other, images], ["jpeg:10"])
    assert [(row.dataset, row.images) for row in run.rows] == [
        (f"{tmp_path.name}/set", 3),
        ("more/set", 1),
    ]


def test_a_folder_without_images_names_its_folders(tmp_path, images):
    with pytest.raises(ImageReadError, match="is no folder"):
        evaluate_restoration([tmp_path / "absent"], ["jpeg:10"])
    with pytest.raises(ImageReadError, match="Give one of its folders: set"):
        evaluate_restoration([tmp_path], ["jpeg:10"])
    with pytest.raises(ImageReadError, match="at least one"):
        evaluate_restoration([], ["jpeg:10"])


@pytest.mark.parametrize("wrong", ["jpeg:0", "jpeg:101", "jpeg:10,4:1:1", "jpg:10", 10])
def test_a_corruption_that_there_is_not_is_refused_before_the_first_image(images, wrong):
    blur = Blur()
    with pytest.raises(CorruptionError):
        measured([images], ["jpeg:10", wrong], blur)
    assert blur.calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"corruptions": []}, "at least one"),
        ({"protocol": "psnr"}, "fbcnn, qgac, grey-y"),
        ({"limit": 0}, "at least 1"),
        ({"restorers": [choice(), choice()]}, "'blur' is taken"),
        ({"restorers": [choice("jpeg")]}, "'jpeg' is taken"),
        ({"restorers": [choice("original")]}, "'original' is taken"),
        ({"restorers": [choice("corrupted")]}, "'corrupted' is taken"),
    ],
)
def test_conditions_that_cannot_be_are_refused(images, options, message):
    with pytest.raises(JpegPreprocError, match=message):
        evaluate_restoration([images], **{"corruptions": ["jpeg:10"], **options})


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


def test_steps_count_to_the_total(images):
    steps = []
    given = ["jpeg:10", "jpeg:20"]
    measured([images], given, Blur(), on_step=lambda *s: steps.append(s))
    assert [done for done, _, _ in steps] == list(range(1, 13))
    assert {total for _, total, _ in steps} == {12}


def test_nothing_is_loaded_for_values_that_are_stored(images, tmp_path):
    store = tmp_path / "per_image.jsonl"
    measured([images], ["jpeg:10"], Blur(), store=store)

    def load(chosen, settings):
        pytest.fail("loaded")

    evaluate_restoration([images], ["jpeg:10"], [choice()], load=load, store=store)


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


def test_an_image_that_is_too_large_is_skipped(images):
    run = evaluate_restoration([images], ["jpeg:10"], max_pixels=60 * 60 - 1)
    assert [row.images for row in run.rows] == [2]
    ((path, reason),) = run.skipped
    assert path.name == "b.png" and "60x60 pixels" in reason
