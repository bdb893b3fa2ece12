"""How certain a figure is: pure functions of NumPy arrays and of pycocotools' records."""
