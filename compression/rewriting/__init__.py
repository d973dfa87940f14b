"""Changes of a whole network that come before its layers are compressed: one file for each."""
