"""GridUNet `nano`: the end of gridunet_nano_longer_cpu.py, down to nothing on larger crops."""

_base_ = ["gridunet_small_longer_decay_cpu.py"]

model = dict(preset="nano", weights="{{$JPEG_PREPROC_WEIGHTS:nano}}")
train_dataloader = dict(dataset=dict(seed=9))
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
