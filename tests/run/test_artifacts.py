"""What the stages leave is read as it was written, and refused by name where it is damaged or of another format."""

import json

import pytest
from support.fake_further import JUDGED
from support.fake_run import make_run

from tutelage.errors import RunFolderError
from tutelage.run.artifacts import (
    Environment,
    Preparation,
    Reference,
    TrainingResult,
    read_artifact,
    write_artifact,
)
from tutelage.run.evaluation import AnswerEvaluation, ClassEvaluation, read_evaluation
from tutelage.run.folder import RunFolder, read_json, write_json
from tutelage.run.judges import Judges


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("made") / "run")


def place_of(run, kind):
    places = {
        Preparation: run.preparation,
        TrainingResult: run.training,
        Environment: run.environment,
        AnswerEvaluation: run.metrics,
    }
    return places[kind]


# With the command that makes it again.
KINDS = {Preparation: "prepare", TrainingResult: "train", Environment: "train", AnswerEvaluation: "evaluate"}
PART = {"fingerprint": "a", "sha256": "b", "log_probs": [[-1.5, -2.0], [0.0, -3.25]]}
ALWAYS_NUMBERED = (Preparation, TrainingResult, AnswerEvaluation)
FORMAT = {Preparation: 3, TrainingResult: 2, Environment: 1, AnswerEvaluation: 2}


@pytest.mark.parametrize("kind", KINDS)
def test_an_artifact_is_written_as_it_was_read(made, tmp_path, kind):
    path = place_of(made, kind)
    write_artifact(tmp_path / path.name, read_artifact(kind, path))
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        *((kind, FORMAT[kind] + more) for kind in KINDS for more in (-1, 1)),
        *((kind, None) for kind in ALWAYS_NUMBERED),
    ],
)
def test_an_artifact_of_another_format_is_refused_with_what_makes_it_again(made, tmp_path, kind, form):
    path = tmp_path / place_of(made, kind).relative_to(made.root)
    written = read_json(place_of(made, kind))
    assert written.pop("format") == FORMAT[kind]
    write_json(path, written if form is None else {"format": form, **written})
    with pytest.raises(RunFolderError) as fault:
        read_artifact(kind, path)
    assert fault.value.code == "run.other_version"
    assert f"`tutelage {KINDS[kind]} {tmp_path} --overwrite`" in str(fault.value)


def test_the_evaluation_of_another_version_is_told_with_the_checkpoint_that_it_is_of(made, tmp_path):
    path = RunFolder(tmp_path, 12).metrics
    write_json(path, {**read_json(made.metrics), "format": 3})
    with pytest.raises(RunFolderError, match=f"`tutelage evaluate {tmp_path} --checkpoint 12 --overwrite`"):
        read_evaluation(path)


def test_another_format_is_named_however_much_else_is_different(tmp_path):
    path = tmp_path / "data" / "preparation.json"
    write_json(path, {"format": 4, "source": ["a", "b"]})
    with pytest.raises(RunFolderError) as fault:
        read_artifact(Preparation, path)
    assert fault.value.code == "run.other_version"


def without(record, name):
    *parents, last = name.split(".")
    record = json.loads(json.dumps(record))
    inner = record
    for key in parents:
        inner = inner[key]
    del inner[last]
    return record


@pytest.mark.parametrize(
    ("kind", "spoil", "told"),
    [
        (Preparation, lambda made: {}, "it has no source"),
        (Preparation, lambda made: [], "it does not hold a JSON object"),
        (Preparation, lambda made: without(made, "rows.test"), "it has no rows.test"),
        (Preparation, lambda made: {**made, "end_of_turn_id": "2"}, "it has '2' as end_of_turn_id"),
        (Preparation, lambda made: {**made, "classes": ["a", 5]}, "it has 5 as classes.1"),
        (TrainingResult, lambda made: {"dtype": 5}, "it has 5 as dtype"),
        (TrainingResult, lambda made: without(made, "loss.before"), "it has no loss.before"),
        (TrainingResult, lambda made: {**made, "loss": 1}, "it has 1 as loss"),
        (AnswerEvaluation, lambda made: {}, "it has no rows"),
        (AnswerEvaluation, lambda made: {**made, "sets": 7}, "it has 7 as sets"),
        (AnswerEvaluation, lambda made: {**made, "verdict": "fine"}, "it has 'fine' as verdict"),
        (Environment, lambda made: {**made, "cores": None}, "it has None as cores"),
        (TrainingResult, lambda made: {**made, "peak_memory_bytes": "x"}, "it has 'x' as peak_memory_bytes"),
    ],
)
def test_a_damaged_artifact_is_told_with_its_field_and_what_makes_it_again(made, tmp_path, kind, spoil, told):
    path = tmp_path / place_of(made, kind).relative_to(made.root)
    write_json(path, spoil(read_json(place_of(made, kind))))
    with pytest.raises(RunFolderError) as fault:
        read_artifact(kind, path)
    assert fault.value.code == "run.file_damaged"
    assert f"Could not read {path}: {told}." in str(fault.value)
    assert f"`tutelage {KINDS[kind]} {tmp_path} --overwrite`" in str(fault.value)


