"""The model room: where weights come from, how they are loaded, and how log-probabilities are had of them."""
