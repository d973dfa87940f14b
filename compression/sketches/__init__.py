"""What is prepared once about a weight so that a dial is answered at once, whatever the weight's size."""
