"""DAGN, stage 2 (Ma et al., section IV): 10,000 epochs of 64 crops of 96 × 96 on frozen encoders.

3,550 images at a batch of 64 make about 55 steps an epoch, 555,000 in all; the rate is halved at
epoch 8,000.
"""

_base_ = ["../../_base_/div2k_flickr2k.py"]

model = dict(
    type="DAGNModel",
    restorer="DAGN",
    preset="paper",
    loss="l1",
    encoders="{{$JPEG_PREPROC_ENCODERS:work_dirs/dagn_paper_encoders_div2k_15e/encoders.safetensors}}",
)
train_dataloader = dict(
    batch_size=64,
    dataset=dict(
        crop=96,
        coding=dict(qf_ranges=[(10, 95, 1.0)]),
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=555_000, val_interval=11_100)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4))
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[444_000], gamma=0.5)]
weights_name = "dagn-paper"
