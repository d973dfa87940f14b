"""The Trade-off page's parts: what is measured, what is known of it, and the pictures and words about it."""
