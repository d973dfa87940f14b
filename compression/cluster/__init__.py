"""The same work in several processes or on several machines, with the same results."""
