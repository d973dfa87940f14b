"""Distillation: a small network learns from what a large one answers, and from what happens inside it."""
