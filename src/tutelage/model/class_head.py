"""A head with one row per class instead of one per token; the last token of each text predicts its class."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from tutelage.model.forward import MAX_NODES, CausalModel, target_log_probs
from tutelage.model.loading import new_sequence_classifier
from tutelage.model.short_memory import in_parts
from tutelage.tree.batches import examples_within
from tutelage.tree.examples import Example, labelled_example
from tutelage.tree.prefix_tree import merge


class ClassHead(torch.nn.Linear):
    """A head that stays in float32, because it is trained, whatever the dtype of the hidden states."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return the class logits: (..., hidden) to (..., classes)."""
        with torch.autocast(input.device.type, enabled=False):
            return torch.nn.functional.linear(input.to(self.weight.dtype), self.weight)


def with_class_head(
    model: CausalModel, classes: int, *, seed: int, sets: Sequence[Sequence[int]] = ()
) -> CausalModel:
    """Replace the head of a model with a new one for `classes` classes, initialized from the seed.

    `sets` lists the combinations of labels, as class numbers, if a text can have several labels or none. The
    head has no bias, like the sequence classification heads of transformers.
    """
    module = model.module
    old = module.get_output_embeddings()
    head = ClassHead(old.in_features, classes, bias=False, device=model.device, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    head.weight.data.copy_(0.02 * torch.randn(head.weight.shape, generator=generator))
    # A tied head shares its weights with the embedding, which must not change.
    module.config.tie_word_embeddings = False
    module.set_output_embeddings(head)
    members = torch.from_numpy(as_matrix(sets, classes)).to(model.device) if sets else None
    return replace(model, frozen_head=None, label_sets=members)


def class_head_name(module: Any) -> str | None:
    """Return the module name of the class head, or None if the model has none."""
    return next((name for name, layer in module.named_modules() if isinstance(layer, ClassHead)), None)


def as_sequence_classifier(module: Any, labels: Sequence[str], *, padding: int, several: bool = False) -> Any:
    """Return a transformers sequence classifier with the body and class head of a model.

    It reads the last token that is not `padding`, the one the head was trained on. With `several`, each label
    has an independent probability.
    """
    config = copy.deepcopy(module.config)
    config.id2label, config.label2id = dict(enumerate(labels)), {name: at for at, name in enumerate(labels)}
    kind = "multi_label" if several else "single_label"
    config.problem_type, config.pad_token_id = f"{kind}_classification", padding
    model = new_sequence_classifier(config)
    model.base_model.load_state_dict(module.base_model.state_dict())
    model.score.load_state_dict(module.get_output_embeddings().state_dict())
    return model.eval()


@torch.no_grad()
def class_log_probs(
    model: CausalModel,
    texts: Sequence[Sequence[int]],
    classes: int,
    *,
    progress: Callable[[int], None] = lambda texts: None,
) -> np.ndarray:
    """Return the log-probability (nats) of each class for each tokenized text: (texts, classes) float64.

    Each text becomes one example per class. These share all their tokens, so nothing is computed twice.
    """
    model.module.eval()
    examples = [
        labelled_example(row, ids, number) for row, ids in enumerate(texts) for number in range(classes)
    ]
    found = np.empty((len(texts), classes))

    def read(run: Sequence[Example]) -> None:
        tree = merge(run)
        log_probs = target_log_probs(model, tree).cpu().double().numpy()
        found[[example.row for example in run], tree.target_ids] = log_probs
        progress(sum(example.label == 0 for example in run))

    for run in examples_within(examples, distinct_tokens=MAX_NODES, padded=model.is_padded):
        in_parts(run, read)
    return found


def class_probabilities(
    model: CausalModel,
    texts: Sequence[Sequence[int]],
    classes: int,
    *,
    progress: Callable[[int], None] = lambda texts: None,
) -> np.ndarray:
    """Return the probability of each class for each tokenized text: (texts, classes) float64."""
    return np.exp(class_log_probs(model, texts, classes, progress=progress))


def label_probabilities(
    model: CausalModel,
    texts: Sequence[Sequence[int]],
    labels: int,
    *,
    progress: Callable[[int], None] = lambda texts: None,
) -> np.ndarray:
    """Return the independent probability of each label for each tokenized text: (texts, labels) float64.

    The logit of a label is the log-probability of the set with that label alone minus that of the empty set.
    """
    sets = as_matrix([(), *((label,) for label in range(labels))], labels)
    asked = replace(model, label_sets=torch.from_numpy(sets).to(model.device))
    log_probs = class_log_probs(asked, texts, labels + 1, progress=progress)
    logits = log_probs[:, 1:] - log_probs[:, :1]
    return expit(logits)


def as_matrix(sets: Sequence[Sequence[int]], labels: int) -> np.ndarray:
    """Return the membership matrix of label sets: (sets, labels) bool."""
    matrix = np.zeros((len(sets), labels), dtype=bool)
    for number, members in enumerate(sets):
        matrix[number, list(members)] = True
    return matrix
