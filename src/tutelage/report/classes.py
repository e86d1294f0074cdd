"""What the page shows of a classification: its figures, how far its probabilities are true, and the wrong rows."""

from dataclasses import dataclass
from typing import Any

from tutelage.report.charts import Chart, reliability_chart
from tutelage.report.headline import Headline
from tutelage.run_folder import RunFolder, read_json, read_json_lines

WRONG_SHOWN = 50


@dataclass(frozen=True)
class Classes:
    """`figures` are those of metrics.json; `wrong` are the first wrong predictions, the surest of them first."""

    figures: dict[str, Any]
    reliability: Chart
    wrong: list[dict[str, Any]]
    more_wrong: int

    def headline(self) -> Headline:
        """Say what the evaluation found."""
        word = self.figures["verdict"]
        return Headline(word.capitalize(), self.figures["sentence"], word)


def class_section(run: RunFolder) -> Classes | None:
    """Return what there is to show of a run, None where it is no classification or not evaluated yet."""
    if not run.predictions.exists():
        return None
    figures = read_json(run.metrics)
    wrong = [row for row in read_json_lines(run.predictions) if row["predicted"] != row["label"]]
    wrong.sort(key=lambda row: -row["probabilities"][row["predicted"]])
    chart = reliability_chart(figures["calibration"])
    return Classes(figures, chart, wrong[:WRONG_SHOWN], max(0, len(wrong) - WRONG_SHOWN))
