"""GridUNet, the weights `nano-task`: as gridunet_small_task_longer_cpu.py, from third `nano`."""

_base_ = ["gridunet_small_task_longer_cpu.py"]

model = dict(preset="nano", weights="nano")
weights_name = "nano-task"
# At these shares its mean gain on T91 and wallpapers is highest, or nearly, and fewest images lose.
weights_strength = {
    "_delete_": True,
    "80": 1.0,
    "85": 0.85,
    "90": 0.7,
    "92": 0.6,
    "94": 0.47,
    "95": 0.4,
    "96": 0.22,
    "97": 0.1,
    "98": 0.07,
    "100": 0.0,
}
