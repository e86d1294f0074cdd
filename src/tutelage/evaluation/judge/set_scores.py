"""The named test sets whose metric is `judge`: what one judge says of both models' answers to them.

A judge is tested on the rows of each set by itself: one that can tell good summaries from bad ones may not know a wrong
sum from a right one.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.evaluation.judge.judge_session import JudgeSession, Progress
from tutelage.evaluation.judge.judgements import Judgement, names_of, notes_on
from tutelage.evaluation.judge.protocol import JudgeRequest, score_request
from tutelage.evaluation.judge.results import doubts_of, judged_metric
from tutelage.evaluation.judge.self_test import Probe, hopelessness, make_probes, run_self_test
from tutelage.evaluation.metrics import load_set_metric
from tutelage.evaluation.paired.comparison import figures_of
from tutelage.evaluation.paired.verdict import verdict
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.evaluation.stats.holm import holm
from tutelage.evaluation.stats.statistics import paired_difference, resample
from tutelage.llm.model_names import parse_model_name
from tutelage.run.folder import VARIANTS, reading_faults, set_name
from tutelage.run.lines import read_json_lines

Rows = Sequence[Mapping[str, Any]]


def read_judged_sets(evaluation: Path, settings: EvaluationSettings) -> dict[str, Rows]:
    """Return the rows of the sets that judges score, with both models' answers, from the folder of an evaluation."""
    return {name: read_judged_set(evaluation, name) for name in names_of_judged_sets(settings)}


def names_of_judged_sets(settings: EvaluationSettings) -> list[str]:
    """Return the names of the sets that judges score."""
    return [name for name, one in settings.sets.items() if load_set_metric(one.metric).is_judged]


def read_judged_set(evaluation: Path, name: str) -> Rows:
    """Return the rows of one set with both models' answers; RunFolderError where they are not there."""
    path = evaluation / set_name(name)
    rows = read_json_lines(path)
    with reading_faults(path):
        for number, row in enumerate(rows, start=1):
            lost = [key for key in ("row", "prompt", "reference", *VARIANTS) if key not in row]
            lost += [
                f"{variant}.response" for variant in VARIANTS if not lost and "response" not in row[variant]
            ]
            if lost:
                raise ValueError(f"line {number} has no {lost[0]}")
    return rows


def judge_sets_by(
    judge: str,
    sets: Mapping[str, Rows],
    session: JudgeSession,
    progress: Progress,
    injections: Sequence[str],
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Ask a judge about every set; return what judges.json says of each, and a line for each question."""
    figures, records = {}, []
    for name, rows in sets.items():
        probes = make_probes(_of_base(rows), injections)
        subjects, requests = _questions(rows, probes)
        judgements = session.judge(
            requests,
            progress(f"{judge} on {name}", len(requests)),
            probes=len(probes),
            is_hopeless=hopelessness(probes),
        )
        figures[name] = _figures(judge, name, rows, probes, judgements)
        records += [
            {
                "judge": judge,
                "set": name,
                **subject,
                "value": judgement.value,
                "reason": judgement.reason,
                "code": judgement.code,
                "responses": list(judgement.responses),
            }
            for subject, judgement in zip(subjects, judgements, strict=True)
        ]
    raised = holm({name: one["p"] for name, one in figures.items() if one["p"] is not None})
    return {name: {**one, "p_holm": raised.get(name)} for name, one in figures.items()}, records


def requests_about(sets: Mapping[str, Rows], injections: Sequence[str]) -> list[JudgeRequest]:
    """Return all questions that `judge_sets_by` puts."""
    return [
        request
        for rows in sets.values()
        for request in _questions(rows, make_probes(_of_base(rows), injections))[1]
    ]


def _questions(rows: Rows, probes: Sequence[Probe]) -> tuple[list[dict[str, Any]], list[JudgeRequest]]:
    """Return the questions of the self-test and then two for each row, and what each is about."""
    subjects = [{"row": probe.row, "kind": "self_test", "probe": probe.kind} for probe in probes]
    requests = [probe.request for probe in probes]
    for row in rows:
        for variant in VARIANTS:
            subjects.append({"row": row["row"], "kind": "score", "variant": variant})
            requests.append(score_request(row["prompt"], row["reference"], row[variant]["response"]))
    return subjects, requests


def _of_base(rows: Rows) -> list[dict[str, Any]]:
    return [{**row, "response": row["base"]["response"]} for row in rows]


def _figures(
    judge: str, name: str, rows: Rows, probes: Sequence[Probe], judgements: Sequence[Judgement]
) -> dict[str, Any]:
    tested = run_self_test(probes, judgements[: len(probes)])
    values = [judgement.value for judgement in judgements[len(probes) :]]
    scores = np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    base, tuned = scores.reshape(-1, len(VARIANTS)).T  # each (rows,)
    clusters = cluster_rows([row["prompt"] for row in rows])
    measured, bootstrap = paired_difference(base, tuned, clusters), resample(base, tuned, clusters)
    judged = verdict(measured, judged_metric(judge), bootstrap)
    doubts = doubts_of(tested, measured.missing, len(rows))
    return {
        "trusted": not doubts,
        "verdict": judged.word if not doubts else "no verdict",
        "sentence": judged.sentence
        if not doubts
        else f"No verdict by {judge} on {name}: {'; '.join(doubts)}.",
        "rows": len(rows),
        "clusters": measured.clusters,
        **figures_of(measured, bootstrap),
        "self_test": tested.to_record(),
        "answered_as": names_of(judgements),
        "notes": [note.to_record() for note in notes_on(judgements, parse_model_name(judge).model)],
    }
