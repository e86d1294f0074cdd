"""A classification without a language model, as the line to beat: weighted counts of words, and a linear model."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Words and single signs; scripts without spaces are cut into their characters.
UNSPACED = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
PIECES = rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]"
MOST_ROUNDS = 1000  # of the fit, far more than it needs


def classes_by_words(texts: Sequence[str], classes: np.ndarray, asked: Sequence[str]) -> np.ndarray:
    """Return the class of each asked text, (asked,), as learnt from texts and their (texts,) classes by number.

    TF-IDF over one and two pieces in sequence, and logistic regression, both as scikit-learn has them by default.
    """
    return _predicted(texts, classes, asked, lambda model: model)


def label_sets_by_words(texts: Sequence[str], sets: np.ndarray, asked: Sequence[str]) -> np.ndarray:
    """Return the labels of each asked text, (asked, labels) bool, as learnt from texts and theirs, one by one."""
    multiclass = importlib.import_module("sklearn.multiclass")
    return _predicted(texts, sets.astype(int), asked, multiclass.OneVsRestClassifier).astype(bool)


def _predicted(
    texts: Sequence[str], targets: np.ndarray, asked: Sequence[str], wrap: Callable[[Any], Any]
) -> np.ndarray:
    extraction = importlib.import_module("sklearn.feature_extraction.text")
    linear = importlib.import_module("sklearn.linear_model")
    vectors = extraction.TfidfVectorizer(token_pattern=PIECES, ngram_range=(1, 2))
    model = wrap(linear.LogisticRegression(max_iter=MOST_ROUNDS)).fit(vectors.fit_transform(texts), targets)
    return model.predict(vectors.transform(asked))
