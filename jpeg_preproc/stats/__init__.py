"""Figures and how certain they are: pure functions of NumPy arrays and of pycocotools' records."""
