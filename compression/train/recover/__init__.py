"""What training gives back after compression, with what was decided about the file held."""
