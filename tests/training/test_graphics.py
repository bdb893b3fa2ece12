from __future__ import annotations

import numpy as np

from jpeg_preproc.training.data import JpegCrops
from jpeg_preproc.training.graphics import draw_graphic


def test_a_drawing_is_the_same_in_every_run_and_no_other_one():
    first = draw_graphic(5, 96)
    np.testing.assert_array_equal(first, draw_graphic(5, 96))
    assert first.dtype == np.uint8 and first.shape == (96, 96, 3)
    assert len({draw_graphic(index, 96).tobytes() for index in range(12)}) == 12


def test_crops_are_cut_from_drawings_as_from_photographs():
    crops = JpegCrops([{"graphics": 3}], crop=64)
    assert len(crops.images) == 3 and crops.skipped == []
    assert crops[0]["jpeg"].shape == (3, 64, 64)
