"""JSON compared field by field, on 20 rows that were counted by hand."""

import json
from fractions import Fraction

import pytest
from scipy import stats

from tutelage.config.recipe_evaluation import EvalSetSettings
from tutelage.errors import DataError
from tutelage.evaluation.metrics import json_fields, json_values, load_set_metric
from tutelage.evaluation.metrics.json_fields import by_field, compare_fields
from tutelage.evaluation.metrics.json_values import leaf_fields, path_name, read_container

# Five fields: name, age, tags[0], tags[1] and note.
PERSON = '{"name": "Ann", "age": 3, "tags": ["a", "b"], "note": null}'
# Six fields: order.id, order.paid, and sku and n of both lines.
ORDER = '{"order": {"id": 7, "paid": true}, "lines": [{"sku": "A", "n": 1}, {"sku": "B", "n": 2}]}'
# Reference, answer, right fields, and the fields of the reference with the extra ones.
ROWS = [
    (PERSON, PERSON, 5, 5),
    (PERSON, '{"note": null, "tags": ["a", "b"], "age": 3, "name": "Ann"}', 5, 5),  # another order of keys
    (PERSON, f"```json\n{PERSON}\n```", 5, 5),
    (PERSON, "Ann is 3 years old.", 0, 5),
    (PERSON, PERSON[:-1], 0, 5),  # cut
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["a", "b"]}', 4, 5),  # note is missing, which is not null
    (
        PERSON,
        '{"name": "Ann", "age": 3, "tags": ["a", "b"], "note": null, "city": "Rome"}',
        5,
        6,
    ),  # city is extra
    (PERSON, '{"name": "Ann", "age": "3", "tags": ["a", "b"], "note": null}', 4, 5),  # a text is no number
    (PERSON, '{"name": "Ann", "age": 3.0, "tags": ["a", "b"], "note": null}', 5, 5),
    (PERSON, '{"name": " Ann\\n", "age": 3, "tags": ["a", "b"], "note": null}', 5, 5),
    (PERSON, '{"name": "ann", "age": 3, "tags": ["a", "b"], "note": null}', 4, 5),
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["b", "a"], "note": null}', 3, 5),  # both items of the array
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["a", "b", "c"], "note": null}', 5, 6),  # tags[2] is extra
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["a"], "note": null}', 4, 5),
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["a", "b"], "note": "null"}', 4, 5),
    # What stands in the note or in place of the tags is wrong, and not extra too.
    (PERSON, '{"name": "Ann", "age": 3, "tags": ["a", "b"], "note": {"by": "x", "on": "y"}}', 4, 5),
    (PERSON, '{"name": "Ann", "age": 3, "tags": "a", "note": null}', 3, 5),
    (ORDER, ORDER.replace("true", "1"), 5, 6),  # to Python 1 is True
    (
        ORDER,
        '{"order": {"id": 7, "paid": true, "by": 1}, "lines": [{"sku": "A", "n": 1}]}',
        4,
        7,
    ),  # order.by is extra
    (ORDER, f"Here it is:\n```json\n{ORDER}\n```", 0, 6),  # no JSON, and no fence alone
]
# Rows 0, 1, 2, 8 and 9 have all fields right and no other.
EXACT = 5
# 65 of the 17 persons' fields and 9 of the 3 orders' are right. By field, without the rows that are no JSON:
RIGHT = {
    "name": (14, 17),  # and not row 10
    "age": (14, 17),  # 7
    "tags[0]": (13, 17),  # 11, 16
    "tags[1]": (12, 17),  # 11, 13, 16
    "note": (12, 17),  # 5, 14, 15
    "order.id": (2, 3),
    "order.paid": (1, 3),  # 17
    "lines[0].sku": (2, 3),
    "lines[0].n": (2, 3),
    "lines[1].sku": (1, 3),  # 18
    "lines[1].n": (1, 3),  # 18
}
# 1 + 1 + 1 + 0 + 0 + 4/5 + 5/6 + 4/5 + 1 + 1 + 4/5 + 3/5 + 5/6 + 4/5 + 4/5 + 4/5 + 3/5 + 5/6 + 4/7 + 0
MEAN = Fraction(197, 14) / 20


def answers():
    return [{"row": n, "reference": one[0], "response": one[1]} for n, one in enumerate(ROWS)]


def scores(metric):
    settings = EvalSetSettings(source="x", metric=metric)
    return [load_set_metric(metric).score(one, settings, None) for one in answers()]


def test_each_row_scores_what_was_counted_by_hand():
    counted = [(right, fields) for _, _, right, fields in ROWS]
    compared = [compare_fields(answer, reference) for reference, answer, _, _ in ROWS]
    assert [(sum(one.right.values()), len(one.right) + one.extra) for one in compared] == counted
    assert scores("json_fields") == pytest.approx([100 * right / fields for right, fields in counted])


