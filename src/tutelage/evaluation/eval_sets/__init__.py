"""Named test sets beside the test rows, kept apart from the prompts of the training."""
