"""GridUNet `base`, trained on: files that were cropped, resized or saved again; at a flat rate.

Goes on from the shipped weights, in bf16 (``--amp``) where the CPU has AVX512-bf16. Every 500 steps
it writes weights, with which gridunet_base_histories_decay_cpu.py goes on.
"""

_base_ = ["gridunet_base_cpu_24k.py"]

max_iters = 14000
warm_up = 300

model = dict(weights="base")
train_dataloader = dict(
    dataset=dict(
        # Crops that the weights were not trained on.
        seed=2,
        coding=dict(
            qf_ranges=[
                (1, 4, 0.03),
                (5, 30, 0.52),
                (31, 60, 0.23),
                (61, 98, 0.20),
                (99, 100, 0.02),
            ],
            double=0.25,
            double_qf=(5, 95),
            double_shifted=0.6,
            shifted=0.06,
            resized=0.2,
            other_tables=0.08,
            believed="effective",
        ),
    )
)
train_cfg = dict(max_iters=max_iters, val_interval=2000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.05, by_epoch=False, begin=0, end=warm_up),
]
weights_name = "base"
