"""Stage 3, first step: answers from the model."""
