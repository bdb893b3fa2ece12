"""Networks under one contract, their weights, and the engine that runs them on real images."""
