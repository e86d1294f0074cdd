"""Finds the texts that are most similar to others, by the cosine of their TF-IDF vectors."""

import importlib
from collections.abc import Sequence

import numpy as np

from tutelage.evaluation.baselines.tf_idf import PIECES

ASKED_AT_ONCE = 64  # of each, its similarity to all texts is in memory


class NearestTexts:
    """Texts by their words and pairs of words, as scikit-learn weighs them by default."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._count = len(texts)
        self._vectors = None
        if any(text.strip() for text in texts):  # without a word there is no vocabulary
            extraction = importlib.import_module("sklearn.feature_extraction.text")
            self._vectorizer = extraction.TfidfVectorizer(token_pattern=PIECES, ngram_range=(1, 2))
            self._vectors = self._vectorizer.fit_transform(texts)  # (texts, pieces), sparse

    def nearest(self, asked: Sequence[str], count: int) -> np.ndarray:
        """Return the places of the most similar texts, (asked, min(count, texts)), the nearest first.

        Of equally similar texts the earlier one comes first.
        """
        count = min(count, self._count)
        if self._vectors is None:
            return np.tile(np.arange(count), (len(asked), 1))
        found = [np.empty((0, count), dtype=np.int64)]
        for begin in range(0, len(asked), ASKED_AT_ONCE):
            vectors = self._vectorizer.transform(asked[begin : begin + ASKED_AT_ONCE])
            similarity = (vectors @ self._vectors.T).toarray()  # (asked at once, texts)
            found.append(np.argsort(-similarity, axis=1, kind="stable")[:, :count])
        return np.concatenate(found)
