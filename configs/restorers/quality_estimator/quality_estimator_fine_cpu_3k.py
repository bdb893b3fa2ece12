"""The estimator of quality_estimator_claims_cpu_4k.py, which goes on: more fine last files.

A fine file may hide a coarse one beneath it, off its grid; of the crops of the parts before, few
have so fine a last file. It goes on from the shipped estimator, or from the file that
JPEG_PREPROC_ESTIMATOR names.
"""

_base_ = ["quality_estimator_claims_cpu_4k.py"]

max_iters = 3000

parts = _base_.train_dataloader.dataset.parts
train_dataloader = dict(
    dataset=dict(
        parts=[
            dict(parts[0], count=7000),
            dict(parts[1], count=2000),
            dict(
                count=4000,
                clean=0.0,
                restorer="nano",
                cache="work_dirs/quality_estimator/fine.npz",
                crops=dict(
                    # Crops that the other parts do not have.
                    seed=7,
                    sources=parts[0].crops.sources,
                    coding=dict(
                        _base_.coding,
                        qf_ranges=[(78, 97, 1.0)],
                        double=0.85,
                        double_qf=(4, 60),
                        double_shifted=0.8,
                        shifted=0.05,
                        resized=0.25,
                    ),
                ),
            ),
        ]
    )
)
train_cfg = dict(max_iters=max_iters)
optim_wrapper = dict(optimizer=dict(lr=7e-4))
param_scheduler = [
    _base_.param_scheduler[0],
    dict(_base_.param_scheduler[1], end=max_iters, T_max=max_iters - 100),
]
