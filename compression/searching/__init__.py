"""Searches that look at a network only by having whole recipes measured: on equal numbers of measurements they can be compared."""
