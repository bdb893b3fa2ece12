"""GridUNet `small`: the end of gridunet_small_longer_cpu.py, down to nothing on larger crops."""

_base_ = ["gridunet_base_histories_decay_cpu.py"]

model = dict(
    preset="small",
    weights="{{$JPEG_PREPROC_WEIGHTS:small}}",
    teacher=dict(weights="base", share=0.7),
)
train_dataloader = dict(dataset=dict(seed=7))
optim_wrapper = dict(optimizer=dict(lr=5e-4))
weights_name = "small"
