"""Setting weights to zero, and storing only the others."""
