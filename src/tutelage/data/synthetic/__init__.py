"""Generate and improve rows with a language model."""
