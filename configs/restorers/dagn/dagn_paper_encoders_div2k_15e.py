"""DAGN, stage 1 (Ma et al., Algorithm 1): 15 epochs of 32 images at 256 × 256.

The images are DIV2K and Flickr2K. The paper gives two rates; this is the one with drops at epochs
5 and 10. 3,550 images at a batch of 32 make 111 steps an epoch. Images are cropped, where the
paper resizes them to 256 × 256.
"""

_base_ = ["../../_base_/div2k.py"]

model = dict(type="DAGNAutoEncoders", preset="paper")
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        crop=256,
        sources=[
            dict(folder="{{$DIV2K:data/DIV2K}}/DIV2K_train_HR"),
            dict(folder="{{$DIV2K:data/DIV2K}}/DIV2K_valid_HR"),
            dict(folder="{{$FLICKR2K:data/Flickr2K/Flickr2K_HR}}"),
        ],
        coding=dict(qf_ranges=[(10, 95, 1.0)]),
    ),
)
val_dataloader = None
val_evaluator = None
val_cfg = None
train_cfg = dict(type="IterBasedTrainLoop", max_iters=1665)
optim_wrapper = dict(
    constructor="AdversarialOptimizers",
    type="OptimWrapper",
    optimizer=dict(type="Adam", lr=5e-4),
)
param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[555, 1110], gamma=0.1)]
default_hooks = dict(checkpoint=dict(save_best=None))
custom_hooks = [dict(type="StopOnNanHook"), dict(type="SaveEncodersHook")]
