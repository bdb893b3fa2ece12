"""The engine as on a GPU: each step of it leaves nothing on the CPU, and would be caught if so."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from pretended_cuda import DEVICES_DIFFER, pretended_cuda, recorded, skip_without
from stirring import stir

from jpeg_preproc.jpeg import compress_jpeg, dct
from jpeg_preproc.restorers import JpegRestorer, Quality, build_restorer, list_restorers
from jpeg_preproc.restorers.engine import DTYPES

pytestmark = skip_without

# Of the large networks the tiny presets, which have their shape.
PRESETS = [
    (name, "tiny" if "tiny" in entry.presets else preset)
    for name, entry in list_restorers().items()
    for preset in entry.presets
    if preset == "tiny" or "tiny" not in entry.presets
]
CUDA = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def files(photo):
    """Two JPEG files of one size, one that is long enough for tiles, and a grey one."""
    return [
        compress_jpeg(photo[:72, :91], 10),
        compress_jpeg(photo[-72:, -91:], 30),
        compress_jpeg(photo[:16], 20),
        compress_jpeg(photo[:48, :64, 1], 20),
    ]


def network(name="ARCNN", preset="base"):
    torch.manual_seed(0)
    return stir(build_restorer(name, preset))


def restored(files, network, qf="file", **settings):
    """Restore files on the pretended device; return their results and where convolutions ran."""
    with recorded(network) as seen:
        restorer = JpegRestorer(network, device="cuda", **settings)
        return restorer(files, qf=qf), seen


@pytest.mark.parametrize("name,preset", PRESETS)
def test_every_network_runs_where_it_was_put(files, name, preset):
    net = network(name, preset)
    shapes = [one.image.shape for one in JpegRestorer(net)(files, qf="file")]
    with pretended_cuda():
        results, seen = restored(files, net)
    assert set(seen) == {CUDA}
    assert [one.image.shape for one in results] == shapes


@pytest.mark.parametrize(
    "settings",
    [
        {"tile": 16},
        {"strength": 0.5},
        {"consistent": True},
        {"batch_size": 1, "dtype": "fp16"},
        {"consistent": True, "tile": 16, "strength": 0.5, "dtype": "bf16"},
    ],
    ids=lambda settings: "-".join(settings),
)
def test_every_setting_of_the_engine(files, settings):
    net = network("GridUNet", "nano")
    types = []
    net.tail.register_forward_hook(lambda _, __, output: types.append(output.dtype))
    with pretended_cuda():
        results, seen = restored(files, net, **settings)
    assert set(seen) == {CUDA} and [one.image.dtype for one in results] == ["uint8"] * 4
    assert set(types) == {DTYPES[settings.get("dtype", "fp32")]}
    assert {one.consistent for one in results} == {"consistent" in settings}


@pytest.mark.parametrize("name,preset", [("GridUNet", "nano"), ("FBCNN", "tiny"), ("QCN", "tiny")])
@pytest.mark.parametrize("qf", [30, "blind"])
def test_qualities_that_are_given_or_not_known(files, name, preset, qf):
    net = network(name, preset)
    if qf == "blind" and net.spec.quality == "required":
        pytest.skip("it needs the quality")
    with pretended_cuda():
        _, seen = restored(files, net, qf=qf)
    assert set(seen) == {CUDA}


# --- what is left on the CPU is caught


def leave_tables(patch, net):
    patch.setattr(Quality, "to", lambda quality, *_: quality)


def leave_weights(patch, net):
    patch.setattr(net, "to", lambda device: net)


def leave_shares(patch, net):
    tensor = torch.tensor
    patch.setattr(torch, "tensor", lambda values, **_: tensor(values))


def leave_basis(patch, net):
    """Let the tables of the DCT be where torch makes them by default."""
    tensor = torch.tensor
    patch.setattr(dct, "torch", SimpleNamespace(tensor=lambda values, **_: tensor(values)))


@pytest.mark.parametrize("leave", [leave_tables, leave_weights, leave_shares, leave_basis])
def test_what_the_engine_leaves_on_the_cpu_raises(files, leave):
    net = network("GridUNet", "nano")
    with pretended_cuda() as patch:
        leave(patch, net)
        with pytest.raises(RuntimeError, match=DEVICES_DIFFER):
            restored(files, net, strength=0.5, consistent=True)


@pytest.mark.parametrize("part,name", [("dct", "basis"), ("", "tables")])
def test_what_a_network_does_not_register_raises(files, part, name):
    net = network("AGARNet", "tiny")
    owner = net.get_submodule(part)
    value = getattr(owner, name)
    delattr(owner, name)
    setattr(owner, name, value)  # a plain attribute: .to() does not see it
    with pretended_cuda(), pytest.raises(RuntimeError, match=DEVICES_DIFFER):
        restored(files, net, qf="blind")
