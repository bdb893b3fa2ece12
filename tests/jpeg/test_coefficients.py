"""Coefficients read off samples, against an encoder's arithmetic and an independent reader."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.errors import ImageReadError
from jpeg_preproc.jpeg import block_dct, compress_jpeg, decode_jpeg, qtables_from_qf
from jpeg_preproc.jpeg.coefficients import quantised_range
from jpeg_preproc.jpeg.samples import read_samples

data = pytest.importorskip("skimage.data", reason="needs scikit-image, for photographs")


def photograph(name: str) -> np.ndarray:
    """Return a photograph in whole blocks of 16x16, or a drawn ramp, whose blocks are smooth."""
    if name == "ramp":
        rows, columns = np.mgrid[:160, :240]
        ramp = np.stack([90 + rows * 0.2, 110 + columns * 0.15, 180 - rows * 0.1], axis=-1)
        return np.rint(ramp).astype(np.uint8)
    image = getattr(data, name)()
    height, width = (min(side, 304) // 16 * 16 for side in image.shape[:2])
    return np.ascontiguousarray(image[:height, :width])


@pytest.mark.parametrize("qf", [5, 25, 50, 75, 90, 97, 100])
@pytest.mark.parametrize("name", ["camera", "moon", "brick"])
def test_of_a_grey_file_they_are_what_an_encoder_rounds_to(name, qf):
    dctn = pytest.importorskip("scipy.fft").dctn
    image = photograph(name)
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    blocks = image.reshape(rows, 8, columns, 8).swapaxes(1, 2) - 128.0
    exact = dctn(blocks, axes=(-2, -1), norm="ortho") / qtables_from_qf(qf)[0]
    samples = read_samples(compress_jpeg(image, qf))
    low, high = quantised_range(torch.from_numpy(samples.planes[0]), torch.tensor(samples.steps[0]))
    # What lies near the middle of two multiples may be rounded either way by whole numbers.
    away = (0.5 - np.abs(exact - np.rint(exact))) * samples.steps[0] > 0.3
    inside = (low.numpy() <= np.rint(exact)) & (np.rint(exact) <= high.numpy())
    assert inside[away].all() and away.mean() > 0.3
    unclipped = (np.abs(decode_jpeg(compress_jpeg(image, qf)).pixels - 127.5) < 127).reshape(
        rows, 8, columns, 8
    )
    known = unclipped.all(axis=(1, 3))
    certain = (low == high).numpy()
    assert not np.isfinite(low.numpy())[~known].any()
    large = np.broadcast_to(samples.steps[0] >= 9, certain.shape)
    assert certain[known][large[known]].all()  # from there on not even conspiring errors matter
    assert not certain[np.broadcast_to(samples.steps[0] == 1, certain.shape)].any()


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
@pytest.mark.parametrize("name", ["astronaut", "chelsea", "coffee", "ramp"])
def test_of_a_colour_file_they_are_those_of_another_reader(tmp_path, name, subsampling):
    jpeglib = pytest.importorskip("jpeglib", reason="needs jpeglib, the reference")
    image, path = photograph(name), tmp_path / "a.jpg"
    for qf in (5, 30, 60, 80, 90, 95, 98):
        path.write_bytes(compress_jpeg(image, qf, subsampling))
        samples, stored = read_samples(path), jpeglib.read_dct(str(path))
        for index, part in enumerate(("Y", "Cb", "Cr")):
            factor = samples.chroma_pixels if index else 1
            plane = torch.from_numpy(samples.planes[index, ::factor, ::factor].copy())
            low, high = quantised_range(plane, torch.tensor(samples.steps[index]))
            true = torch.from_numpy(getattr(stored, part).astype(np.float32))
            assert ((low <= true) & (true <= high)).all(), (qf, part)
            finite = torch.isfinite(low[..., 0, 0])
            clipped = ((plane == 0) | (plane == 255)).reshape(len(plane) // 8, 8, -1, 8)
            assert not finite[clipped.any(3).any(1)].any()
            assert finite[~clipped.any(3).any(1)].float().mean() > 0.999
            steps = torch.tensor(samples.steps[index])
            certain = (low == high)[finite][:, steps >= 5].float()
            assert not certain.numel() or certain.mean() > 0.97, (qf, part)


def test_a_block_that_repeats_a_sample_is_not_certain_at_small_steps():
    # 1.5 rounds to 2 in all 64 samples: that is an error of 4 in the first coefficient.
    flat = torch.full((1, 8, 8), 130, dtype=torch.uint8)
    low, high = quantised_range(flat, torch.full((8, 8), 4))
    assert low[0, 0, 0, 0, 0] <= 3 and high[0, 0, 0, 0, 0] >= 4


def test_what_is_no_multiple_of_the_steps_is_not_known(photo):
    luma = torch.from_numpy(photo[:64, :64, 1].copy()).clamp(1, 254)
    low, high = quantised_range(luma, torch.full((8, 8), 20))
    assert torch.isinf(low).all() and torch.isinf(high).all()


def test_a_clipped_sample_makes_its_block_unknown_and_no_other(photo):
    steps = torch.tensor(qtables_from_qf(50)[0].astype(np.float32))
    decoded = decode_jpeg(compress_jpeg(np.clip(photo[:64, :64, 1], 30, 220), 50)).pixels
    clipped = torch.from_numpy(decoded.copy())
    clipped[9, 17], clipped[40, 40] = 0, 255
    low, _ = quantised_range(clipped, steps)
    unknown = torch.isinf(low[..., 0, 0]).nonzero().tolist()
    assert unknown == [[1, 2], [5, 5]]


def test_batches_have_their_own_steps(photo):
    planes = [decode_jpeg(compress_jpeg(photo[:64, :96, 1], qf)).pixels for qf in (20, 70)]
    samples = torch.from_numpy(np.stack(planes))
    steps = torch.tensor(np.stack([qtables_from_qf(qf)[0] for qf in (20, 70)]))
    together = quantised_range(samples, steps)
    for index in range(2):
        alone = quantised_range(samples[index], steps[index])
        assert all(torch.equal(a[index], b) for a, b in zip(together, alone, strict=True))
    found = block_dct(samples.float() - 128) / steps[:, None, None]
    known = torch.isfinite(together[0])
    assert known.any() and (together[0] - found)[known].abs().max() < 1.5


def test_partial_blocks_are_refused():
    with pytest.raises(ImageReadError, match="multiples of 8"):
        quantised_range(torch.zeros(9, 8, dtype=torch.uint8), torch.ones(8, 8))
