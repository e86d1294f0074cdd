"""The core idea: examples merged into a tree of their distinct prefixes, cut into batches, and shown."""
