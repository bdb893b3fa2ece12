from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.errors import WeightsError
from jpeg_preproc.evaluation.metrics import psnr
from jpeg_preproc.restorers import build_restorer
from jpeg_preproc.restorers.arcnn import from_official


def test_the_authors_weights_give_their_figure(shared_data):
    # Dong et al. report 29.03 dB on Classic5 at QF 10; the JPEG itself is at 27.82 dB.
    state = torch.load(shared_data / "models" / "arcnn_q10.pth", weights_only=True)
    network = build_restorer("ARCNN", "grey")
    network.load_state_dict(from_official(state))
    restorer = JpegRestorer(network)
    figures = []
    for path in sorted((shared_data / "restoration" / "classic5").glob("*.png")):
        clean = np.asarray(Image.open(path).convert("L"))
        figures.append(psnr(clean, restorer(compress_jpeg(clean, qf=10)).image))
    assert len(figures) == 5
    assert np.mean(figures) == pytest.approx(29.03, abs=0.02)


def test_other_weights_are_refused():
    with pytest.raises(WeightsError, match=r"c4\.weight"):
        from_official({"c4.weight": torch.zeros(1)})


def test_studio_luma_is_the_same_network_on_matlabs_range():
    torch.manual_seed(0)
    full, studio = (
        build_restorer("ARCNN", "grey", luma=luma).eval() for luma in ("full", "studio")
    )
    studio.load_state_dict(full.state_dict())
    image = torch.rand(1, 1, 24, 32)
    with torch.no_grad():
        inside = full(16 / 255 + image * 219 / 255).image
        torch.testing.assert_close(studio(image).image, (inside - 16 / 255) * 255 / 219)
    with pytest.raises(ValueError, match="'full' or 'studio'"):
        build_restorer("ARCNN", luma="tv")
