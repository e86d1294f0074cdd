"""Models: locate and load weights, add adapters, and compute log-probabilities."""
