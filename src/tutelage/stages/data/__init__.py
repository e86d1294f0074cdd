"""Files of rows made from others: convert, filter, split, sample, describe, and have a language model write them."""
