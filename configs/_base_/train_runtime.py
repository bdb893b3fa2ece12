"""What all trainings of restorers share: one process, checkpoints by iteration, EMA."""

custom_imports = dict(
    imports=[
        "jpeg_preproc.training.model",
        "jpeg_preproc.training.hooks",
        "jpeg_preproc.training.muon",
        "jpeg_preproc.training.networks",
        "jpeg_preproc.training.dagn",
    ],
    allow_failed_imports=False,
)
default_scope = "mmengine"
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    # By iteration, or TensorBoard has every validation at step 0.
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="CheckpointHook",
        by_epoch=False,
        interval=250,
        max_keep_ckpts=2,
        save_best="psnr/gain",
        rule="greater",
    ),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [
    dict(type="StopOnNanHook"),
    dict(type="EMAHook", ema_type="ExponentialMovingAverage", momentum=0.002),
]
visualizer = dict(
    type="Visualizer",
    vis_backends=[dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")],
)
log_processor = dict(by_epoch=False, window_size=50)
env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="gloo"),
)
randomness = dict(seed=0)
log_level = "INFO"
load_from = None
resume = False