def test_the_mean_of_the_rows_and_the_share_without_a_fault_are_those_counted_by_hand():
    assert sum(scores("json_fields")) / 20 == pytest.approx(100 * float(MEAN))
    assert scores("json_exact") == [100.0 if n in (0, 1, 2, 8, 9) else 0.0 for n in range(20)]
    assert sum(scores("json_exact")) / 20 == 100 * EXACT / 20


def test_right_rows_of_each_field_are_those_counted_by_hand():
    found = by_field(answers())
    assert {name: (one["right"], one["rows"]) for name, one in found.items()} == RIGHT
    assert list(found) == list(RIGHT)
    for one in found.values():
        wilson = stats.binomtest(one["right"], one["rows"]).proportion_ci(method="wilson")
        assert one["share"] == pytest.approx(
            {"value": one["right"] / one["rows"], "low": wilson.low, "high": wilson.high}
        )


@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        (json_fields, "_are_equal", lambda given, wanted: given == wanted),  # 1 is true, and blanks count
        (
            json_fields,
            "_are_equal",
            lambda given, wanted: str(given).strip() == str(wanted).strip(),
        ),  # "3" is 3
        (json_fields, "_is_inside", lambda path, fields: True),  # nothing is extra
        (json_fields, "_is_inside", lambda path, fields: False),  # a value of another shape is two mistakes
        (json_values, "FENCES", ()),
        (json_fields, "_plain", str.casefold),
    ],
)
def test_a_broken_comparison_is_caught_by_the_rows(monkeypatch, module, name, broken):
    monkeypatch.setattr(module, name, broken)
    assert scores("json_fields") != pytest.approx([100 * right / fields for _, _, right, fields in ROWS])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        ("  [1, 2]\n", [1, 2]),
        ("{}", {}),
        ('```\n{"a": 1}\n```', {"a": 1}),
        ('~~~JSON\n{\n  "a": 1\n}\n~~~', {"a": 1}),
        ("```python\n[1, 2]\n```", None),  # code
        ('```json\n{"a": 1}', None),
        ('```json\n{"a": 1}\n```\n```json\n{"a": 2}\n```', None),
        ("3", None),
        ('"a"', None),
        ("true", None),
        ('{"a": NaN}', None),
        ('{"a": 1e999}', None),
        ("{'a': 1}", None),
        ('{"a": 1} {"a": 2}', None),
        ('```json\n{"a": 1}\n```\nThat is all.', None),
        ("[" * 100_000, None),
        ("```\n" + " " * 200_000 + "x", None),  # read in no time
        ("", None),
    ],
)
def test_an_object_or_array_is_read_by_itself_or_as_one_fence(text, expected):
    assert read_container(text) == expected


def test_paths_are_told_apart_by_their_names():
    value = {"a.b": 1, "a": {"b": 2, "": 3}, "x y": [[4], []], "城市": {}}
    names = [path_name(path) for path, _ in leaf_fields(value)]
    assert names == ['["a.b"]', "a.b", 'a[""]', '["x y"][0][0]', '["x y"][1]', "城市"]
    assert path_name(()) == "$"


def test_an_empty_container_is_a_field():
    assert compare_fields("{}", "{}").is_exact
    assert not compare_fields("[]", "{}").is_exact
    assert compare_fields('{"a": [1]}', '{"a": []}').share == 0
    assert compare_fields('{"a": [], "b": 1}', '{"a": []}').share == 1 / 2


def test_deep_values_are_compared():
    deep = json.loads("[" * 500 + "1" + "]" * 500)
    for _ in range(2000):
        deep = [deep]
    assert [len(path) for path, _ in leaf_fields(deep)] == [2500]


def test_a_reference_that_is_no_json_is_right_if_the_texts_are_equal():
    assert compare_fields(" none\n", "none").is_exact
    assert compare_fields('{"a": 1}', "none").share == 0


@pytest.mark.parametrize("metric", ["json_fields", "json_exact"])
def test_a_set_whose_reference_is_no_json_is_refused_with_its_row(metric):
    settings = EvalSetSettings(source="x", metric=metric)
    load_set_metric(metric).prepare(settings, [(0, PERSON), (1, f"```\n{ORDER}\n```")], "orders")
    with pytest.raises(DataError, match="Row 4 of the test set orders") as refused:
        load_set_metric(metric).prepare(settings, [(0, PERSON), (4, "Ann")], "orders")
    assert (refused.value.code, refused.value.row) == ("evaluate.reference_not_json", 4)
