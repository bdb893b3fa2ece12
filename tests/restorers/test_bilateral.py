"""The bilateral filter against OpenCV's, and what it gives without having learned anything."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage import data

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.evaluation.metrics import psnr
from jpeg_preproc.jpeg import decode_jpeg
from jpeg_preproc.restorers import build_restorer

# OpenCV's window is round: with this deviation nothing is left in the corners of a square one.
RADIUS, SPACE, COLOUR = 3, 0.7, 0.1


@pytest.fixture
def smooth(photo) -> np.ndarray:
    """A (120, 184) float32 image in [0, 1]."""
    return photo.mean(-1).astype(np.float32) / 255


def filtered(image, preset, colour):
    network = build_restorer("Bilateral", preset, radius=RADIUS, space=SPACE, colour=colour)
    with torch.no_grad():
        return network(torch.from_numpy(image)[None]).image[0].numpy()


def test_it_is_the_filter_of_opencv(smooth):
    cv2 = pytest.importorskip("cv2", reason="needs OpenCV")
    side = 2 * RADIUS + 1
    expected = cv2.bilateralFilter(smooth, side, COLOUR, SPACE, borderType=cv2.BORDER_REPLICATE)
    found = filtered(smooth[None], "grey", COLOUR)[0]
    assert np.abs(found - smooth).max() > 0.02  # so that the comparison says something
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_difference_in_colour_is_that_of_all_channels(smooth):
    colour = filtered(np.repeat(smooth[None], 3, axis=0), "base", COLOUR)
    grey = filtered(smooth[None], "grey", COLOUR / math.sqrt(3))
    np.testing.assert_allclose(colour, np.repeat(grey, 3, axis=0), atol=1e-5)


@pytest.mark.parametrize("qf,least", [(10, 0.1), (20, 0.15), (40, 0.15)])
def test_it_gives_a_little(qf, least):
    photo = np.ascontiguousarray(data.astronaut()[0:192, 128:320])
    jpeg = compress_jpeg(photo, qf=qf)
    restored = JpegRestorer("bilateral")(jpeg).image
    assert psnr(photo, restored) - psnr(photo, decode_jpeg(jpeg).pixels) > least
