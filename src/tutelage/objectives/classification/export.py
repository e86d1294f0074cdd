"""A classification for other programs: transformers' folder for sequence classification, held against the run's labels.

The run's model gives its probabilities in this process, in float32; the export in a fresh one, by transformers' own
pipeline, as a user would ask it.
"""

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tutelage.errors import RunFolderError
from tutelage.evaluation.metrics.threshold import HALF
from tutelage.export.export import Waiting, write_export
from tutelage.export.record import Exported
from tutelage.export.verification import ExportComparison, reload
from tutelage.model.assembly import load_merged
from tutelage.model.class_head import as_sequence_classifier, class_probabilities, label_probabilities
from tutelage.model.config_compatibility import adapt_config, adapt_tokenizer
from tutelage.model.folders import read_json_file
from tutelage.model.loading import has_sequence_classifier, load_tokenizer, quietly
from tutelage.model.trained import TrainedModel
from tutelage.objectives.classification.card import class_card
from tutelage.objectives.classification.evaluation import load_classifier
from tutelage.objectives.classification.rows import text_ids
from tutelage.objectives.spec import ExportPart
from tutelage.run.evaluation import Evaluation
from tutelage.tree.examples import PreparedRow

HF = "hf"  # the one target of a classification
TEXTS = 200
LARGEST_DIFFERENCE = 1e-4  # of a probability; float32 in another order stays well below
LEAST_SHOWN = 1e-12
TRANSFORMERS_PIPELINE = "transformers' pipeline"  # what an export is verified with


@dataclass(frozen=True)
class ClassReference:
    """What the run's own model says of some texts: their ids, and the probability of each class."""

    classes: list[str]
    texts: list[str]
    ids: list[list[int]]
    probabilities: np.ndarray  # (texts, classes)
    left_out: int  # texts that spell out a control token, which other programs read as one
    several: bool = False  # whether each label is given by itself


def export_classifier(
    trained: TrainedModel,
    held_out: Iterable[PreparedRow],
    evaluation: Evaluation | None,
    folder: Path,
    targets: Sequence[str],
    *,
    quantization: str,
    waiting: Waiting,
) -> list[Exported]:
    """Make, verify and publish the one format that a classification has."""
    with waiting("Running the model on held-out texts"):
        reference = ask_classifier(trained, [row.prompt for row in islice(held_out, TEXTS)])
    exported = write_export(
        trained,
        folder,
        HF,
        "f32",
        make=lambda staged: write_classifier(staged, trained),
        card=class_card(trained, evaluation),
        verify=lambda staged: (compare_classes(reference, staged), TRANSFORMERS_PIPELINE),
        waiting=waiting,
    )
    return [exported]


def check_classifier_export(trained: TrainedModel, targets: Sequence[str]) -> None:
    """Stop where a classification has no such export, or transformers no such model."""
    for target in targets:
        if target != HF:
            raise RunFolderError(
                "export.target_needs_answers",
                f"{trained.name} is a classification run, but {target} needs a model that writes answers."
                " Export it with --to hf.",
            )
    if trained.recipe.data.pooling != "last":
        raise RunFolderError(
            "export.first_token_pooling",
            f"The head of {trained.name} reads the first token of a text (data.pooling), but transformers'"
            " sequence classifiers read the last one. Use it with `tutelage classify`, or train again with"
            " data.pooling=last.",
        )
    family = str(read_json_file(trained.source.folder / "config.json").get("model_type"))
    if not has_sequence_classifier(family):
        raise RunFolderError(
            "export.family_without_classification",
            f"transformers has no sequence classification model for the family {family}, so {trained.name}"
            " cannot be exported. Use it with `tutelage classify`, or fine-tune another base model.",
        )


def ask_classifier(trained: TrainedModel, held_out: Sequence[str]) -> ClassReference:
    """Let the run's own model read held-out texts."""
    classes = trained.preparation.classes
    tokenizer = load_tokenizer(trained.source.folder)
    controls = [token.content for token in tokenizer.added_tokens_decoder.values()]
    texts = [text for text in held_out if not any(control in text for control in controls)]
    ids = [text_ids(tokenizer, text, token="last") for text in texts]
    model = load_classifier(trained, device=torch.device("cpu"), dtype=torch.float32)
    several = trained.recipe.data.label_separator is not None
    found = (label_probabilities if several else class_probabilities)(model, ids, len(classes))
    return ClassReference(classes, texts, ids, found, len(held_out) - len(texts), several)


