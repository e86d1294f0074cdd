"""Check, describe and select rows without training on them."""
