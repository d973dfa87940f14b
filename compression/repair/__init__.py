"""Repairs of a compressed network without training: seconds, a few hundred training examples, and a judge that may refuse."""
