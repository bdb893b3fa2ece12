"""GridUNet, the shipped weights `nano`: an hour of one core."""

_base_ = ["../../_base_/muon_24k.py"]

model = dict(type="RestorationModel", restorer="GridUNet", preset="nano")
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
# A narrow network takes a higher rate, but diverges at 4e-3.
optim_wrapper = dict(optimizer=dict(lr=1.5e-3))
