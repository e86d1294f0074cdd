"""What kind of answers some references are, decided from the training rows before anything is trained."""
