from itertools import islice

import pytest

from tutelage.data.lint import finding_log
from tutelage.data.lint.finding_log import FindingLog, Findings
from tutelage.data.quality.rules import Finding

FOUND = [Finding("data.empty", row, f"梨 \ud800 \u2028 line\n{row}") for row in (3, None, 2**40)]


@pytest.mark.parametrize("in_memory", [1, 2**18])
def test_findings_come_back_as_often_as_is_wanted_and_to_several_at_once(monkeypatch, in_memory):
    monkeypatch.setattr(finding_log, "BYTES_IN_MEMORY", in_memory)
    log = FindingLog()
    log.add(FOUND[:1])
    log.add(iter(FOUND[1:]))
    assert list(log) == list(log) == FOUND
    one, other = iter(log), iter(log)
    assert list(islice(one, 2)) == FOUND[:2]
    assert list(other) == FOUND and list(one) == FOUND[2:]


def test_parts_follow_each_other_each_finding_with_its_place():
    log = FindingLog()
    log.add(FOUND)

    def placed(one):
        return Finding(one.code, one.row, f"here: {one.message}")

    assert list(Findings((), placed)) == []
    assert list(Findings(([FOUND[2]], log), placed)) == [placed(one) for one in (FOUND[2], *FOUND)]
