"""The prompts that are answered in training: of each row the last one, and those of its earlier supervised answers."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any

from tutelage.data.quality.prompt_fingerprint import normalised
from tutelage.tree.examples import Example, PreparedRow


class TrainedPrompts:
    """Tells whether a rendered prompt is answered in training, whatever its case, white space and punctuation.

    Of an earlier answer a prepared row holds the place among its tokens, which are decoded where a prompt begins alike.
    """

    def __init__(self, rows: Sequence[PreparedRow], tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._whole: set[str] = set()
        longer: list[tuple[str, Example]] = []  # of rows with earlier answers
        for row in rows:
            prompt, example = normalised(row.prompt), row.example
            self._whole.add(prompt)
            if example.earlier_spans or _supervises_prompt(example):
                longer.append((prompt, example))
        longer.sort(key=lambda one: one[0])
        self._longer = [prompt for prompt, _ in longer]
        self._examples = [example for _, example in longer]

    def __contains__(self, prompt: str) -> bool:
        asked = normalised(prompt)
        if asked in self._whole:
            return True
        place = bisect_left(self._longer, asked)
        while place < len(self._longer) and self._longer[place].startswith(asked):
            # A rendered prompt ends with the opening of an answer, so that one follows here.
            if self._longer[place][len(asked) :].startswith(" ") and self._answers(place, asked):
                return True
            place += 1
        return False

    def _answers(self, place: int, asked: str) -> bool:
        """Tell whether what follows a prompt in a longer one is trained on."""
        example = self._examples[place]
        earlier = (example.ids[:begin] for begin, _ in example.earlier_spans)
        return _supervises_prompt(example) or any(
            normalised(self._tokenizer.decode(list(ids), skip_special_tokens=False)) == asked
            for ids in earlier
        )


def _supervises_prompt(example: Example) -> bool:
    """Tell whether the loss is on everything."""
    return not example.earlier_spans and example.supervised > len(example.response_ids)
