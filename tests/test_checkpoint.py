"""What is read of checkpoints, what is refused, and that nothing of it runs.

What is right for files that are read is what torch reads of them without any guard.
"""

from __future__ import annotations

import io
import pickle
import random
import runpy
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from planted import CALLS, FORMATS, Call, plant, put
from torch.torch_version import TorchVersion

from jpeg_preproc.checkpoint import guarded_mmengine, read_checkpoint
from jpeg_preproc.demo import demo_configs
from jpeg_preproc.errors import UntrustedCheckpointError, WeightsError

mmengine_logging = pytest.importorskip("mmengine.logging", reason="checkpoints of mmengine")
HistoryBuffer = mmengine_logging.HistoryBuffer
SCRIPT = Path(__file__).parents[2] / "shared/cases/hostile/make_checkpoint_that_runs_code.py"


@pytest.fixture(params=["torch's guard", "our guard"])
def guard(request, monkeypatch):
    """Both guards; ours is the one under every torch before 2.10."""
    if request.param == "our guard":
        monkeypatch.setattr(torch, "__version__", TorchVersion("2.1.2"))
    elif torch.__version__ < (2, 10):
        pytest.skip("needs torch 2.10, whose guard is sound")
    return request.param


@pytest.fixture
def mark(tmp_path) -> Path:
    return tmp_path / "code has run"


def training() -> dict:
    """What mmengine saves of a training, with all kinds of values that it may hold."""
    loss = HistoryBuffer([0.5, 0.25, np.float64(0.125)], [1, 1, 2])
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.rand(1, 3, 8, 8)).sum().backward()
    optimizer.step()
    return {
        "meta": {
            "iter": 3,
            "seed": np.int64(7),
            "scale": np.float32(0.5),
            "flag": np.bool_(True),
            "palette": np.arange(6, dtype=np.uint8).reshape(2, 3),
            "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            "big_endian": np.arange(3, dtype=">i4"),
            "names": np.array(["a", "bcd"]),
            "classes": ("cat", "dog"),
            "empty": np.zeros((0, 4)),
        },
        "state_dict": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "message_hub": {
            "log_scalars": OrderedDict({"train/loss": loss}),
            "runtime_info": OrderedDict(iter=3, keep_ckpt_ids=[1, 2], lr=np.float64(0.1)),
            "resumed_keys": {"train/loss": True, "iter": True},
        },
        "param_schedulers": [{"last_step": 3, "base_values": [0.1]}],
        "half": torch.ones(3, dtype=torch.bfloat16),
        "parameter": torch.nn.Parameter(torch.ones(2, 2).t()),
        "shared": [network[0].weight.detach()[0], network[0].weight.detach()[1]],
    }


def assert_same(found, expected, path=""):
    assert type(found) is type(expected), path
    if isinstance(expected, torch.Tensor):
        assert found.dtype == expected.dtype and torch.equal(found, expected), path
        assert found.stride() == expected.stride() and (
            found.requires_grad == expected.requires_grad
        )
    elif isinstance(expected, np.ndarray):
        assert found.dtype == expected.dtype and np.array_equal(found, expected), path
        assert found.flags.f_contiguous == expected.flags.f_contiguous, path
        found[...] = found  # writable, as any other
    elif isinstance(expected, dict):
        assert list(found) == list(expected), path
        for key, value in expected.items():
            assert_same(found[key], value, f"{path}.{key}")
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), path
        for index, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_same(one, other, f"{path}[{index}]")
    elif isinstance(expected, HistoryBuffer):
        assert_same(list(found.data), list(expected.data), path)
        assert found.max_length == expected.max_length
        assert found.statistics("mean", 2) == expected.statistics("mean", 2)
    else:
        assert found == expected, path


@pytest.mark.parametrize("form", ["zip", "legacy"])
def test_a_trainings_checkpoint_is_read_as_torch_reads_it(guard, tmp_path, form):
    path = tmp_path / "iter_3.pth"
    FORMATS[form](training(), path)
    expected = torch.load(path, weights_only=False)
    assert_same(read_checkpoint(path), expected)
    # What is read is saved again as what it was, so that a resumed training's is read too.
    torch.save(read_checkpoint(path), path)
    assert_same(read_checkpoint(path), expected)


