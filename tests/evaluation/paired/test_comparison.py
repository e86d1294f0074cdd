"""A comparison read back from what an evaluation wrote is the one that was computed."""

from dataclasses import replace

import pytest
from support.fake_run import make_run

from tutelage.config.extensions import METRICS
from tutelage.evaluation.metrics import load_metric
from tutelage.evaluation.metrics.metrics import read_scores, score_rows
from tutelage.evaluation.paired.comparison import compare_scores, comparison_of
from tutelage.evaluation.paired.verdict import verdict
from tutelage.run.evaluation import read_evaluation
from tutelage.run.lines import read_json_lines


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "run", test_rows=40)


def test_scores_and_comparison_are_those_that_were_written(run):
    base, tuned = (read_json_lines(run.responses(variant)) for variant in ("base", "tuned"))
    computed, read = score_rows(base, tuned), read_scores(read_json_lines(run.scores), base, tuned)
    assert read.rows == computed.rows
    for name in METRICS:
        assert (read.base[name] == computed.base[name]).all()
        assert (read.tuned[name] == computed.tuned[name]).all()
    assert (read.clusters == computed.clusters).all()
    assert (read.base_tokens == computed.base_tokens).all()
    assert (read.tuned_tokens == computed.tuned_tokens).all()
    assert comparison_of(read_evaluation(run.metrics)) == compare_scores(computed, load_metric("chrf"))


def test_the_word_of_a_secondary_metric_follows_its_corrected_p(run):
    """An interval without 0 beside p = 0.062 is no difference; the metric that decides has no corrected p."""
    compared = comparison_of(read_evaluation(run.metrics))
    clear = compared.measured["chrf"]
    measured = dict.fromkeys(("chrf", "rouge_l", "token_f1"), clear)
    metrics = {name: compared.metrics[name] for name in measured}
    corrected = replace(
        compared, metrics=metrics, measured=measured, p_holm={"rouge_l": 0.062, "token_f1": 0.049}
    )
    assert verdict(clear, load_metric("rouge_l")).word == "better", "what the interval alone says"
    words = {name: corrected.word(name) for name in measured}
    assert words == {"chrf": "better", "rouge_l": "no difference detectable", "token_f1": "better"}
