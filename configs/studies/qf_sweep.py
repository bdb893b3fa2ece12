"""From QF 5 to 95: where JPEG costs accuracy, and how many bits restoring saves."""

_base_ = "_base_/small_models.py"

title = "Accuracy over quality and bits, QF 5 to 95"
corruptions = [f"jpeg:{qf}" for qf in (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 90, 95)]
restorers = ["small-task", "base-task", "nano-task"]
compare = dict(rate="jpeg")
