"""Other quantisation tables, as Pillow writes them into files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from jpeg_preproc.corruptions import NAMED_TABLES, Jpeg, TableJpeg, parse_corruption
from jpeg_preproc.errors import CorruptionError
from jpeg_preproc.jpeg import qtables_from_qf


@pytest.mark.parametrize("name", NAMED_TABLES)
def test_the_file_has_the_tables(name, photo):
    found = TableJpeg(name).apply(photo)
    np.testing.assert_array_equal(found.qtables, np.minimum(NAMED_TABLES[name], 255))
    with Image.open(io.BytesIO(found.data)) as picture:
        np.testing.assert_array_equal(found.pixels, picture)
        written = picture.quantization
    # Pillow gives tables in natural order.
    assert [list(table) for table in written.values()] == found.qtables.reshape(-1, 64).tolist()


def test_photoshop_s_are_those_that_pillow_applies(photo):
    stream = io.BytesIO()
    Image.fromarray(photo).save(stream, "JPEG", qtables="web_low", subsampling="4:2:0")
    assert TableJpeg("photoshop_web_low").apply(photo).data == stream.getvalue()


@pytest.mark.parametrize("qf", range(1, 101))
def test_annex_k_scaled_is_libjpeg_s(qf):
    np.testing.assert_array_equal(TableJpeg("annex_k", qf).qtables(), qtables_from_qf(qf))


def test_annex_k_scaled_gives_the_jpeg(photo):
    np.testing.assert_array_equal(
        TableJpeg("annex_k", 20).apply(photo).pixels, Jpeg(20).apply(photo).pixels
    )


@pytest.mark.parametrize("name", NAMED_TABLES)
@pytest.mark.parametrize("qf", [20, 50])
def test_scaled_tables_are_as_coarse_in_luma(name, qf):
    def mean(table):
        return np.log2(table.astype(float)).mean()

    found = TableJpeg(name, qf).qtables()
    assert found.dtype == np.uint16
    assert 1 <= found.min() <= found.max() <= 255
    # Entries that are cut at 255 and rounding take a little away.
    assert mean(found[0]) == pytest.approx(mean(qtables_from_qf(qf)[0]), abs=0.12)
    assert TableJpeg(name, qf).strength == qf


def test_own_tables_are_given_as_an_array(photo):
    tables = np.arange(1, 129, dtype=np.uint16).reshape(2, 8, 8)
    corruption = TableJpeg(tables)
    assert corruption == TableJpeg(tuple(range(1, 129)))
    assert parse_corruption(corruption.spelling) == corruption
    np.testing.assert_array_equal(corruption.apply(photo).qtables, tables)
    one = TableJpeg(tables[:1])
    np.testing.assert_array_equal(one.apply(photo).qtables[0], tables[0])


def test_grey_takes_the_luma_table(photo):
    found = TableJpeg("canon").apply(photo[..., 0])
    np.testing.assert_array_equal(found.qtables, NAMED_TABLES["canon"][:1])
    assert TableJpeg("canon", subsampling="grey").apply(photo).pixels.shape == photo.shape[:2]


def test_strength_is_the_nearest_quality():
    assert TableJpeg("annex_k").strength == 50
    assert TableJpeg("canon").strength > 80


@pytest.mark.parametrize(
    "wrong", ["kodak", "1:2:3", "a:b", (1, 2, 3), np.zeros((2, 8, 8), int), np.full((2, 8, 8), 256)]
)
def test_wrong_tables(wrong):
    with pytest.raises(CorruptionError, match=r"give one of annex_k, canon.*64 or 128 entries"):
        TableJpeg(wrong)
