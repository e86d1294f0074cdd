from support.compared import compare_folders
from support.fake_further import add_judge, add_passages, add_set
from support.fake_run import RECIPE, make_run, measure
from support.pages import HOSTILE, Page, offences

from tutelage.report.comparison_page import write_comparison
from tutelage.run.folder import write_json_lines, write_text
from tutelage.run.lines import read_json_lines


def two_runs(root):
    good, poor = (make_run(root / name, test_rows=30) for name in ("good", "poor"))
    answers = read_json_lines(poor.responses("tuned"))
    write_json_lines(poor.responses("tuned"), [{**one, "response": HOSTILE} for one in answers])
    write_text(poor.recipe, RECIPE.replace("r = 16", "r = 8"))
    measure(poor)
    return good, poor


def test_the_page_of_a_comparison_is_offline_and_escaped_and_says_the_verdict(tmp_path):
    good, poor = two_runs(tmp_path)
    write_comparison(tmp_path / "page.html", compare_folders([good, poor], good))
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert offences(html) == []
    text = " ".join(Page(html).text.split())
    assert "Worse: chrF fell from" in text
    assert "adapter.r (was 16, now 8)" in text
    assert "one seed" in text
    assert Page(html).text.count("<script>alert(1)</script>") >= 5


def test_the_page_shows_what_stands_beside_the_test_rows_and_names_what_is_left_out(tmp_path):
    good, poor = two_runs(tmp_path)
    for run, score in ((good, 100.0), (poor, 0.0)):
        add_set(run, "facts", dict.fromkeys(range(20), score))
        add_passages(run, {index: 1 + index / 100 + score / 1000 for index in range(40)})
        add_judge(run, f"ollama:{HOSTILE}", [80] * 30, trusted=run is good)
    write_comparison(tmp_path / "page.html", compare_folders([good, poor], good))
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert offences(html) == []
    text = " ".join(Page(html).text.split())
    assert "Set facts Contains, 20 rows" in text
    assert "100.0 % 0.0 % \u2212100.0" in text
    assert "General text Bits per byte, 40 rows" in text
    assert f"{poor.root}: the judge is not trusted on it" in text
    assert "General text: each run compared with its own base model" in text
    assert text.count("+0.020 +0.015 to +0.025 pass") == 2
