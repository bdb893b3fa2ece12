"""FBCNN as its authors' configuration has it (Jiang et al., ICCV 2021): 2 M steps of 128 crops.

Half the crops are cut off their 8 × 8 grid; the qualities are 10, 20, ..., 60 in three draws of
four, and 8-96 else. Length beyond the last halving of the rate is ours.
"""

_base_ = ["../../_base_/div2k_flickr2k.py"]

model = dict(type="FBCNNModel", restorer="FBCNN", preset="paper", weight_quality=1e-3)
train_dataloader = dict(
    batch_size=128,
    dataset=dict(
        crop=96,
        coding=dict(
            qf_ranges=[(8, 96, 0.25), *[(qf, qf, 0.125) for qf in range(10, 70, 10)]],
            shifted=0.5,
        ),
    ),
)
train_cfg = dict(type="IterBasedTrainLoop", max_iters=2_000_000, val_interval=20_000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=2e-5))
param_scheduler = [
    dict(
        type="MultiStepLR",
        by_epoch=False,
        milestones=[200_000, 400_000, 1_200_000, 1_600_000, 1_800_000],
        gamma=0.5,
    )
]
weights_name = "fbcnn-paper"
