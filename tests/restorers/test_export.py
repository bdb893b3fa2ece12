"""Every network as one graph: torch's, and ONNX under onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from jpeg_preproc.errors import QualityError
from jpeg_preproc.restorers import Quality, build_restorer, registered_names
from jpeg_preproc.restorers.export import export_onnx, export_program
from jpeg_preproc.restorers.registry import restorer_class

# AR-CNN is as small as the others' tiny presets.
SMALL = [
    (
        name,
        next(
            preset for preset in ("tiny", "nano", "base") if preset in restorer_class(name).presets
        ),
    )
    for name in registered_names()
]
# Fewer of the same blocks: exporting takes a time for each.
FEWER = {
    "AGARNet": {"num_blocks": 1, "num_middle_blocks": 1, "num_dct_blocks": 1},
    "DAGN": {"num_blocks": 1},
    "DnCNN3": {"num_layers": 4},
    "GridUNet": {"blocks": (1, 1, 1, 1, 1)},
    "QCN": {"num_blocks": 1},
    "QGCN": {"num_blocks": 2},
}
SIZES = [(1, 64, 80), (3, 96, 64)]


def build(name, preset):
    torch.manual_seed(0)
    return build_restorer(name, preset, **FEWER.get(name, {})).eval()


def example(network, count, height, width):
    torch.manual_seed(height)
    multiple = network.spec.size_multiple
    height, width = (-(-side // multiple) * multiple for side in (height, width))
    image = torch.rand(count, network.channels, height, width)
    quality = Quality.from_qf([10, 40, 90][:count])
    return image, quality


@pytest.mark.slow
@pytest.mark.parametrize("name,preset", SMALL)
def test_onnxruntime_gives_what_torch_gives(name, preset, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network = build(name, preset)
    path = export_onnx(network, tmp_path / "network.onnx")
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_inputs()]
    assert names == (["image"] if network.spec.quality == "ignored" else ["image", "qtables", "qf"])
    for size in SIZES:
        image, quality = example(network, *size)
        values = dict(zip(names, (image, quality.qtables, quality.qf), strict=False))
        (found,) = session.run(None, {key: value.numpy() for key, value in values.items()})
        with torch.no_grad():
            wanted = network(image, quality).image
        np.testing.assert_allclose(found, wanted.numpy(), atol=1e-4)


def test_a_blind_graph_has_the_image_as_its_only_input():
    network = build("GridUNet", "nano")
    program = export_program(network, with_quality=False)
    image, _ = example(network, 3, 64, 72)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(image), network(image, None).image)


def test_a_network_that_needs_the_quality_is_not_exported_without():
    with pytest.raises(QualityError, match="with_quality=True"):
        export_program(build("QCN", "tiny"), with_quality=False)
