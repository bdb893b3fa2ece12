"""Quantisation tables against Pillow's encoder, which calls libjpeg."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.errors import QualityError
from jpeg_preproc.jpeg import (
    ANNEX_K_CHROMA,
    ANNEX_K_LUMA,
    ZIGZAG,
    nearest_qf,
    qtables_from_qf,
    read_jpeg_info,
    validate_qf,
)
from jpeg_preproc.jpeg.tables import octaves_of, qf_of


@pytest.mark.parametrize("qf", range(1, 101))
def test_tables_of_every_quality_are_pillows(qf: int) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG", quality=qf)
    with Image.open(stream) as picture:
        pillows = np.array([picture.quantization[0], picture.quantization[1]]).reshape(2, 8, 8)
    np.testing.assert_array_equal(qtables_from_qf(qf), pillows)

    info = read_jpeg_info(stream.getvalue())
    np.testing.assert_array_equal(info.qtables, pillows)
    assert (info.qf, info.qf_exact, info.qf_distance) == (qf, True, 0.0)


def test_quality_50_is_annex_k() -> None:
    np.testing.assert_array_equal(qtables_from_qf(50), [ANNEX_K_LUMA, ANNEX_K_CHROMA])


def test_zigzag_is_figure_a6() -> None:
    # ITU-T T.81, figure A.6: the place in the zigzag sequence of each natural position.
    figure = [
        [0, 1, 5, 6, 14, 15, 27, 28],
        [2, 4, 7, 13, 16, 26, 29, 42],
        [3, 8, 12, 17, 25, 30, 41, 43],
        [9, 11, 18, 24, 31, 40, 44, 53],
        [10, 19, 23, 32, 39, 45, 52, 54],
        [20, 22, 33, 38, 46, 51, 55, 60],
        [21, 34, 37, 47, 50, 56, 59, 61],
        [35, 36, 48, 49, 57, 58, 62, 63],
    ]
    np.testing.assert_array_equal(np.ravel(figure)[ZIGZAG], np.arange(64))


@pytest.mark.parametrize("qf", range(1, 101))
def test_nearest_quality_finds_each_from_all_tables_and_from_luma_alone(qf: int) -> None:
    luma, chroma = qtables_from_qf(qf)
    for tables in ([luma, chroma], [luma], luma, [luma, chroma, chroma]):
        match = nearest_qf(np.array(tables))
        assert (match.qf, match.exact, match.distance) == (qf, True, 0.0)


def test_distance_is_in_octaves() -> None:
    # No libjpeg table has a flat spectrum; doubling a table adds at most one octave.
    flat = nearest_qf(np.full((2, 8, 8), 40))
    assert not flat.exact
    assert 0.3 < flat.distance < 1.0
    one_off = qtables_from_qf(80)
    one_off[0, 0, 0] *= 2
    match = nearest_qf(one_off)
    assert (match.qf, match.exact) == (80, False)
    assert match.distance == pytest.approx(1 / 128)


def test_steps_above_255_are_compared_as_well() -> None:
    match = nearest_qf(np.full((1, 8, 8), 510))
    assert (match.qf, match.exact) == (1, False)
    assert match.distance == pytest.approx(1.0)


@pytest.mark.parametrize("qf", [0, 101, -1, 50.0, "50", None, True])
def test_what_is_no_quality_is_refused_by_value(qf: object) -> None:
    with pytest.raises(QualityError, match="1"):
        validate_qf(qf)  # type: ignore[arg-type]
    with pytest.raises(QualityError):
        qtables_from_qf(qf)  # type: ignore[arg-type]


def test_numpy_integers_are_qualities() -> None:
    assert validate_qf(np.int64(40)) == 40


@pytest.mark.parametrize(
    "tables",
    [np.ones((0, 8, 8), int), np.ones(64, int), np.zeros((1, 8, 8), int), np.ones((8, 8))],
)
def test_what_are_no_tables_is_refused(tables: np.ndarray) -> None:
    with pytest.raises(QualityError, match="tables"):
        nearest_qf(tables)


def test_constants_cannot_be_overwritten() -> None:
    with pytest.raises(ValueError, match="read-only"):
        ANNEX_K_LUMA[0, 0] = 1


@pytest.mark.parametrize("qf", [12, 25, 40, 50, 60, 80])
def test_an_octave_doubles_the_steps(qf):
    finer = qf_of(octaves_of(qf) - 1)
    ratio = qtables_from_qf(qf).astype(float) / qtables_from_qf(finer)
    free = (qtables_from_qf(qf) < 255) & (
        qtables_from_qf(finer) > 8
    )  # neither cut nor rounded much
    assert np.log2(ratio[free]).mean() == pytest.approx(1.0, abs=0.06)


def test_octaves_and_qualities_are_each_others_inverse():
    assert [qf_of(octaves_of(qf)) for qf in range(1, 100)] == list(range(1, 100))
    assert qf_of(-20.0) == 100 and qf_of(20.0) == 1
