import numpy as np
import pytest
from support.fake_run import make_run
from support.pages import HOSTILE, Page, offences
from support.reports import write_report

from tutelage.evaluation.paired.comparison import figures_of
from tutelage.evaluation.stats.statistics import paired_difference, resample
from tutelage.report.sets import set_rows
from tutelage.run.evaluation import SetFigures
from tutelage.run.folder import read_json, write_json

BASE = np.repeat([100.0, 0, 100, 0], [2, 14, 10, 14])
TUNED = np.repeat([0.0, 100, 100, 0], [2, 14, 10, 14])


def judged(base, tuned, metric):
    return {
        "source": f"sums.jsonl {HOSTILE}",
        "metric": metric,
        "rows": len(base),
        "dropped": 0,
        "clusters": len(base),
        "verdict": "better",
        "sentence": "Better.",
        **figures_of(paired_difference(base, tuned), resample(base, tuned)),
        "p_holm": 0.004,
    }


def test_a_set_is_a_line_with_its_figures_as_text():
    (line,) = set_rows({"sums": SetFigures.model_validate(judged(BASE, TUNED, "numeric"))}, {})
    assert (line.title, line.base, line.tuned, line.difference) == ("sums", "30.0 %", "60.0 %", "+30.0")
    assert line.p == "0.004"
    assert 100 < line.bar.left < line.bar.point < line.bar.right == pytest.approx(192)


def test_the_bar_points_to_the_better_side_where_lower_is_better():
    base = np.linspace(1, 2, 40)
    falling = judged(base, base - np.linspace(0.1, 0.3, 40), "bits_per_byte")
    (line,) = set_rows({"text": SetFigures.model_validate(falling)}, {})
    assert 100 < line.bar.left < line.bar.right


def test_a_run_without_sets_has_no_lines():
    assert set_rows({}, {}) == []


def test_the_page_shows_sets_and_general_text_and_escapes_what_a_recipe_says(tmp_path):
    run = make_run(tmp_path, test_rows=20)
    sets = {"sums": judged(BASE, TUNED, "numeric"), "alike": judged(BASE[:1], TUNED[:1], "contains")}
    write_json(run.metrics, read_json(run.metrics) | {"sets": sets})
    html = write_report(run).read_text(encoding="utf-8")
    assert offences(html) == []
    text = " ".join(Page(html).text.split())
    assert "sums Right number, 40 rows" in text
    assert "No regression on general text" in text
    assert '>1.200</td><td class="num">1.210</td><td class="num">+0.010</td>' in html
