"""GridUNet `nano`: as gridunet_nano_longer_decay_cpu.py, with more crops of low qualities.

What came of it is not shipped: it gains at QF 10 and 20 and loses from QF 80 on.
"""

_base_ = ["gridunet_nano_longer_decay_cpu.py"]

train_dataloader = dict(
    dataset=dict(
        seed=22,
        coding=dict(
            qf_ranges=[
                (1, 4, 0.03),
                (5, 30, 0.65),
                (31, 60, 0.18),
                (61, 98, 0.12),
                (99, 100, 0.02),
            ]
        ),
    )
)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
