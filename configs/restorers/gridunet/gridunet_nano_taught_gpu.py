"""GridUNet `nano`, taught by that of gridunet_teacher_gpu.py, from the shipped weights."""

_base_ = ["gridunet_teacher_gpu.py"]

model = dict(
    preset="nano",
    weights="nano",
    settings=dict(_delete_=True),
    teacher=dict(weights="{{$JPEG_PREPROC_TEACHER:base}}", share=0.7),
)
weights_name = "nano"
weights_strength = dict(_delete_=True, **_base_.gentle_strength)
