"""Training with rounded weights and activations, so that the network learns to live with them."""
