"""What can be told of a source without training on it, and rows chosen by it."""
