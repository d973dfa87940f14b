"""Training: what it gives back after compression, and what it makes possible that no post-training method can."""
