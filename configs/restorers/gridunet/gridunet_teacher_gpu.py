"""GridUNet of 970 kMAC per pixel, the teacher of the smaller ones: for one large GPU.

tools/train_half_hour.py runs it, in as many steps as the time allows.
"""

_base_ = ["gridunet_base_histories_cpu.py"]

max_iters = 20000

data_root = "{{$JPEG_PREPROC_PACKED:work_dirs/packed}}"
model = dict(weights=None, settings=dict(widths=[136, 272, 544]))
train_dataloader = dict(
    batch_size=64,
    num_workers=14,
    dataset=dict(crop=128, sources=[dict(folder=f"{data_root}/train")]),
)
val_dataloader = dict(dataset=dict(source=dict(folder=f"{data_root}/val", start=0)))
train_cfg = dict(max_iters=max_iters, val_interval=1000)
optim_wrapper = dict(optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=200),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.01,
        by_epoch=False,
        begin=max_iters // 3,
        end=max_iters,
    ),
]
weights_name = "teacher"
