"""Networks that judge and learn nothing: where they are not, and what gradients they give."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from stirring import stir

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.model import ExponentialMovingAverage
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS
from torch import nn

from jpeg_preproc.errors import TrainingError, WeightsError
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.training.losses import charbonnier, feature_hinge
from jpeg_preproc.training.model import RestorationModel
from jpeg_preproc.training.networks import (
    AGARNetEstimatorModel,
    AGARNetModel,
    D2LNetModel,
    FBCNNModel,
)


@MODELS.register_module(force=True)
class TwoLevels(nn.Module):
    """Two layers and a batch norm, which shows in its statistics whether it was trained."""

    def __init__(self, width=4):
        super().__init__()
        self.record = {"width": width}
        self.first = nn.Conv2d(3, width, 3, stride=2)
        self.norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3)

    def forward(self, image):
        assert image.shape[1] == 3
        one = self.norm(self.first(image))
        return {"one": one, "two": self.second(one.relu())}


TASK = dict(weight=0.5, networks=dict(a=dict(type="TwoLevels"), b=dict(type="TwoLevels", width=7)))


def model_with(task=TASK, kind=RestorationModel, restorer="GridUNet"):
    torch.manual_seed(0)
    preset = "nano" if restorer == "GridUNet" else "tiny"
    model = kind(restorer=restorer, preset=preset, task=task)
    if restorer == "GridUNet":
        stir(model.restorer.tail)
    return model


def batch(channels=3):
    torch.manual_seed(1)
    clean = torch.randint(0, 256, (2, channels, 32, 32), dtype=torch.uint8)
    jpeg = (clean.int() + torch.randint(-9, 10, clean.shape)).clamp(0, 255).to(torch.uint8)
    quality = Quality.from_qf([10, 60])
    return dict(
        jpeg=jpeg,
        clean=clean,
        qtables=quality.qtables,
        qf=quality.qf,
        known=torch.tensor([True, False]),
    )


def values_of(task):
    return [value.clone() for net in task.networks.values() for value in net.state_dict().values()]


def test_the_gradient_is_that_of_both_losses_written_out():
    model, data = model_with(), batch()
    losses = model(**data, mode="loss")
    assert list(losses) == ["loss_pixel", "loss_task_a", "loss_task_b"]
    sum(losses.values()).backward()
    found = model.restorer.head.weight.grad.clone()

    model.zero_grad()
    clean = data["clean"] / 255
    quality = Quality(data["qtables"], data["qf"], data["known"])
    restored = model.restorer(data["jpeg"] / 255, quality).image
    total = charbonnier(restored, clean)
    for net in model.task.networks.values():
        for name, wanted in net(clean).items():
            wanted = wanted.detach()
            spread = (wanted - wanted.mean((0, 2, 3), keepdim=True)).abs().mean()
            # 0.5, over two networks of two levels
            total = total + 0.5 / 4 * (net(restored)[name] - wanted).abs().mean() / spread
    total.backward()
    torch.testing.assert_close(found, model.restorer.head.weight.grad, rtol=1e-4, atol=1e-7)
    assert sum(losses.values()).item() == pytest.approx(total.item(), rel=1e-5)

    model.zero_grad()
    charbonnier(model.restorer(data["jpeg"] / 255, quality).image, clean).backward()
    of_pixels = model.restorer.head.weight.grad
    assert (found - of_pixels).norm() > 0.01 * of_pixels.norm()


def test_nothing_is_lost_where_images_agree():
    model, data = model_with(), batch()
    image = data["clean"] / 255
    assert all(value.item() == 0 for value in model.task(image, image, image).values())


def test_the_networks_are_no_part_of_the_model():
    model, plain = model_with(), model_with(task=None)
    assert model.state_dict().keys() == plain.state_dict().keys()
    for listed in ("named_parameters", "named_buffers", "named_modules"):
        names = [[name for name, _ in getattr(one, listed)()] for one in (model, plain)]
        assert names[0] == names[1]
    wrapper = build_optim_wrapper(
        model, dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    )
    in_optimizer = {id(p) for group in wrapper.param_groups for p in group["params"]}
    assert in_optimizer == {id(value) for value in model.parameters()}
    average = ExponentialMovingAverage(model, momentum=0.002, update_buffers=True)
    assert average.state_dict().keys() == ExponentialMovingAverage(plain).state_dict().keys()
    # The copy has a restorer of its own and no second set of networks.
    assert average.module.restorer is not model.restorer
    assert average.module.task is model.task


def test_training_leaves_the_networks_alone():
    model = model_with().train()
    model.init_weights()  # as the runner does
    before = values_of(model.task)
    wrapper = build_optim_wrapper(
        model, dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    )
    start = model.restorer.tail.weight.clone()
    logged = model.train_step(batch(), wrapper)
    assert set(logged) == {"loss", "loss_pixel", "loss_task_a", "loss_task_b"}
    assert not torch.equal(model.restorer.tail.weight, start)
    assert all(torch.equal(*pair) for pair in zip(values_of(model.task), before, strict=True))
    for net in model.task.networks.values():
        assert not any(module.training for module in net.modules())
        assert all(not p.requires_grad and p.grad is None for p in net.parameters())


@pytest.mark.parametrize("move", [lambda m: m.to("meta"), lambda m: nn.Sequential(m).to("meta")])
def test_the_networks_follow_the_model(move):
    """On ``meta``, the one other device that every machine has; CUDA goes the same way."""
    model = model_with()
    move(model)
    devices = {value.device.type for value in values_of(model.task)}
    assert devices == {"meta"}


def test_a_model_on_its_way_to_another_process_takes_them_along():
    model = pickle.loads(pickle.dumps(model_with()))
    image = batch()["clean"] / 255
    wanted = model_with().task(image, image.flip(3), image)
    assert model.task(image, image.flip(3), image) == wanted
    assert copy.deepcopy(model).task is model.task


def test_bf16_is_near_fp32():
    model, data = model_with(), batch()
    full = model(**data, mode="loss")
    model.autocast = torch.bfloat16
    half = model(**data, mode="loss")
    for name, value in full.items():
        assert half[name].item() == pytest.approx(value.item(), rel=0.02), name
        assert half[name].dtype == torch.float32


@pytest.mark.parametrize(
    "kind,restorer,channels",
    [(D2LNetModel, "D2LNet", 3), (FBCNNModel, "FBCNN", 3), (AGARNetModel, "AGARNet", 1)],
)
def test_the_papers_networks_can_be_trained_so(kind, restorer, channels):
    model, data = model_with(kind=kind, restorer=restorer), batch(channels)
    plain = model_with(task=None, kind=kind, restorer=restorer)
    losses, own = model(**data, mode="loss"), plain(**data, mode="loss")
    assert losses.keys() - own.keys() == {"loss_task_a", "loss_task_b"}
    for name in ("loss_task_a", "loss_task_b"):
        (gradient,) = torch.autograd.grad(
            losses[name], next(model.restorer.parameters()), retain_graph=True
        )
        assert gradient.norm() > 0


def test_luma_is_shown_to_the_networks_as_grey():
    task = model_with().task
    luma = [torch.rand(2, 1, 16, 16) for _ in range(3)]
    assert task(*luma) == task(*(image.repeat(1, 3, 1, 1) for image in luma))


def test_the_manifest_lines_say_name_weight_and_record():
    assert model_with().task.records() == [
        {"name": "a", "weight": 0.25, "width": 4},
        {"name": "b", "weight": 0.25, "width": 7},
    ]


@pytest.mark.parametrize(
    "kind,restorer,channels",
    [
        (RestorationModel, "GridUNet", 3),
        (D2LNetModel, "D2LNet", 3),
        (FBCNNModel, "FBCNN", 3),
        (AGARNetModel, "AGARNet", 1),
    ],
)
def test_a_hinge_compares_with_the_jpeg_image(kind, restorer, channels):
    model, data = model_with({**TASK, "hinge": 3.0}, kind, restorer), batch(channels)
    losses = model(**data, mode="loss")
    jpeg, clean = (data[name].expand(-1, 3, -1, -1) / 255 for name in ("jpeg", "clean"))
    quality = Quality(data["qtables"], data["qf"], data["known"])
    with torch.no_grad():
        restored = model.restorer(data["jpeg"] / 255, quality).image.expand(-1, 3, -1, -1)
    for name, net in model.task.networks.items():
        # 0.5 over two networks, three times that for harm.
        harm = feature_hinge(net(restored), net(clean), net(jpeg))
        assert losses[f"loss_hinge_{name}"].item() == pytest.approx(0.75 * float(harm), rel=1e-4)
    assert [record["hinge"] for record in model.task.records()] == [3.0, 3.0]
    # What is still JPEG's own image harms nothing.
    unchanged = model.task(jpeg, clean, jpeg)
    assert unchanged["loss_hinge_a"].item() == 0 < unchanged["loss_task_a"].item()


def test_bad_settings():
    with pytest.raises(TrainingError, match="no networks"):
        model_with(task=dict(networks={}))
    for wrong, message in [
        (dict(type="NoSuch"), "NoSuch.*custom_imports"),
        (dict(type="TwoLevels", depth=3), "unexpected keyword argument 'depth'"),
        (dict(width=3), '"type"'),
    ]:
        with pytest.raises(TrainingError, match=rf"task\.networks\.x: .*{message}"):
            model_with(task=dict(networks=dict(x=wrong)))
    with pytest.raises(TrainingError, match=r"weight"):
        model_with(task=dict(weight=-1, networks=TASK["networks"]))
    with pytest.raises(TrainingError, match=r"hinge is -1; give a number of at least 0"):
        model_with(task=dict(hinge=-1, networks=TASK["networks"]))
    with pytest.raises(TrainingError, match=r"model\.task: .*'wieght'; it takes networks"):
        model_with(task=dict(wieght=1, networks=TASK["networks"]))
    with pytest.raises(TrainingError, match=r"model\.loss is 'l3'; give one of charbonnier"):
        RestorationModel(restorer="GridUNet", preset="nano", loss="l3")
    with pytest.raises(TrainingError, match="restores no image"):
        AGARNetEstimatorModel(restorer="AGARNet", preset="tiny", task=TASK)
    with pytest.raises(WeightsError):  # its own error comes through
        MODELS.register_module(name="Unreadable", module=_unreadable, force=True)
        model_with(task=dict(networks=dict(x=dict(type="Unreadable"))))


def _unreadable():
    raise WeightsError("x.pth does not exist")
