"""What the papers' trainings share: DIV2K's 800 training images and its 100 validation images.

Set DIV2K to the folder that has DIV2K_train_HR and DIV2K_valid_HR.
"""

_base_ = ["train_runtime.py"]

div2k = "{{$DIV2K:data/DIV2K}}"
clean_data = ["DIV2K train"]

train_dataloader = dict(
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type="InfiniteSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="JpegCrops",
        sources=[dict(folder=f"{div2k}/DIV2K_train_HR")],
        coding=dict(full_chroma=0.0, grey=0.0, double=0.0, blind=0.0),
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=1,
    sampler=dict(type="DefaultSampler", shuffle=False),
    collate_fn=dict(type="default_collate"),
    dataset=dict(
        type="JpegImages", source=dict(folder=f"{div2k}/DIV2K_valid_HR", stop=10), qfs=[10, 20, 40]
    ),
)
val_evaluator = dict(type="PsnrGain")
val_cfg = dict(type="ValLoop")
custom_hooks = [dict(type="StopOnNanHook"), dict(type="SaveWeightsHook")]
