"""Rows with an answer: every format of conversations, rendered by the prompt style."""

from tutelage.data.dataset.row_encoder import ANSWERS

ROWS = ANSWERS