def test_files_of_numpy_1_and_2_which_name_a_module_otherwise(guard, tmp_path):
    path = tmp_path / "old.pth"
    FORMATS["legacy"](training(), path)
    expected = torch.load(path, weights_only=False)
    data = path.read_bytes()
    names = [b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"]
    here, other = sorted(names, key=data.count, reverse=True)
    assert data.count(here) == 2 and data.count(other) == 0
    path.write_bytes(data.replace(here, other))
    assert_same(read_checkpoint(path), expected)


def test_real_files(guard, shared_data):
    paths = [
        *(shared_data / "models").glob("*.pth"),
        *(path for _, path in demo_configs().values()),
    ]
    assert len(paths) >= 3
    for path in paths:
        assert_same(read_checkpoint(path), torch.load(path, map_location="cpu", weights_only=False))


PLACES = [
    "planted",
    "meta",
    "meta.deep.below",
    "state_dict.weight",
    "message_hub.log_scalars.loss",
    "message_hub.runtime_info.iter",
    "optimizer.state.0.exp_avg",
]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("call", CALLS)
def test_code_is_refused_by_name_and_does_not_run(guard, tmp_path, mark, call, form):
    path = plant(tmp_path / "planted.pth", mark, call=call, form=form)
    with pytest.raises(UntrustedCheckpointError) as caught:
        read_checkpoint(path)
    assert not mark.exists()
    named = "tar format" if form == "tar" else call
    assert str(path) in str(caught.value) and named in str(caught.value)
    assert "--trust-checkpoint" in str(caught.value) and "\n" not in str(caught.value)
    read_checkpoint(path, trust=True)
    assert mark.exists()


@pytest.mark.parametrize("where", PLACES)
def test_it_does_not_matter_where_the_code_stands(guard, tmp_path, mark, where):
    path = plant(tmp_path / "planted.pth", mark, checkpoint=training(), where=where)
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system"):
        read_checkpoint(path)
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles(guard, tmp_path, mark, protocol):
    path = tmp_path / "plain.pth"
    path.write_bytes(pickle.dumps(put({}, "meta", CALLS["posix.system"](mark)), protocol))
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system"):
        read_checkpoint(path)
    # The whole file is the call, and nothing of a checkpoint around it.
    path.write_bytes(pickle.dumps(CALLS["posix.system"](mark), protocol))
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system"):
        read_checkpoint(path)
    assert not mark.exists()


class Buffer(HistoryBuffer):
    """A class that mmengine could have, and that is not on the list."""

    def __setstate__(self, state):
        state["mark"].touch()


@pytest.mark.filterwarnings("ignore")
def test_a_subclass_a_whole_network_and_a_torchscript_are_refused(guard, tmp_path, mark):
    buffer = Buffer([1.0], [1])
    buffer.mark = mark
    path = tmp_path / "x.pth"
    for content, name in [
        ({"message_hub": {"log_scalars": {"loss": buffer}}}, r"test_checkpoint\.Buffer"),
        (torch.nn.Linear(2, 2), r"torch\.nn\.modules\.linear\.Linear"),
    ]:
        torch.save(content, path)
        with pytest.raises(UntrustedCheckpointError, match=name):
            read_checkpoint(path)
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(UntrustedCheckpointError, match="TorchScript program"):
        read_checkpoint(path)
    assert not mark.exists()


def test_a_history_reaches_neither_other_objects_nor_its_own_class(guard, tmp_path):
    path = tmp_path / "x.pth"
    # An object array, and a method of something else than a history.
    for value, name in [
        (np.array([{}], dtype=object), "numpy"),
        (Call(getattr, HistoryBuffer, "register_statistics"), "getattr"),
        (Call(getattr, OrderedDict, "fromkeys"), "getattr"),
    ]:
        torch.save({"meta": value}, path)
        with pytest.raises(UntrustedCheckpointError, match=name):
            read_checkpoint(path)
    before = dict(HistoryBuffer._statistics_methods)
    buffer = HistoryBuffer([1.0], [1])
    state = {**buffer.__getstate__(), "statistics_methods": {"mean": OrderedDict, "mine": "x"}}
    state["extra"] = "x"

    class Forged:
        def __reduce__(self):
            return HistoryBuffer, (), state

    torch.save({"loss": Forged()}, path)
    found = read_checkpoint(path)["loss"]
    assert HistoryBuffer._statistics_methods == before
    assert found.mean() == 1.0 and not hasattr(found, "extra")


@pytest.mark.parametrize("variable", ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"])
def test_no_environment_variable_lets_code_in(guard, tmp_path, mark, monkeypatch, variable):
    monkeypatch.setenv(variable, "1")
    with pytest.raises(UntrustedCheckpointError):
        read_checkpoint(plant(tmp_path / "x.pth", mark))
    assert not mark.exists()


def test_damaged_files_are_told_from_refused_ones(guard, tmp_path):
    path = tmp_path / "damaged.pth"
    whole = {}
    for form in ("zip", "legacy"):
        FORMATS[form](training(), path)
        whole[form] = path.read_bytes()
    pieces = [b"", b"nonsense", b"\0" * 4096, b"config = dict(\n    a=1,\n)\n", b"PK\x03\x04 no"]
    for data in whole.values():
        pieces += [data[: len(data) * part // 9] for part in range(1, 9)]
    for piece in pieces:
        path.write_bytes(piece)
        with pytest.raises(WeightsError, match="cannot be read as a checkpoint") as caught:
            read_checkpoint(path)
        assert not isinstance(caught.value, UntrustedCheckpointError)
        assert "\n" not in str(caught.value) and str(path) in str(caught.value)


def test_changed_bytes_are_read_or_refused_or_one_error(guard, tmp_path, mark):
    rng = random.Random(3)
    path = tmp_path / "x.pth"
    plant(path, mark, checkpoint=training(), form="legacy")
    data = path.read_bytes()
    errors = 0
    for _ in range(150):
        changed = bytearray(data)
        for _ in range(rng.choice([1, 4, 16])):
            changed[rng.randrange(len(data) // 2)] = rng.randrange(256)
        path.write_bytes(changed)
        try:
            read_checkpoint(path)
        except WeightsError:
            errors += 1
    assert errors > 100 and not mark.exists()


def test_a_storage_that_claims_more_than_the_file_holds(guard, tmp_path):
    path = tmp_path / "x.pth"
    torch.save(torch.arange(5, dtype=torch.float64), path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    changed = io.BytesIO()
    with zipfile.ZipFile(changed, "w") as archive:
        for name, data in members.items():
            # K is a small integer: the storage's length and the tensor's.
            claimed = data.replace(b"K\x05", b"K\x7f") if name.endswith("data.pkl") else data
            archive.writestr(name, claimed)
    path.write_bytes(changed.getvalue())
    with pytest.raises(WeightsError, match="cannot be read as a checkpoint"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "name", ["missing.pth", "https://example.org/x.pth", "torchvision://resnet50", "s3://b/x.pth"]
)
def test_nothing_is_fetched(name):
    with pytest.raises(WeightsError, match="does not exist") as caught:
        read_checkpoint(name)
    assert name in str(caught.value) and "nothing is fetched" in str(caught.value)
    from mmengine.runner import load_checkpoint

    with guarded_mmengine(), pytest.raises(WeightsError, match="nothing is fetched"):
        load_checkpoint(torch.nn.Linear(2, 2), name)


def test_mmengine_reads_by_it_for_as_long_as_told(tmp_path, mark):
    from mmengine.model import BaseModule
    from mmengine.runner import CheckpointLoader, load_checkpoint

    class Network(BaseModule):
        def __init__(self, checkpoint):
            super().__init__(dict(type="Pretrained", checkpoint=checkpoint))
            self.layer = torch.nn.Linear(2, 2)

    weights = {"state_dict": torch.nn.Sequential(OrderedDict(layer=torch.nn.Linear(2, 2)))}
    weights["state_dict"] = weights["state_dict"].state_dict()
    path = str(plant(tmp_path / "x.pth", mark, checkpoint=dict(weights)))
    before = CheckpointLoader.__dict__["load_checkpoint"]
    with guarded_mmengine():
        for load in (
            lambda: load_checkpoint(Network(None), path),
            lambda: CheckpointLoader.load_checkpoint(path, map_location="cpu"),
            lambda: Network(path).init_weights(),
        ):
            with pytest.raises(UntrustedCheckpointError, match=r"posix\.system"):
                load()
        assert not mark.exists()
        with guarded_mmengine(trust=True):
            network = Network(path)
            network.init_weights()
        assert mark.exists()
        with pytest.raises(UntrustedCheckpointError):
            load_checkpoint(Network(None), path)
    assert torch.equal(network.layer.weight, weights["state_dict"]["layer.weight"])
    assert CheckpointLoader.__dict__["load_checkpoint"] is before


def test_the_case_that_was_handed_in(guard, tmp_path, mark, monkeypatch):
    if not SCRIPT.is_file():
        pytest.skip("needs ../shared/cases, which is absent here")
    path = tmp_path / "planted.pth"
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), str(path), str(mark)])
    runpy.run_path(str(SCRIPT))
    with pytest.raises(UntrustedCheckpointError, match=r"pathlib\.Path\.touch"):
        read_checkpoint(path)
    assert not mark.exists()
