"""A classification without any tuning, as a line to beat: whose name the base model would write after a text."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tutelage.data.prompts.encoding import adds_begin_of_text, encode_text
from tutelage.errors import RecipeError
from tutelage.model.answer_log_probs import answer_log_probs
from tutelage.model.forward import CausalModel
from tutelage.tree.examples import Example

# The same for all texts and data, so that nothing is gained by trying wordings on the test rows.
BEFORE = "Give the text the label that fits it. The labels are: {labels}.\n\nText: "
AFTER = "\n\nLabel:"
END = "\n"  # without it a name would be as probable as all that begin with it together


def classes_by_names(
    model: CausalModel,
    tokenizer: Any,
    texts: Sequence[str],
    classes: Sequence[str],
    *,
    context_length: int,
    progress: Callable[[int], None] = lambda names: None,
) -> np.ndarray:
    """Return the class of each text by number, (texts,), whose name has the highest log-probability after it.

    A text that does not fit into the context with what stands around it is cut at its end; `progress` is told how many
    more names are read. RecipeError where the names alone do not fit.
    """
    examples = name_examples(tokenizer, texts, classes, context_length=context_length)
    log_probs = answer_log_probs(model, examples, progress=progress)  # (texts * classes,)
    return log_probs.reshape(len(texts), len(classes)).argmax(axis=1)


def name_examples(
    tokenizer: Any, texts: Sequence[str], classes: Sequence[str], *, context_length: int
) -> list[Example]:
    """Return an example for each text and class, the classes of one text in a row: the name and an end are targets."""
    begin = [tokenizer.bos_token_id] if adds_begin_of_text(tokenizer) else []
    before = [*begin, *encode_text(tokenizer, BEFORE.format(labels=", ".join(classes)))]
    after = encode_text(tokenizer, AFTER)
    names = [encode_text(tokenizer, f" {name}{END}") for name in classes]
    room = context_length - len(before) - len(after) - max(map(len, names))
    if room < 1:
        raise RecipeError(
            "evaluate.labels_exceed_context",
            f"evaluation.zero_shot puts the names of all {len(classes):,} labels before each text, but they"
            f" do not fit into the model's context of {context_length:,} tokens. Set it to false.",
        )
    examples = []
    for row, text in enumerate(texts):
        prompt = [*before, *encode_text(tokenizer, text)[:room], *after]
        examples += [Example(row, (*prompt, *name), len(prompt), len(name)) for name in names]
    return examples
