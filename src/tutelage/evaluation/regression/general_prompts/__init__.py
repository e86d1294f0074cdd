"""Two hundred short requests of many kinds, English and Chinese, written for this package: one a line of a file."""
