"""JSON whose lists are written item by item."""

import pytest

from tutelage.cli.views import console

ITEMS = [{"row": 1, "text": "a\nb \u2028 梨", "rows": [1, 2]}, {}, [], 0.5]


@pytest.mark.parametrize("items", [[], ITEMS[:1], ITEMS])
def test_an_iterator_is_written_as_its_list_is(capsys, items):
    fields = {
        "rows": 3,
        "leaks": {"test": [], "validation": [4]},
        "found": items,
        "none": None,
        "last": items,
    }
    console.print_json(fields)
    whole = capsys.readouterr().out
    console.print_long_json({**fields, "found": iter(items), "last": iter(items)})
    assert capsys.readouterr().out == whole
