from support.fake_run import RECIPE, make_run, measure
from support.pages import HOSTILE, Page, offences

from tutelage.evaluation.runs import compare_runs
from tutelage.report.comparison_page import write_comparison
from tutelage.run_folder import read_json_lines, write_json_lines, write_text


def two_runs(root):
    good, poor = (make_run(root / name, test_rows=30) for name in ("good", "poor"))
    answers = read_json_lines(poor.responses("tuned"))
    write_json_lines(poor.responses("tuned"), [{**one, "response": HOSTILE} for one in answers])
    write_text(poor.recipe, RECIPE.replace("r = 16", "r = 8"))
    measure(poor)
    return good.root, poor.root


def test_the_page_of_a_comparison_is_offline_and_escaped_and_says_the_verdict(tmp_path):
    good, poor = two_runs(tmp_path)
    write_comparison(tmp_path / "page.html", compare_runs([good, poor], good))
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert offences(html) == []
    text = " ".join(Page(html).text.split())
    assert "Worse: chrF fell from" in text
    assert "adapter.r (was 16, now 8)" in text
    assert "one seed" in text
    assert Page(html).text.count("<script>alert(1)</script>") >= 5
