"""GridUNet `nano`: as gridunet_nano_longer_decay_cpu.py, with more crops of low qualities."""

_base_ = ["gridunet_small_low_qualities_cpu.py"]

model = dict(preset="nano", weights="{{$JPEG_PREPROC_WEIGHTS:nano}}")
train_dataloader = dict(dataset=dict(seed=22))
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