def test_an_artifact_that_is_not_there_is_told_likewise(tmp_path):
    run = RunFolder(tmp_path)
    with pytest.raises(RunFolderError, match="No such file or directory") as fault:
        read_artifact(Preparation, run.preparation)
    assert fault.value.code == "run.file_damaged"


def test_a_part_that_an_objective_does_not_have_stays_absent_and_null_stays_null(made, tmp_path):
    written = read_json(made.metrics)
    assert not {"objective", "answers", "preference", "checksums"} & written.keys()
    write_json(tmp_path / "metrics.json", {**written, "length": None, "general_text": None})
    found = read_evaluation(tmp_path / "metrics.json")
    assert (found.objective, found.preference) == ("instruction", None)
    assert found.to_record() == {**written, "length": None, "general_text": None}


def test_the_evaluation_of_a_classification_is_read_as_one(tmp_path):
    share = {"value": 0.5, "low": 0.25, "high": 0.75}
    line = {"accuracy": 0.5, "low": 0.25, "high": 0.75, "p": 1.0}
    label = {"label": "ham", "rows": 4, "given": 4, "precision": share, "recall": None, "f1": 0.5}
    written = {
        "format": 2,
        "objective": "classification",
        "primary_metric": "accuracy",
        "rows": 4,
        "accuracy": share,
        "macro_f1": 0.5,
        "classes": [label],
        "confusion": [[4]],
        "calibration": {
            "ece": 0.1,
            "bins": [{"rows": 4, "probability": 0.6, "right": 0.5, "low": 0.25, "high": 0.75}],
        },
        "baselines": {"majority": {"label": "ham", **line}, "tf_idf": line, "zero_shot": None},
        "threshold": None,
        "verdict": "no difference detectable",
        "sentence": "2 of 4 are right.",
        "sets": {},
        "general_text": None,
    }
    write_json(tmp_path / "metrics.json", written)
    found = read_evaluation(tmp_path / "metrics.json")
    assert isinstance(found, ClassEvaluation)
    assert found.baselines.majority.label == "ham"
    assert list(found.to_record().items()) == list(written.items())
    write_json(tmp_path / "metrics.json", without(written, "baselines.majority.p"))
    with pytest.raises(RunFolderError, match=r"it has no baselines\.majority\.p\."):
        read_evaluation(tmp_path / "metrics.json")


def test_a_file_that_had_no_number_is_read_and_gets_one(tmp_path):
    record = {"train": PART, "validation": PART | {"fingerprint": "c"}}
    write_json(tmp_path / "a.json", record)
    found = read_artifact(Reference, tmp_path / "a.json")
    write_artifact(tmp_path / "a.json", found)
    assert read_json(tmp_path / "a.json") == {"format": 1, **record}


@pytest.mark.parametrize(
    ("kind", "format", "record"),
    [
        (Reference, 2, {"train": PART, "validation": PART}),
        (Judges, 1, {"protocol_sha256": "beef", "judges": {"ollama:fair": {"trusted": True, **JUDGED}}}),
    ],
)
def test_a_file_of_another_number_is_of_another_version(tmp_path, kind, format, record):
    write_json(tmp_path / "a.json", {"format": format, **record})
    with pytest.raises(RunFolderError) as fault:
        read_artifact(kind, tmp_path / "a.json")
    assert fault.value.code == "run.other_version"
