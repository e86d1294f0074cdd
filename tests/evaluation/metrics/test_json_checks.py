"""The checks of JSON answers on rows that were counted by hand."""

import pytest
from scipy import stats

from tutelage.evaluation.metrics import json_checks, json_values
from tutelage.evaluation.metrics.json_checks import JsonChecks, check_json, compare_checks

PERSON = '{"name": "Ann", "age": 3, "paid": true, "tags": ["a"], "home": {"city": "Rome", "zip": null}}'
# The answer, and whether it is valid and has the right keys, the right types and all fields right.
ROWS = [
    (PERSON, 1, 1, 1, 1),
    (f"```json\n{PERSON}\n```", 1, 1, 1, 1),
    (f"Here it is: {PERSON}", 0, 0, 0, 0),
    (PERSON[:-1], 0, 0, 0, 0),
    ("7", 0, 0, 0, 0),
    ("[]", 1, 0, 0, 0),
    (PERSON.replace("Ann", "Bob"), 1, 1, 1, 0),
    (PERSON.replace("3", "3.5"), 1, 1, 1, 0),  # a number either way
    (PERSON.replace("3", '"3"'), 1, 1, 0, 0),
    (PERSON.replace("true", "1"), 1, 1, 0, 0),  # a number is no truth value
    (PERSON.replace("null", '"00100"'), 1, 1, 0, 0),
    (PERSON.replace('"age": 3, ', ""), 1, 0, 0, 0),  # what is missing has no type
    (PERSON.replace("null}", 'null, "street": "Corso"}'), 1, 0, 1, 0),  # extra, inside of an object
    (PERSON.replace('["a"]', '["a", "b"]'), 1, 1, 1, 0),  # an extra item is no key
    (PERSON.replace('["a"]', '[{"a": 1}]'), 1, 0, 0, 0),
    (PERSON.replace('{"city": "Rome", "zip": null}', '"Rome"'), 1, 0, 0, 0),
]
COUNTS = {"valid": 13, "keys": 8, "types": 6, "all_right": 2}


def answers(rows=ROWS):
    return [{"row": number, "response": row[0], "reference": PERSON} for number, row in enumerate(rows)]


def counts():
    found = compare_checks(answers(), answers())
    return {name: round(one["tuned"]["value"] * len(ROWS)) for name, one in found.items()}


@pytest.mark.parametrize("row", ROWS)
def test_each_answer_passes_the_checks_that_were_found_by_hand(row):
    assert check_json(row[0], PERSON) == JsonChecks(*map(bool, row[1:]))


def test_shares_are_those_counted_by_hand_with_wilsons_interval():
    assert counts() == COUNTS
    found = compare_checks(answers([ROWS[2]] * len(ROWS)), answers())
    assert list(found) == [*COUNTS]
    for name, count in COUNTS.items():
        wilson = stats.binomtest(count, len(ROWS)).proportion_ci(method="wilson")
        assert found[name]["rows"] == len(ROWS)
        assert found[name]["tuned"] == pytest.approx(
            {"value": count / len(ROWS), "low": wilson.low, "high": wilson.high}
        )
        assert found[name]["base"]["value"] == 0


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (json_checks, "TYPES", {**json_checks.TYPES, bool: "number"}),
        (json_checks, "TYPES", {**json_checks.TYPES, float: "float"}),
        (json_checks, "TYPES", dict.fromkeys(json_checks.TYPES, "any")),
        (json_checks, "_key_paths", set),  # items of arrays count as keys
        (
            json_checks,
            "_key_paths",
            lambda paths: {path for path in paths if len(path) == 1},
        ),  # outer keys only
        (json_values, "FENCES", ()),
    ],
)
def test_a_broken_check_is_caught_by_the_rows(monkeypatch, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    assert counts() != COUNTS


def test_an_equal_text_is_right_where_the_reference_is_no_json():
    assert check_json("unknown", "unknown") == JsonChecks(False, True, True, True)
    assert check_json('{"a": 1}', "unknown") == JsonChecks(True, False, False, False)
