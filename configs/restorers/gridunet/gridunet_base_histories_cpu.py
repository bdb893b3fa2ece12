"""GridUNet `base`, trained on: files that were cropped, resized or saved again.

Goes on from the shipped weights, in bf16 (``--amp``) where the CPU has AVX512-bf16. Every 500 steps
it writes weights, with which gridunet_base_histories_decay_cpu.py goes on.
"""

_base_ = ["gridunet_base_cpu_24k.py"]

max_iters = 8000
warm_up = 300

model = dict(weights="base")
train_dataloader = dict(
    dataset=dict(
        # Crops that the weights were not trained on.
        seed=2,
        # Files coded once stay the most: at the whole rate and half of them, the weights lost
        # 0.03 dB there.
        coding=dict(
            double=0.2,
            double_qf=(5, 95),
            double_shifted=0.6,
            shifted=0.05,
            resized=0.15,
            other_tables=0.06,
            believed="effective",
        ),
    )
)
train_cfg = dict(max_iters=max_iters, val_interval=2000)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=warm_up),
    dict(
        type="LinearLR",
        start_factor=1.0,
        end_factor=0.5,
        by_epoch=False,
        begin=warm_up,
        end=max_iters,
    ),
]
weights_name = "base"
