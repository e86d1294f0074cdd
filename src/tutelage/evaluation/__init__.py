"""Says whether the tuned model answers better than the base model, and how sure that is."""
