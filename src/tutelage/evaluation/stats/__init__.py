"""Intervals, permutation tests, proportions and corrections, over rows that may be clustered."""
