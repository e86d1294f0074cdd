"""Generate answers with the model."""
