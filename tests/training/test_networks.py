"""The trainings of single papers: their losses as formulas, and a few steps of each."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("mmengine", reason="training needs mmengine")

from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch.nn import functional as F

from jpeg_preproc.errors import TrainingError, WeightsError
from jpeg_preproc.restorers.contract import Quality
from jpeg_preproc.training.dagn import (
    AdversarialOptimizers,
    DAGNAutoEncoders,
    DAGNModel,
    adversarial_losses,
    quality_loss,
)
from jpeg_preproc.training.losses import amplitude_loss, phase_loss
from jpeg_preproc.training.networks import AGARNetEstimatorModel, AGARNetModel, D2LNetModel


def batch(channels: int, side: int = 32) -> dict[str, torch.Tensor]:
    """Two crops that look like data; their codes matter here to no one."""
    torch.manual_seed(1)
    quality = Quality.from_qf([10, 60])
    clean = torch.randint(0, 256, (2, channels, side, side), dtype=torch.uint8)
    noise = torch.randint(-9, 10, clean.shape)
    jpeg = (clean.int() + noise).clamp(0, 255).to(torch.uint8)
    known = torch.tensor([True, False])
    return {
        "jpeg": jpeg,
        "clean": clean,
        "qtables": quality.qtables,
        "qf": quality.qf,
        "known": known,
    }


@pytest.mark.parametrize("order", ["paper", "code"])
def test_d2lnets_losses(order):
    torch.manual_seed(0)
    model = D2LNetModel(restorer="D2LNet", preset="tiny")
    model.restorer.order = order
    data = batch(3)
    losses = model(**data, mode="loss")
    first, second = model.restorer.stages(data["jpeg"] / 255)
    clean = data["clean"] / 255
    amplitude, phase = (first, second) if order == "paper" else (second, first)
    expected = {
        "loss_spatial": F.l1_loss(second, clean),
        "loss_amplitude": 0.05 * amplitude_loss(amplitude, clean),
        "loss_phase": 0.05 * phase_loss(phase, clean),
    }
    assert losses.keys() == expected.keys()
    for name, value in expected.items():
        assert losses[name].item() == pytest.approx(value.item(), rel=1e-3), name


def test_d2lnet_is_not_compiled():
    with pytest.raises(TrainingError, match="complex spectra"):
        D2LNetModel(restorer="D2LNet", preset="tiny", compile=True)


def test_agarnets_estimator_is_trained_apart():
    torch.manual_seed(0)
    model = AGARNetModel(restorer="AGARNet", preset="tiny")
    sum(model(**batch(1), mode="loss").values()).backward()
    grads = {key: value.grad is not None for key, value in model.restorer.named_parameters()}
    assert all(got != key.startswith("estimator.") for key, got in grads.items())

    apart = AGARNetEstimatorModel(restorer="AGARNet", preset="tiny")
    data = batch(1, side=64)
    losses = apart(**data, mode="loss")
    estimate = apart.restorer.estimator(data["jpeg"] / 255).mean(dim=(1, 2, 3))
    assert losses["loss_quality"].item() == pytest.approx(
        float((estimate.detach() - torch.tensor([0.1, 0.6])).square().mean())
    )
    losses["loss_quality"].backward()
    grads = {key: value.grad is not None for key, value in apart.restorer.named_parameters()}
    assert all(got == key.startswith("estimator.") for key, got in grads.items())


def test_the_adversarial_loss_of_eq_6():
    p_jpeg, p_clean = torch.tensor([0.2, 0.5]), torch.tensor([0.7, 0.9])
    logits = torch.logit(p_jpeg), torch.logit(p_clean)
    discriminator, encoder = adversarial_losses(*logits, form="literal")
    by_hand = (
        sum(
            0.5 * (-math.log(c) + math.log(o))
            for c, o in zip(p_jpeg.tolist(), p_clean.tolist(), strict=True)
        )
        / 2
    )
    assert float(encoder) == pytest.approx(by_hand) and float(discriminator) == pytest.approx(
        -by_hand
    )
    discriminator, encoder = adversarial_losses(*logits, form="stabilised")
    assert float(encoder) == pytest.approx(-float(p_jpeg.log().mean()))
    assert float(discriminator) == pytest.approx(
        float(-p_clean.log().mean() - (1 - p_jpeg).log().mean())
    )
    extreme = torch.tensor([-1e4, 1e4]), torch.tensor([1e4, -1e4])
    for value in adversarial_losses(*extreme, form="literal"):
        assert abs(float(value)) <= 0.5 * 2 * -math.log(1e-4)


def test_the_quality_loss_of_eq_9():
    torch.manual_seed(2)
    logits, qf = torch.randn(3, 100), torch.tensor([1.0, 37.0, 100.0])
    chosen = logits.softmax(1)[torch.arange(3), torch.tensor([0, 36, 99])]
    assert float(quality_loss(logits, qf, "l1")) == pytest.approx(float((2 * (1 - chosen)).mean()))
    assert float(quality_loss(logits, qf, "cross_entropy")) == pytest.approx(
        float(-chosen.log().mean())
    )


@pytest.fixture(scope="module")
def stage1():
    torch.manual_seed(0)
    return DAGNAutoEncoders(preset="tiny", decoder_width=16)


def test_a_step_of_stage_1_trains_each_part_by_its_own_losses(stage1):
    settings = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.1))
    wrappers = AdversarialOptimizers(settings)(stage1)
    assert isinstance(wrappers, OptimWrapperDict) and set(wrappers.keys()) == {
        "discriminator",
        "autoencoders",
    }
    before = {key: value.clone() for key, value in stage1.named_parameters()}
    logged = stage1.train_step(batch(3), wrappers)
    assert set(logged) == {
        "loss_discriminator",
        "loss_insensitive",
        "loss_sensitive",
        "loss_adversarial",
        "loss_quality",
    }
    changed = {
        key.split(".")[0]
        for key, value in stage1.named_parameters()
        if not torch.equal(value, before[key])
    }
    assert changed == {"discriminator", "encoders", "decoders", "predictor"}
    # The discriminator moves by its own loss alone: a second step of the rest leaves it.
    discriminator = [value.clone() for value in stage1.discriminator.parameters()]
    wrapper = wrappers["autoencoders"]
    assert isinstance(wrapper, OptimWrapper)
    loss, _ = stage1.parse_losses(stage1(**batch(3), mode="loss"))
    wrapper.update_params(loss)
    for value, wanted in zip(stage1.discriminator.parameters(), discriminator, strict=True):
        assert torch.equal(value, wanted)


def test_stage_2_starts_from_the_encoders_and_leaves_them(stage1, tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "encoders.safetensors"
    state = {key: value.contiguous() for key, value in stage1.encoders.state_dict().items()}
    save_file(state, path)
    model = DAGNModel(encoders=str(path), restorer="DAGN", preset="tiny", loss="l1").train()
    sum(model(**batch(3), mode="loss").values()).backward()
    for key, value in model.restorer.encoders.state_dict().items():
        assert torch.equal(value, state[key]), key  # the statistics of BN too
    assert all(value.grad is None for value in model.restorer.encoders.parameters())
    with pytest.raises(WeightsError, match="run the config of stage 1 first"):
        DAGNModel(encoders=str(tmp_path / "none"), restorer="DAGN", preset="tiny")
    save_file({"insensitive.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="tensors absent"):
        DAGNModel(encoders=str(path), restorer="DAGN", preset="tiny")
