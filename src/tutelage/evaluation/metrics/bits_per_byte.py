"""Bits per byte: how improbable a text is to a model, whatever its tokenizer."""

import math

from tutelage.evaluation.metrics.metric import AnswerMetric, for_sets


def bits_per_byte(log_prob: float, reference_bytes: int) -> float:
    """Turn a reference's log-probability in nats into bits per byte, which compares across tokenizers."""
    return -log_prob / math.log(2) / reference_bytes


METRIC = AnswerMetric(
    name="bits_per_byte",
    label="Bits per byte",
    unit="bits per byte",
    higher_is_better=False,
    decimals=3,
    meaning="negative log-probability of the reference answer, per byte; 0 means certainty",
    score=lambda answer: bits_per_byte(answer["reference_log_prob"], answer["reference_bytes"]),
)
SET_METRIC = for_sets(METRIC)
