"""The embedded demo: its detector and its segmenter at the qualities of the papers' tables.

Its images are drawn and its models were trained on such drawings: it shows how a study works, and
is no evidence about photographs.
"""

title = "The embedded demo"
models = "demo"
corruptions = ["jpeg:10", "jpeg:20", "jpeg:30", "jpeg:40"]
restorers = ["small-task", "base"]
compare = dict(baseline="base", robustness=True, rate="jpeg")
