"""What both of the demo's trainings share: weight averaging, logs and checkpoints."""

test_cfg = dict(type="TestLoop")
custom_hooks = [
    dict(type="EMAHook", ema_type="MomentumAnnealingEMA", momentum=0.005, update_buffers=True)
]
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=20),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(type="CheckpointHook", interval=1, max_keep_ckpts=2),
)
log_processor = dict(type="LogProcessor", window_size=20, by_epoch=True)
randomness = dict(seed=0)
