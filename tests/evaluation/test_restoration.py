"""Restoration runs: the papers' JPEG rows, order, resuming, and what is skipped."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from jpeg_preproc import JpegRestorer, build_restorer
from jpeg_preproc.errors import ImageReadError, JpegPreprocError, QualityError
from jpeg_preproc.evaluation.protocols import decode_for
from jpeg_preproc.evaluation.restoration import (
    MEASURED_SOURCES,
    CompressedImage,
    NamedRestorer,
    engine_restorer,
    evaluate_restoration,
    find_images,
)
from jpeg_preproc.jpeg import compress_jpeg


class Blur:
    """A restorer that counts its calls: the mean of each pixel and its left neighbour."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, image: CompressedImage) -> np.ndarray:
        self.calls += 1
        pixels = image.pixels.astype(np.uint16)
        return ((pixels + np.roll(pixels, 1, axis=1)) // 2).astype(np.uint8)


def named(restore, name="blur", identity="1") -> NamedRestorer:
    return NamedRestorer(name, restore, identity)


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
    (row,) = [row for row in rows if row["restorer"] == restorer and row["qf"] == qf]
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
    assert {row["qf"] for row in rows} == set(expected)
    for row in rows:
        psnr, ssim, psnr_b = expected[row["qf"]]
        assert row["psnr"] == pytest.approx(psnr, abs=psnr_tolerance)
        assert row["ssim"] == pytest.approx(ssim, abs=0.0005)
        assert row["psnr_b"] == pytest.approx(psnr_b, abs=psnr_tolerance)


@pytest.mark.slow
def test_jpeg_rows_of_live1_in_colour(shared_data):
    run = evaluate_restoration([shared_data / "restoration" / "live1"], list(LIVE1_COLOUR))
    assert_rows(run.rows, LIVE1_COLOUR)
    assert {(row["dataset"], row["images"]) for row in run.rows} == {("live1", 29)}


def test_jpeg_row_of_live1_at_full_chroma(shared_data):
    folder = shared_data / "restoration" / "live1"
    run = evaluate_restoration([folder], [10], subsampling="4:4:4")
    assert_rows(run.rows, {10: (25.966, 0.742, 24.394)})


def test_jpeg_rows_of_the_grey_sets(shared_data):
    root = shared_data / "restoration"
    run = evaluate_restoration([root / "live1", root / "classic5"], [10], protocol="grey-y")
    expected = {"live1": (27.77, 0.773, 25.33), "classic5": (27.82, 0.760, 25.21)}
    for row in run.rows:
        assert_rows([row], {10: expected[row["dataset"]]})


def test_grey_files_measure_alike_under_both_protocols(shared_data):
    root = shared_data / "restoration"
    from_grey = evaluate_restoration([root / "live1_grey"], [10], protocol="fbcnn", limit=2)
    from_colour = evaluate_restoration([root / "live1"], [10], protocol="grey-y", limit=2)
    for measure in ("psnr", "ssim", "psnr_b"):
        assert from_grey.rows[0][measure] == pytest.approx(from_colour.rows[0][measure], abs=1e-4)


def test_jpeg_row_of_live1_under_qgac(shared_data):
    """0.008 dB below the published row: the authors' decoder does not round to 8 bits."""
    run = evaluate_restoration([shared_data / "restoration" / "live1"], [10], protocol="qgac")
    assert_rows(run.rows, {10: (25.60, 0.755, 23.53)}, psnr_tolerance=0.01)


def test_jpeg_rows_come_first_and_means_are_over_images(images, photo):
    run = evaluate_restoration([images], [40, 10, 40], [named(Blur())])
    assert [(row["qf"], row["restorer"]) for row in run.rows] == [
        (10, "jpeg"),
        (10, "blur"),
        (40, "jpeg"),
        (40, "blur"),
    ]
    values = []
    for path in find_images(images):
        clean = np.array(Image.open(path))
        with Image.open(_saved(clean, images.parent / "x.jpg", 10)) as coded:
            values.append(peak_signal_noise_ratio(clean, np.array(coded)))
    assert run.rows[0]["psnr"] == pytest.approx(np.mean(values), abs=1e-9)
    assert run.rows[0].keys() == {
        *("dataset", "qf", "restorer", "protocol", "psnr", "ssim", "psnr_b", "images")
    }
    assert (run.rows[0]["dataset"], run.rows[0]["images"], run.skipped) == ("set", 3, [])


def _saved(pixels, path, qf) -> Path:
    Image.fromarray(pixels).save(path, quality=qf, subsampling="4:2:0")
    return path


def test_a_restorer_gets_the_file_and_its_pixels(images):
    seen = []

    def restore(image: CompressedImage) -> np.ndarray:
        seen.append(image)
        return image.pixels

    run = evaluate_restoration([images], [10], [named(restore)], limit=1)
    clean = np.array(Image.open(images / "a.png"))
    assert seen[0].data == compress_jpeg(clean, 10)
    jpeg, same = run.rows
    assert {**same, "restorer": "jpeg"} == jpeg


def test_order_and_grouping_of_images_change_no_value(tmp_path, images):
    run = evaluate_restoration([images], [10, 30], [named(Blur())])
    reversed_folder = tmp_path / "reversed" / "set"
    reversed_folder.mkdir(parents=True)
    for index, path in enumerate(reversed(find_images(images))):
        (reversed_folder / f"{index}.png").write_bytes(path.read_bytes())
    assert evaluate_restoration([reversed_folder], [30, 10], [named(Blur())]).rows == run.rows
    singles = [
        evaluate_restoration([_alone(tmp_path, path)], [10], [named(Blur())]).rows
        for path in find_images(images)
    ]
    for index, restorer in enumerate(("jpeg", "blur")):
        mean = math.fsum(rows[index]["ssim"] for rows in singles) / 3
        assert by_name(run.rows, restorer, 10)["ssim"] == mean


def _alone(root: Path, path: Path) -> Path:
    folder = root / f"only_{path.stem}"
    folder.mkdir()
    (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_a_stopped_run_goes_on_where_it_was(images, tmp_path):
    store = tmp_path / "out" / "per_image.jsonl"
    whole = evaluate_restoration([images], [10, 30], [named(Blur())])
    blur = Blur()

    def stop_at_fourth(image):
        if blur.calls == 3:
            raise KeyboardInterrupt
        return blur(image)

    with pytest.raises(KeyboardInterrupt):
        evaluate_restoration([images], [10, 30], [named(stop_at_fourth)], store=store)
    assert len(store.read_text().splitlines()) == 7  # 4 of jpeg, 3 of blur
    with store.open("a") as stream:
        stream.write('{"dataset": "set", "ima')  # killed while writing
    again = Blur()
    resumed = evaluate_restoration([images], [10, 30], [named(again)], store=store)
    assert again.calls == 3
    assert resumed.rows == whole.rows
    assert len(store.read_text().splitlines()) == 12
    assert all(json.loads(line)["psnr"] for line in store.read_text().splitlines())


def test_a_last_line_without_its_end_is_completed(images, tmp_path):
    store = tmp_path / "per_image.jsonl"
    evaluate_restoration([images], [10], store=store)
    store.write_text(store.read_text().rstrip("\n"))
    blur = Blur()
    evaluate_restoration([images], [10], [named(blur)], store=store)
    assert blur.calls == 3
    assert len([json.loads(line) for line in store.read_text().splitlines()]) == 6


def test_infinite_values_survive_the_store(images, tmp_path):
    store = tmp_path / "per_image.jsonl"
    Image.new("L", (32, 32), 128).save(images / "a.png")
    runs = [evaluate_restoration([images], [90], limit=1, store=store) for _ in range(2)]
    assert runs[0].rows == runs[1].rows
    assert runs[1].rows[0]["psnr"] == math.inf


@pytest.mark.parametrize(
    "change",
    [
        {"qfs": [11]},
        {"protocol": "qgac"},
        {"subsampling": "4:4:4"},
        {"identity": "other weights"},
        {"name": "other name"},
        {"image": 0},
    ],
    ids=str,
)
def test_a_stored_value_is_used_for_the_same_conditions_only(images, tmp_path, change):
    store = tmp_path / "per_image.jsonl"

    def run(qfs=(10,), protocol="fbcnn", subsampling="4:2:0", identity="1", name="blur") -> int:
        blur = Blur()
        restorers = [named(blur, name, identity)]
        evaluate_restoration(
            [images], qfs, restorers, protocol, subsampling=subsampling, store=store, limit=1
        )
        return blur.calls

    assert run() == 1
    assert run() == 0
    if "image" in change:
        Image.new("RGB", (40, 40), "red").save(images / "a.png")
        change = {}
    assert run(**change) == 1


def test_engines_are_told_apart_by_all_that_decides_their_output():
    torch.manual_seed(0)
    network, other = build_restorer("ARCNN"), build_restorer("ARCNN")
    first = engine_restorer(JpegRestorer(network))
    assert first.name == "ARCNN"
    assert engine_restorer(JpegRestorer(network)).identity == first.identity
    others = [
        JpegRestorer(other),
        JpegRestorer(network, dtype="bf16"),
        JpegRestorer(network, tile=8),
    ]
    identities = {first.identity, *(engine_restorer(engine).identity for engine in others)}
    assert len(identities) == 4


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
    run = evaluate_restoration([images], [10], [named(Blur())], on_step=lambda *s: steps.append(s))
    assert [path.name for path, _ in run.skipped] == [
        *("0_text.png", "1_cut.jpg", "2_cmyk.jpg", "3_deep.png", "4_dot.png", "5_tiny.png"),
        "6_gone.png",
    ]
    assert all(str(path) in reason for path, reason in run.skipped)
    assert {row["images"] for row in run.rows} == {3}
    assert steps[-1] == (20, 20, "c.PNG")


def test_an_image_one_restorer_fails_on_leaves_all_rows(images):
    def fussy(image: CompressedImage) -> np.ndarray:
        if image.pixels.ndim == 2:
            raise ImageReadError("colour only")
        return image.pixels

    run = evaluate_restoration([images], [10], [named(Blur()), named(fussy, "fussy")])
    assert {row["images"] for row in run.rows} == {2}
    ((path, reason),) = run.skipped
    assert path.name == "c.PNG"
    assert "fussy at QF 10: colour only" in reason


def test_a_restorer_that_changes_the_shape_is_named(images):
    run = evaluate_restoration([images], [10], [named(lambda image: image.pixels[:-1], "crop")])
    assert run.rows == []
    assert len(run.skipped) == 3
    assert "crop at QF 10" in run.skipped[0][1]


def test_data_sets_of_one_name_are_told_apart(images, tmp_path):
    other = tmp_path / "more" / "set"
    other.mkdir(parents=True)
    (other / "a.png").write_bytes((images / "a.png").read_bytes())
    run = evaluate_restoration([images, other, images], [10])
    assert [(row["dataset"], row["images"]) for row in run.rows] == [
        (f"{tmp_path.name}/set", 3),
        ("more/set", 1),
    ]


def test_a_folder_without_images_names_its_folders(tmp_path, images):
    with pytest.raises(ImageReadError, match="is no folder"):
        evaluate_restoration([tmp_path / "absent"], [10])
    with pytest.raises(ImageReadError, match="Give one of its folders: set"):
        evaluate_restoration([tmp_path], [10])
    with pytest.raises(ImageReadError, match="at least one"):
        evaluate_restoration([], [10])


@pytest.mark.parametrize("qf", [0, 101])
def test_a_quality_out_of_range_is_refused_before_the_first_image(images, qf):
    blur = Blur()
    with pytest.raises(QualityError, match=str(qf)):
        evaluate_restoration([images], [10, qf], [named(blur)])
    assert blur.calls == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"subsampling": "4:1:1"}, "4:1:1"),
        ({"subsampling": "4:2:2", "protocol": "qgac"}, "does not go with protocol 'qgac'"),
        ({"protocol": "psnr"}, "fbcnn, qgac, grey-y"),
        ({"limit": 0}, "at least 1"),
        ({"restorers": [named(Blur()), named(Blur())]}, "'blur' is taken"),
        ({"restorers": [named(Blur(), "jpeg")]}, "'jpeg' is taken"),
        ({"restorers": [named(Blur(), "original")]}, "'original' is taken"),
    ],
)
def test_conditions_that_cannot_be_are_refused(images, options, message):
    with pytest.raises(JpegPreprocError, match=message):
        evaluate_restoration([images], [10], **options)


