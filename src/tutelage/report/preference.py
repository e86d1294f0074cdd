"""What the page shows of a preference tuning: its figures, and the pairs on which it went the wrong way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tutelage.evaluation.metrics.metrics import METRICS
from tutelage.evaluation.stats.clusters import shared_frame
from tutelage.report.headline import Headline, KeyFigure
from tutelage.report.scores import change_text, interval_text, value_text
from tutelage.run.evaluation import AnswerEvaluation, LengthFigures, PreferenceFigures, Side
from tutelage.run.folder import RunFolder
from tutelage.run.lines import read_json_lines

WRONG_SHOWN = 5

MEANINGS: Mapping[Side, str] = {
    "chosen": "how surprised the model is by the answer that was preferred",
    "rejected": "how surprised it is by the other one",
}


@dataclass(frozen=True)
class SideRow:
    """One of the two answers, its numbers as text."""

    label: str
    meaning: str
    reward: str
    base: str
    tuned: str
    difference: str
    interval: str


@dataclass(frozen=True)
class ShownPair:
    """A test pair with how far the tuned model moved towards the chosen answer, negative where away from it."""

    row: int
    prompt: str
    chosen: str
    rejected: str
    margin: str


@dataclass(frozen=True)
class Preference:
    """`figures` are those of metrics.json; `pairs` begin with those on which the model moved the wrong way most."""

    figures: PreferenceFigures
    verdict: Headline
    sides: list[SideRow]
    pairs: list[ShownPair]
    key_figures: list[KeyFigure]


def preference_section(run: RunFolder, evaluation: AnswerEvaluation | None) -> Preference | None:
    """Return what there is to show of a run, None where it tuned no preferences or is not evaluated yet."""
    if evaluation is None or evaluation.preference is None:
        return None
    figures, word = evaluation.preference, evaluation.verdict
    return Preference(
        figures=figures,
        verdict=Headline(word.capitalize(), evaluation.sentence, word),
        sides=[_side(name, figures) for name in MEANINGS],
        pairs=_pairs(read_json_lines(run.preferences)),
        key_figures=_key_figures(figures, evaluation.length),
    )


def _side(name: Side, figures: PreferenceFigures) -> SideRow:
    metric, bits = METRICS["bits_per_byte"], figures.bits_per_byte[name]
    return SideRow(
        label=f"{name} answers",
        meaning=MEANINGS[name],
        reward=f"{figures.rewards[name]:+.2f}".replace("-", "\u2212"),
        base=value_text(bits.base, metric),
        tuned=value_text(bits.tuned, metric),
        difference=change_text(bits.difference, metric),
        interval=interval_text(bits.low, bits.high, metric),
    )


def _pairs(records: Sequence[Mapping[str, Any]]) -> list[ShownPair]:
    opening, ending = shared_frame([record["prompt"] for record in records])
    return [
        ShownPair(
            row=record["row"],
            prompt=record["prompt"].removeprefix(opening).removesuffix(ending),
            chosen=record["chosen"],
            rejected=record["rejected"],
            margin=f"{record['margin']:+.2f}".replace("-", "\u2212"),
        )
        for record in sorted(records, key=lambda record: (record["margin"], record["row"]))[:WRONG_SHOWN]
    ]


def _key_figures(figures: PreferenceFigures, length: LengthFigures | None) -> list[KeyFigure]:
    likelier = figures.chosen_likelier
    before, after = (f"{100 * arm.value:.1f} %" for arm in (likelier.base, likelier.tuned))
    found = [
        KeyFigure(
            "Chosen answer more likely",
            before,
            after,
            "share of the test pairs; half of them would be chance",
        )
    ]
    if length is not None:
        before, after = (f"{tokens:.1f}" for tokens in (length.base, length.tuned))
        found.append(
            KeyFigure(
                "Length of its own answers", before, after, "tokens; preferences often make answers longer"
            )
        )
    return found
