"""A preference that was learnt does not hide that the answers got worse."""

import pytest

from tutelage.objectives.preference.evaluation import with_preference

LEARNT = {
    "verdict": "better",
    "sentence": "On 9 of 10 pairs it moved towards the chosen answer.",
    "margin": {"mean": 2.0},
}


@pytest.mark.parametrize("of_answers", ["better", "no difference detectable", "worse"])
def test_the_preference_decides_and_worse_answers_are_told(of_answers):
    answers = {"verdict": of_answers, "sentence": "chrF went from 35 to 29.", "sets": {}}
    found = with_preference(answers, dict(LEARNT))
    assert found["verdict"] == "better"
    assert found["sentence"].startswith(LEARNT["sentence"])
    is_told = (
        "its own answers are worse beside the chosen ones: chrF went from 35 to 29." in found["sentence"]
    )
    assert is_told == (of_answers == "worse")
    assert found["answers"] == {"verdict": of_answers, "sentence": "chrF went from 35 to 29."}
    assert found["preference"] == {"margin": {"mean": 2.0}}
    assert found["sets"] == {}
