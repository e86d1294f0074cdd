"""What the paired scores of two models on the same rows say, and the verdict."""
