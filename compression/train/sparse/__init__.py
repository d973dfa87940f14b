"""Training with few weights: masks found before, between or during training, and penalties that make weights small enough to go."""
