"""Clean images to (jpeg, clean, quality) triples, and the losses and schedules that use them."""
