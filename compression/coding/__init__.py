"""Spending fewer bits on codes that come often. Lossless."""
