"""Names of labels: trimmed with a note, compared by what a reader sees, and quoted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.coded import codes_of

from tutelage.config.recipe import DataSettings
from tutelage.data.formats.formats import read_conversations
from tutelage.data.quality.checks import check_rows
from tutelage.data.quality.label_names import SeenLabels, quoted, similar_labels, trimmed
from tutelage.data.rows.records import Record
from tutelage.errors import DataError

BLANKS = (
    " ",
    "\t",
    "\n",
    "\r",
    "\xa0",
    "\u3000",
    "\u2009",
    "\u202f",
    "\u2028",
    "\u200b",
    "\u200d",
    "\u2060",
    "\ufeff",
)
MORE_BLANKS = ("\u00ad", "\u200e", "\u202c", "\u2066", "\u180e", "\u2800", "\u3164", "\x07", "\x7f", "\x85")
CAFE, CAFE_IN_PARTS = "caf\u00e9", "cafe\u0301"
SUSHI, SUSHI_IN_PARTS = "\u5bff\u53f8\u304c\u597d\u304d", "\u5bff\u53f8\u304b\u3099\u597d\u304d"


def checked(*labels, **chosen):
    settings = DataSettings(**chosen)
    records = [Record(n, None, {"text": f"text {n}", "label": label}) for n, label in enumerate(labels)]
    rows = read_conversations(records, source="rows", settings=settings).rows
    return check_rows(rows, settings)


def labels_of(*labels, **chosen):
    return [one.row.response if one.outcome != "dropped" else None for one in checked(*labels, **chosen)]


@pytest.mark.parametrize("blank", (*BLANKS, *MORE_BLANKS))
def test_blanks_around_a_label_are_removed_and_noted(blank):
    found = checked("ham", f"ham{blank}", f"{blank}{blank}ham", f"h{blank}am", blank)
    assert [one.outcome for one in found] == ["kept", "repaired", "repaired", "kept", "dropped"]
    assert [one.row.response for one in found[:3]] == ["ham"] * 3
    assert found[3].row.response == f"h{blank}am", "what stands inside of a name is part of it"
    assert all("data.blanks_around_label" in codes_of(one.reasons) for one in found[1:3])
    assert codes_of(found[4].reasons) == ["data.empty"]


@pytest.mark.parametrize(
    "label",
    [
        "\u0d28\u0d4d\u200d",  # a Malayalam letter that ends in a joiner
        "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "\u2764\ufe0f",
        CAFE_IN_PARTS,
        "a b",
    ],
)
def test_what_makes_a_letter_or_a_sign_is_no_blank(label):
    assert trimmed(f" {label}\u200b") == label


@given(st.text(max_size=8))
def test_trimming_a_label_twice_is_trimming_it_once(label):
    assert trimmed(trimmed(label)) == trimmed(label)
    assert trimmed(label) in label


def test_each_of_several_labels_is_trimmed_and_noted_but_for_the_blanks_beside_the_sign():
    found = checked("b; a", ["b\xa0", "a", "a "], "b;\u200ba", [" "], label_separator=";")
    assert [one.row.response for one in found] == ["a;b", "a;b", "a;b", ""]
    assert [one.outcome for one in found] == ["kept", "repaired", "repaired", "dropped"]


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (2.0**70, str(2**70)),
        ("1.0", "1.0"),
        ("nan", "nan"),
    ],
)
def test_whole_numbers_and_booleans_are_labels_alone_and_among_several(label, name):
    assert labels_of(label) == [name]
    assert labels_of([label, "x"], label_separator="|") == ["|".join(sorted([name, "x"]))]
    assert labels_of(json.dumps([label, "x"]), label_separator="|") == ["|".join(sorted([name, "x"]))]


def test_what_is_missing_among_several_labels_is_left_out():
    assert labels_of([None, "a", float("nan")], "[NaN]", label_separator="|") == ["a", None]


@pytest.mark.parametrize(
    ("label", "code"),
    [(0.5, "data.not_text"), (float("inf"), "data.infinite_number"), ({"a": 1}, "data.not_text")],
)
def test_a_fraction_and_an_infinity_are_no_labels(label, code):
    with pytest.raises(DataError) as fault:
        labels_of("a", label)
    assert (fault.value.code, fault.value.row) == (code, 1)


def test_a_fraction_is_a_label_where_numbers_count_as_text():
    assert labels_of(0.5, 1.0, coerce=True) == ["0.5", "1"]


def test_deep_brackets_in_a_label_are_text():
    deep = "[" * 100_000
    assert labels_of(deep, label_separator="|") == [deep]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ham", "Ham"),
        ("STRASSE", "straße"),
        (CAFE, CAFE_IN_PARTS),
        (SUSHI, SUSHI_IN_PARTS),
        ("spam", "\uff53\uff50\uff41\uff4d"),
        ("\uff76\uff9e", "\u30ac"),
        ("\ufb01sh", "fish"),
        ("not spam", "not  spam"),
        ("not spam", "not\xa0spam"),
        ("not spam", "notspam"),
        ("spam", "sp\u200bam"),
    ],
)
def test_labels_that_read_alike_are_a_finding_with_the_row_and_both_names(one, other):
    seen = SeenLabels(None)
    list(seen.noted(row.row for row in checked(one, "else", one, other, other)))
    (finding,) = seen.findings()
    assert (finding.code, finding.row) == ("data.similar_labels", 3)
    assert quoted(one) != quoted(other)
    assert quoted(one) in finding.message
    assert quoted(other) in finding.message
    assert codes_of(seen.messages()) == ["data.similar_labels"]
    assert seen.counts() == {one: 2, other: 2, "else": 1}


@pytest.mark.parametrize(
    "labels", [("ham", "spam"), ("1", "2"), ("a-b", "a_b"), ("résumé", "resume"), ("+", "-"), (".", "!")]
)
def test_labels_that_read_otherwise_are_none(labels):
    assert similar_labels(labels) == []


def test_of_several_labels_each_is_compared():
    seen = SeenLabels("|")
    list(seen.noted(row.row for row in checked("a|b", "A|c", label_separator="|")))
    assert [finding.row for finding in seen.findings()] == [1]


def test_many_groups_of_labels_are_counted():
    labels = [label for n in range(26) for label in (chr(65 + n), chr(97 + n))]
    seen = SeenLabels(None)
    list(seen.noted(row.row for row in checked(*labels)))
    assert len(seen.findings()) == 26
    assert len(seen.messages()) == 6


@pytest.mark.parametrize("blank", ["\xa0", "\u3000", "\u200b", "\t", " "])
def test_blanks_in_a_quoted_name_are_seen(blank):
    assert quoted(f"a{blank}") != quoted("a")
    assert quoted(f"a{blank}").isprintable()


def test_unseen_characters_that_were_removed_are_named():
    bell, blank, inner = checked("ham\x07", " ham2 ", "h\x07am\u200b")
    assert "U+0007" in bell.reasons[0].text
    assert "U+" not in blank.reasons[0].text
    assert "U+200B" in inner.reasons[0].text
    assert "U+0007" not in inner.reasons[0].text, "what stands inside of a name was not removed"


def test_blanks_beside_a_separator_are_no_slip_and_those_around_all_labels_are():
    found = checked("a; b", "a ;b\t; c", " a;b", "a; b ", ["x", " y"], label_separator=";")
    assert [one.outcome for one in found] == ["kept", "kept", "repaired", "repaired", "repaired"]
    assert [one.row.response for one in found] == ["a;b", "a;b;c", "a;b", "a;b", "x;y"]
    assert {code for one in found[2:5] for code in codes_of(one.reasons)} == {"data.blanks_around_label"}
