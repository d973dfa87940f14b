"""The pieces of the Budget page."""
