"""Networks that are small from their first step on, beside a plain one with as many numbers."""
