"""AGARNet's quality estimator, on top of what agarnet_paper_div2k_300k.py trained."""

_base_ = ["../../_base_/div2k.py"]

model = dict(
    type="AGARNetEstimatorModel",
    restorer="AGARNet",
    preset="paper",
    weights="{{$JPEG_PREPROC_STAGE1:work_dirs/agarnet_paper_div2k_300k/agarnet-paper-told.safetensors}}",
)
train_dataloader = dict(
    batch_size=16, dataset=dict(luma=True, crop=128, coding=dict(qf_ranges=[(1, 100, 1.0)]))
)
val_dataloader = dict(dataset=dict(luma=True))
train_cfg = dict(type="IterBasedTrainLoop", max_iters=100_000, val_interval=10_000)
optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="Adam", lr=1e-4))
param_scheduler = [dict(type="StepLR", by_epoch=False, step_size=20_000, gamma=0.5)]
weights_name = "agarnet-paper"
