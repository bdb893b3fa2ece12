"""The embedded demo: its detector and its segmenter at the qualities of the papers' tables.

Forty photographs of COCO val2017 and stock models, which no restorer was trained with; so few that
the intervals are wide, those of mIoU above all.
"""

title = "The embedded demo"
models = "demo"
corruptions = ["jpeg:10", "jpeg:20", "jpeg:30", "jpeg:40"]
restorers = ["small-task", "nano-task"]
compare = dict(baseline="nano-task", robustness=True, rate="jpeg")
