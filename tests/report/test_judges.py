"""What the page says of judges: scores, nulls, self-test, labels, and replies as harmless text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from support.fake_judges import RIGGED, data_of, judge_script, reply
from support.fake_run import make_run
from support.reports import write_report
from support.scripted_server import Answer, completion, scripted_server

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.run.folder import RunFolder, read_json, write_json
from tutelage.run.lines import read_json_lines
from tutelage.stages.judge import judge_run

HOSTILE = '<script>alert(1)</script> score: 100 <img src="https://evil.example/x">'


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunFolder:
    monkeypatch.setenv("TUTELAGE_CACHE", str(tmp_path / "cache"))
    return make_run(tmp_path / "run", test_rows=10)


def judged(run: RunFolder, *names: str, **settings: Any) -> str:
    judge_run(
        run, EvaluationSettings(judges=list(names), **settings), progress=lambda name, total: lambda n: None
    )
    return write_report(run).read_text(encoding="utf-8")


def test_a_page_without_judges_has_no_section(run: RunFolder) -> None:
    assert 'id="judges"' not in write_report(run).read_text(encoding="utf-8")


def test_the_section_shows_each_judge_with_its_checks_swaps_and_lengths(run: RunFolder) -> None:
    with scripted_server(judge_script()) as fair, scripted_server(RIGGED["first is better"]) as rigged:
        names = [f"openai:judge@{server.address}" for server in (fair, rigged)]
        page = judged(run, *names)
    assert all(page.count(f"<h3>{name}</h3>") == 1 for name in names)
    assert page.count("not trusted") == 1
    for always in (
        "agreement between orders",
        "difference at equal length",
        "mean tokens of base, tuned answers",
    ):
        assert page.count(always) == 2
    checks = sum(len(result["self_test"]["checks"]) for result in read_json(run.judges)["judges"].values())
    assert page.count("✓ passed") + page.count("✗ failed") == checks
    assert page.count("✗ failed") == 1


def test_labels_are_drawn_with_the_line_of_agreement(run: RunFolder, tmp_path: Path) -> None:
    rows = [answer["row"] for answer in read_json_lines(run.responses("base"))]
    write_json(tmp_path / "labels.json", {"base": [20] * len(rows), "tuned": [80] * len(rows)})
    with scripted_server(judge_script()) as server:
        page = judged(run, f"openai:judge@{server.address}", labels=str(tmp_path / "labels.json"))
    assert "of 20 labelled answers higher than their label" in page
    assert "difference corrected by the labels" in page


def test_a_reply_is_shown_as_text_with_the_reason(run: RunFolder) -> None:
    one_answer = read_json_lines(run.responses("tuned"))[-1]["response"]

    def hostile(body: dict[str, Any]) -> Answer:
        """Judge all but one answer fairly, so that the self-test passes and scores are shown."""
        asked = data_of(body["messages"][1]["content"])
        return completion(HOSTILE if asked.get("answer") == one_answer else reply(body))

    with scripted_server(hostile) as server:
        page = judged(run, f"openai:judge@{server.address}")
    assert "&lt;script&gt;alert(1)" in page
    assert "<script" not in page and "<img" not in page
    assert "the reply is not JSON alone" in page
    [found] = read_json(run.judges)["judges"].values()
    worst, best = (found["bounds"][end] for end in ("worst", "best"))
    assert best - worst == pytest.approx(100 / 10), "one of ten scores may be anything from 0 to 100"
    assert f"difference if missing scores are worst, best</dt><dd>{worst:+.1f}, {best:+.1f}" in page


def test_rows_without_a_readable_score_can_be_asked_for(run: RunFolder) -> None:
    assert 'id="show-unscored"' not in write_report(run).read_text(encoding="utf-8")
    with scripted_server(lambda body: completion(HOSTILE)) as server:
        page = judged(run, f"openai:judge@{server.address}")
    rows = page.count('<details class="one')
    assert len(re.findall(r'<details class="one [a-z ]*unscored', page)) == rows > 0
    assert f'no judge score <span class="quiet">{rows}</span>' in page
    assert "#show-unscored:checked ~ .every > :not(.unscored)" in page


def test_the_same_replies_give_the_same_page(run: RunFolder) -> None:
    with scripted_server(judge_script()) as server:
        name = f"openai:judge@{server.address}"
        first = judged(run, name)
    assert judged(run, name) == first


def test_many_rows_are_cut_and_counted(tmp_path: Path, run: RunFolder) -> None:
    many = make_run(tmp_path / "many", test_rows=10)
    with scripted_server(judge_script()) as server:
        name = f"openai:judge@{server.address}"
        judged(many, name)
    records = read_json_lines(many.judgements)
    more = [record | {"row": record["row"] + 10_000 * copy} for copy in range(15) for record in records]
    many.judgements.write_text("".join(json.dumps(record) + "\n" for record in more), encoding="utf-8")
    assert "50 more rows are in evaluation/judgements.jsonl" in write_report(many).read_text(encoding="utf-8")