def write_classifier(folder: Path, trained: TrainedModel) -> None:
    """Write the model with its weights merged, the labels by their numbers, and the tokenizer with a padding token."""
    recipe, classes = trained.recipe, trained.preparation.classes
    tokenizer: Any = load_tokenizer(trained.source.folder)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(
            max(tokenizer.added_tokens_decoder, default=0)
        )
    tokenizer.padding_side = "right"
    tokenizer.chat_template = None  # nobody talks with it
    merged = load_merged(trained.source, trained.weights, recipe.tuning, classes=len(classes))
    several = recipe.data.label_separator is not None
    classifier = as_sequence_classifier(merged, classes, padding=tokenizer.pad_token_id, several=several)
    with quietly():
        classifier.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    adapt_config(folder)
    adapt_tokenizer(folder)


def compare_classes(reference: ClassReference, folder: Path) -> ExportComparison:
    """Ask an export the same texts in a fresh process, alone and in padded batches."""
    with tempfile.TemporaryDirectory() as scratch:
        job = Path(scratch) / "job.json"
        job.write_text(json.dumps({"path": str(folder), "texts": reference.texts}), encoding="utf-8")
        reload("tutelage.objectives.classification.reload", job)
        found = json.loads((job.parent / "found.json").read_text(encoding="utf-8"))
    return judge_classes(reference, found)


def judge_classes(reference: ClassReference, found: dict[str, Any]) -> ExportComparison:
    """Compare what an export says: `ids` of each text, and `alone` and `together` the score of each label."""
    own = reference.probabilities
    scores = {
        way: np.array([[row.get(label, np.nan) for label in reference.classes] for row in found[way]])
        for way in ("alone", "together")
    }
    other_ids = [at for at, ids in enumerate(reference.ids) if ids != found["ids"][at]]
    apart = {way: np.abs(scores[way] - own).max(axis=1) for way in scores}  # (texts,)
    # Not greater, so that what is no number is found too.
    other_scores = [
        at for at in range(len(own)) if not max(apart[way][at] for way in apart) <= LARGEST_DIFFERENCE
    ]
    equal = int((_given(scores["together"], reference) == _given(own, reference)).all(axis=1).sum())
    mismatch = None
    if other_ids:
        mismatch = f"{len(other_ids)} of {len(own)} texts get different token ids"
    elif other_scores:
        mismatch = f"{len(other_scores)} of {len(own)} texts get different probabilities"
    every = [own, scores["together"]]
    if reference.several:  # a label that is not given is an outcome too
        every = [np.concatenate([one, 1 - one], axis=1) for one in every]
    log_own, log_found = (np.log(np.maximum(one, LEAST_SHOWN)) for one in every)
    evidence: list[dict[str, Any]] = [
        {
            "what": "label",
            "text": reference.texts[at],
            "run": dict(zip(reference.classes, own[at].tolist(), strict=True)),
            "export": found["together"][at],
            "run_ids": reference.ids[at],
            "export_ids": found["ids"][at],
        }
        for at in sorted({*other_ids, *other_scores})
    ]
    return ExportComparison(
        prompts=len(own),
        left_out=reference.left_out,
        ids_equal=len(own) - len(other_ids),
        templates_equal=None,
        answers_equal=equal,
        same_tokens=equal / len(own),
        largest_log_prob_difference=float(np.abs(log_found - log_own).max()),
        mean_kl=float((every[0] * (log_own - log_found)).sum(axis=1).mean()),
        mismatch=mismatch,
        evidence=evidence[:20],
    )


def _given(probabilities: np.ndarray, reference: ClassReference) -> np.ndarray:
    """Return what is given to each text: (texts, classes) bool of several labels, or (texts, 1) the most probable."""
    return probabilities >= HALF if reference.several else probabilities.argmax(axis=1, keepdims=True)


EXPORT = ExportPart(check_classifier_export, export_classifier)
