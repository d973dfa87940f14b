"""Writing a weight as a product of smaller ones."""
