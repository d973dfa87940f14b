"""Reading a person's own files: weights, examples, and what kind of network they belong to. Nothing in them is executed."""
