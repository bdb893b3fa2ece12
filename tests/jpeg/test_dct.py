"""The block transform against scipy's DCT."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import block_dct, block_idct

scipy_fft = pytest.importorskip("scipy.fft", reason="needs scipy, the reference")


@pytest.mark.parametrize("shape", [(8, 8), (16, 24), (3, 40, 8), (2, 3, 24, 16)])
def test_blocks_are_scipys(shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).uniform(-128, 127, shape)
    coefficients = block_dct(torch.from_numpy(image)).numpy()
    rows, columns = shape[-2] // 8, shape[-1] // 8
    assert coefficients.shape == (*shape[:-2], rows, columns, 8, 8)
    for row in range(rows):
        for column in range(columns):
            block = image[..., 8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
            expected = scipy_fft.dctn(block, axes=(-2, -1), norm="ortho")
            np.testing.assert_allclose(coefficients[..., row, column, :, :], expected, atol=1e-10)


@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        (torch.float64, 1e-10),
        (torch.float32, 1e-3),
        (torch.bfloat16, 4.0),
        (torch.float16, 0.5),
    ],
)
def test_inverse_gives_the_image_back_in_its_dtype(dtype: torch.dtype, tolerance: float) -> None:
    image = torch.rand(2, 3, 16, 32, generator=torch.manual_seed(0)).mul(255).sub(128).to(dtype)
    coefficients = block_dct(image)
    restored = block_idct(coefficients)
    assert (coefficients.dtype, restored.dtype) == (dtype, dtype)
    torch.testing.assert_close(restored, image, atol=tolerance, rtol=0)


def test_whole_numbers_are_computed_as_floats() -> None:
    image = torch.arange(64, dtype=torch.uint8).reshape(8, 8)
    torch.testing.assert_close(block_dct(image), block_dct(image.float()))


def test_gradients_pass_even_after_use_in_inference_mode() -> None:
    with torch.inference_mode():
        block_dct(torch.ones(8, 8))
    image = torch.rand(8, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: block_idct(block_dct(x) * 2), image)


@pytest.mark.parametrize("shape", [(9, 8), (8, 12), (8,)])
def test_what_does_not_divide_into_blocks_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageReadError, match="multiples of 8"):
        block_dct(torch.zeros(shape))


def test_what_are_no_blocks_is_refused() -> None:
    with pytest.raises(ImageReadError, match="8, 8"):
        block_idct(torch.zeros(1, 1, 8, 4))
