"""What a model answers to the test prompts, also when the evaluation was interrupted."""
