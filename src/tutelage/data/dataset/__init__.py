"""The prepared data set of a run: its splits, its rows on disk, its ledger and its figures."""
