"""Letting weights share values."""
