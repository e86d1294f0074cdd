"""Merge examples into a tree of their distinct prefixes, cut them into batches, and draw the tree."""
