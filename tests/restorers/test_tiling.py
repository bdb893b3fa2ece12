from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from jpeg_preproc.restorers.tiling import run_tiled, tiles


@pytest.mark.parametrize(
    "height,width,size,overlap", [(100, 37, 32, 16), (64, 64, 64, 8), (1, 1, 16, 0)]
)
def test_each_pixel_is_kept_once_and_tiles_start_on_the_grid(height, width, size, overlap):
    count = np.zeros((height, width), int)
    for tile in tiles(height, width, size, overlap):
        count[tile.keep] += 1
        for read, keep in zip(tile.read, tile.keep, strict=True):
            assert read.start % 16 == 0
            assert read.start <= keep.start < keep.stop <= read.stop
    assert (count == 1).all()


def test_tiled_equals_whole_for_a_filter_within_the_overlap():
    image = torch.rand(2, 3, 150, 97, generator=torch.Generator().manual_seed(0))
    kernel = torch.rand(3, 1, 9, 9, generator=torch.Generator().manual_seed(1))

    def blur(x):
        return F.conv2d(x, kernel, padding=4, groups=3)

    tiled = run_tiled(blur, image, size=48, overlap=4)
    torch.testing.assert_close(tiled, blur(image))
    # And differs where the overlap is too small: the test can tell.
    assert not torch.allclose(run_tiled(blur, image, size=16, overlap=0), blur(image))
