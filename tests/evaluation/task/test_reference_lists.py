"""Lists of references that were written by another hand than the rules, and before anybody tried the rules on them."""

import json
from pathlib import Path

import pytest

from tutelage.evaluation.task import kinds
from tutelage.evaluation.task.kinds import task_kind

LISTS = json.loads((Path(__file__).parents[1] / "reference_lists.json").read_text(encoding="utf-8"))
# The rules were not changed for these two: 38 % of the answers of one stand there once, and 58 % of the other look
# like code.
WRONG = {"banking_intents_forty_labels": "short_facts", "regular_expressions": "short_facts"}


def wrong_kinds():
    found = {one["name"]: (one["kind"], task_kind(one["answers"])) for one in LISTS}
    return {name: given for name, (kind, given) in found.items() if given != kind}


def test_the_kind_of_42_of_44_lists_is_right():
    assert len(LISTS) == 44
    assert wrong_kinds() == WRONG


def test_no_free_text_is_called_json():
    assert [
        one["name"] for one in LISTS if one["kind"] == "free_text" and task_kind(one["answers"]) == "json"
    ] == []


@pytest.mark.parametrize("rule", ["JSON_SHARE", "NUMBER_SHARE", "CODE_SHARE", "OPEN_SHARE", "SHORT_SHARE"])
def test_each_rule_is_needed(monkeypatch, rule):
    monkeypatch.setattr(kinds, rule, -1.0 if rule == "OPEN_SHARE" else 1.1)  # which no list reaches
    assert len(wrong_kinds()) > len(WRONG)
