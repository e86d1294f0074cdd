import pytest
from support.fake_run import make_run

from tutelage.run.folder import RunFolder, read_json
from tutelage.stages.report import summarise


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), test_rows=20)


def test_the_summary_has_the_promised_keys(run):
    summary = summarise(run).to_record()
    assert summary["rows"] == {"train": 900, "test": 20, "validation": 60}
    assert summary["loss"] == {"validation": {"before": 2.41, "after": 0.93, "best": 0.92}}
    assert set(summary["training"]) == {
        "examples_per_second",
        "computed_tokens",
        "distinct_tokens",
        "supervised_tokens",
        "max_nodes",
        "seconds",
        "peak_memory_bytes",
        "dtype",
        "fallback_reason",
        "steps",
        "planned_steps",
        "resumed",
        "allowed_changes",
        "best_step",
        "trainable_parameters",
    }
    assert set(summary["evaluation"]) == {
        "format",
        "rows",
        "clusters",
        "metrics",
        "primary_metric",
        "verdict",
        "sentence",
        "minimum_detectable_effect",
        "length",
        "sets",
        "general_text",
    }
    for figures in summary["evaluation"]["metrics"].values():
        assert {"base", "tuned", "difference", "low", "high", "minimum_detectable_effect"} <= set(figures)
        assert {"higher", "equal", "lower", "bca_low", "bca_high", "p", "p_holm"} <= set(figures)


def test_what_the_stages_measured_is_passed_on_unchanged(run):
    summary = summarise(run).to_record()
    assert summary["evaluation"] == read_json(run.metrics)
    training = {"format": 2, **summary["training"], "loss": summary["loss"]["validation"]}
    assert training == read_json(run.training)


@pytest.mark.parametrize(("until", "parts"), [("prepare", {"rows"}), ("tune", {"rows", "loss", "training"})])
def test_stages_that_have_not_run_are_absent(tmp_path, until, parts):
    assert set(summarise(make_run(tmp_path, until=until, test_rows=20)).to_record()) == parts


def test_an_empty_folder_has_an_empty_summary(tmp_path):
    assert summarise(RunFolder(tmp_path)).to_record() == {}