def test_steps_count_to_the_total(images):
    steps = []
    evaluate_restoration([images], [10, 20], [named(Blur())], on_step=lambda *s: steps.append(s))
    assert [done for done, _, _ in steps] == list(range(1, 13))
    assert {total for _, total, _ in steps} == {12}


def test_a_consistent_engine_has_rows_and_values_of_its_own(tmp_path, images, small_weights):
    plain, consistent = (
        engine_restorer(JpegRestorer(small_weights, consistent=on)) for on in (False, True)
    )
    assert consistent.name == plain.name + "+file" and consistent.identity != plain.identity
    assert "consistent" not in plain.identity  # values stored by earlier versions are still used
    run = evaluate_restoration([images], [20], [plain, consistent], store=tmp_path / "scores.jsonl")
    assert [row["restorer"] for row in run.rows] == ["jpeg", plain.name, consistent.name]
    values = [row["psnr"] for row in run.rows]
    assert values[2] > values[1]
    with Image.open(images / "a.png") as picture:
        data = compress_jpeg(np.asarray(picture), 20)
    expected = JpegRestorer(small_weights, consistent=True)(data).image
    found = consistent.restore(CompressedImage(data, decode_for(data, "fbcnn")))
    np.testing.assert_array_equal(found, expected)


def test_an_engine_that_knows_less_has_rows_and_values_of_its_own(images, small_weights):
    engine = JpegRestorer(small_weights)
    by_file, estimated, blind = (engine_restorer(engine, source) for source in MEASURED_SOURCES)
    names = [restorer.name for restorer in (estimated, blind)]
    assert names == [by_file.name + "+estimated", by_file.name + "+blind"]
    # Values stored by earlier versions are still used.
    assert "quality_source" not in by_file.identity
    assert len({by_file.identity, estimated.identity, blind.identity}) == 3
    with Image.open(images / "a.png") as picture:
        data = compress_jpeg(np.asarray(picture), 20)
    image = CompressedImage(data, decode_for(data, "fbcnn"))
    for restorer, expected in [
        (by_file, engine(data)),
        (estimated, engine(image.pixels)),
        (blind, engine(data, qf="blind")),
    ]:
        np.testing.assert_array_equal(restorer.restore(image), expected.image)
