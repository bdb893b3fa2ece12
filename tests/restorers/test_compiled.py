"""Restorers under ``torch.compile``."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import torch

from jpeg_preproc import JpegRestorer, compress_jpeg
from jpeg_preproc.jpeg import qtables_from_qf
from jpeg_preproc.restorers import Quality


@pytest.mark.parametrize("told", [True, False])
def test_our_network_is_one_graph(small_weights, told):
    """Without breaks and waits in between, so that a GPU can replay it as a CUDA graph."""
    network = JpegRestorer(small_weights).network
    image = torch.rand(2, 3, 40, 48)
    quality = Quality.from_qtables([qtables_from_qf(10)] * 2) if told else None
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.inference_mode():
        torch.testing.assert_close(
            compiled(image, quality).image, network(image, quality).image, atol=1e-5, rtol=0
        )


def test_a_compiled_engine_restores_alike(small_weights, photo, monkeypatch):
    # All of it but the code of the kernels, which takes a compiler and half a minute.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    plain, compiled = (JpegRestorer(small_weights, compile=on) for on in (False, True))
    data = compress_jpeg(photo[:48, :64], 20)
    found, expected = compiled(data), plain(data)
    np.testing.assert_array_equal(found.image, expected.image)
    assert compiled.network is compiled._run._orig_mod  # moved and read as an uncompiled one
