"""Writing weights with fewer bits."""
