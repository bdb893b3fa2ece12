"""GridUNet `nano`: the end of gridunet_nano_longer_cpu.py, down to nothing on larger crops."""

_base_ = ["gridunet_base_histories_decay_cpu.py"]

model = dict(
    preset="nano",
    weights="{{$JPEG_PREPROC_WEIGHTS:nano}}",
    teacher=dict(weights="base", share=0.7),
)
train_dataloader = dict(dataset=dict(seed=9))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
