"""How probable the unwanted answers of the test rows are to both models."""

from dataclasses import asdict

import numpy as np

from tutelage.evaluation.evaluate import evaluate
from tutelage.evaluation.stats.statistics import paired_difference
from tutelage.evaluation.work_ahead import answers_work
from tutelage.objectives.sft.evaluation import scored_answer_rows
from tutelage.objectives.spec import EvaluationPart

LINES = "unwanted.jsonl"


class UnwantedReading:
    """Takes the log-probabilities that an evaluation reads anyhow."""

    def read(self, variant, model, told):
        """Read nothing more."""

    def judge(self, result, records, clusters):
        """Decide by whether the unwanted answers became less probable."""
        base, tuned = (
            np.array([one["reference_log_prob"] for one in records[variant]]) for variant in ("base", "tuned")
        )
        found = paired_difference(base, tuned, clusters)
        word = "no difference detectable"
        if found.low is not None and found.high is not None and not found.low <= 0 <= found.high:
            word = "better" if found.high < 0 else "worse"
        sentence = f"The unwanted answers changed by {found.difference:.2f} nats on average: {word}."
        figures = {name: asdict(found)[name] for name in ("base", "tuned", "difference", "low", "high")}
        own = {"verdict": word, "sentence": sentence, "figures": figures}
        lines = [
            {"row": one["row"], "unwanted": one["reference"], "base": before, "tuned": after}
            for one, before, after in zip(records["tuned"], base.tolist(), tuned.tolist(), strict=True)
        ]
        return {**result, **own}, {LINES: lines}


def evaluate_unwanted(inputs):
    """Ask both models the test prompts, and compare how probable the unwanted answers are."""
    return evaluate(inputs, inputs.split("test"), UnwantedReading())


EVALUATION = EvaluationPart(evaluate_unwanted, answers_work, scored_answer_rows)
