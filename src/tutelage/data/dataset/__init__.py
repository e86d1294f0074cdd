"""The prepared data set of a run: splits, stored rows, ledger and statistics."""
