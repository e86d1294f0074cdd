"""Judges the answers of a finished evaluation: every judge of the recipe, each on the same rows."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.codes import Message
from tutelage.config.recipe_evaluation import EvaluationSettings
from tutelage.errors import LanguageModelError, RecipeError
from tutelage.evaluation.judge.cached_responses import CachedResponses
from tutelage.evaluation.judge.costs import make_budget
from tutelage.evaluation.judge.injections import draw_injections
from tutelage.evaluation.judge.judge_session import JudgeSession, Progress
from tutelage.evaluation.judge.judgements import Judgement, names_of, notes_on
from tutelage.evaluation.judge.labels import Scores, read_labels
from tutelage.evaluation.judge.ledger import SpentLedger
from tutelage.evaluation.judge.protocol import (
    JudgeRequest,
    preference_request,
    protocol_sha256,
    score_request,
)
from tutelage.evaluation.judge.results import ORDERS, summarise_judge
from tutelage.evaluation.judge.self_test import (
    Probe,
    hopelessness,
    make_probes,
    run_self_test,
)
from tutelage.evaluation.judge.set_scores import (
    Rows,
    judge_sets_by,
    names_of_judged_sets,
    requests_about,
)
from tutelage.evaluation.metrics.metrics import score_rows
from tutelage.evaluation.stats.clusters import cluster_rows
from tutelage.llm.language_models import load_chat_model, require_usable_model
from tutelage.llm.model_names import parse_model_name
from tutelage.run.artifacts import Preparation
from tutelage.run.folder import VARIANTS
from tutelage.run.judges import Judges
from tutelage.system.fetching import file_sha256, user_cache

SAME = "the answers are the same"
FAMILY = re.compile(r"smollm|llama|qwen|phi|gemma|mistral|gpt|deepseek|granite|olmo", re.IGNORECASE)


Answers = Mapping[str, Mapping[int, Mapping[str, Any]]]  # by arm and row


@dataclass
class Plan:
    """All questions to one judge, and what each of them is about; a pair of equal answers needs no question."""

    rows: Sequence[int]
    answers: Answers
    probes: Sequence[Probe]
    requests: list[JudgeRequest] = field(default_factory=list)
    subjects: list[dict[str, Any]] = field(default_factory=list)
    equal_rows: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class FinishedEvaluation:
    """What judges are asked about: the lines of both models' answers, and by name the rows of the sets that they score.

    `training` is the text of model/training.json, empty where there is none. A judge's costs are counted under
    `spent_by`: the run, and the name of the evaluation.
    """

    base: Sequence[Mapping[str, Any]]
    tuned: Sequence[Mapping[str, Any]]
    sets: Mapping[str, Rows]
    preparation: Preparation
    training: str
    spent_by: tuple[str, str]


def judge_answers(
    finished: FinishedEvaluation,
    settings: EvaluationSettings,
    *,
    progress: Progress,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[Judges, list[dict[str, Any]]]:
    """Ask every judge about the answers; return what judges.json says, and the lines of judgements.jsonl.

    Where prices are given, `tell` is told what a judge may cost before it is asked, and what it cost.

    Whatever a judge replied is kept in the cache as it comes, so that an evaluation that was cut short, or is made
    again, asks only what it has no reply to.
    """
    base, tuned, sets = finished.base, finished.tuned, finished.sets
    rows = score_rows(base, tuned).rows  # refuses answers that do not belong together
    answers = {
        variant: {answer["row"]: answer for answer in given}
        for variant, given in (("base", base), ("tuned", tuned))
    }
    labels = read_labels(Path(settings.labels), rows) if settings.labels else None
    injections = draw_injections(_fingerprint_of(finished.training, answers))
    plan = _plan(rows, answers, injections)
    results: dict[str, Any] = {}
    records: list[dict[str, Any]] = []
    kinships = {name: _kinship(finished.preparation, name) for name in settings.judges}
    for name, notes in kinships.items():
        session = make_judge_session(name, settings, spent_by=finished.spent_by)
        _print_costs(session, [*plan.requests, *requests_about(sets, injections)], name, tell)
        judgements = session.judge(
            plan.requests,
            progress(name, len(plan.requests)),
            probes=len(plan.probes),
            is_hopeless=hopelessness(plan.probes),
        )
        results[name] = _summarise(name, plan, judgements, labels=labels, notes=notes)
        records += _records(name, plan, judgements, labels or {})
        results[name]["sets"], of_sets = judge_sets_by(name, sets, session, progress, injections)
        records += of_sets
        if session.judge_budget and session.requests_made:
            tell(f"{name}: {session.judge_budget.describe(session.requests_made)}.")
        if session.judge_budget:
            session.judge_budget.close()
    return Judges.model_validate(
        {"format": 2, "protocol_sha256": protocol_sha256(), "judges": results}
    ), records


def _print_costs(
    session: JudgeSession, requests: Sequence[JudgeRequest], name: str, tell: Callable[[str], None]
) -> None:
    if session.judge_budget is None:
        return
    new, most = session.cost_of_new(requests)
    if new:
        budget = session.judge_budget.budget
        bound = f" It stops before evaluation.judge_budget, {budget:g}." if budget is not None else ""
        tell(
            f"{name}: {new:,} requests have no response yet and cost at most {most:.4g} if each is sent"
            f" once.{bound}"
        )


def make_judge_session(name: str, settings: EvaluationSettings, *, spent_by: tuple[str, str]) -> JudgeSession:
    """Make a judge ready to be asked; its model is opened at the first question that has no reply yet."""
    folder = user_cache() / "judgements"
    ledger = SpentLedger(folder, fingerprint(name), *spent_by)
    return JudgeSession(
        load_model=lambda: load_chat_model(
            name, timeout_seconds=settings.judge_timeout, aliases=settings.judge_aliases
        ),
        kept=CachedResponses(folder, fingerprint(name)),
        limit=settings.judge_limit,
        concurrency=settings.judge_concurrency,
        max_tokens=settings.judge_max_tokens,
        # A model in this process has no price.
        judge_budget=make_budget(settings, ledger) if parse_model_name(name).kind != "gguf" else None,
    )


def check_judge_settings(settings: EvaluationSettings, *, named_here: bool) -> None:
    """Stop before anything is computed where a judge or the labels cannot be used.

    `named_here` tells that the judges were given on the command line. A recipe travels; what stands in one must not
    send its user's test rows to another machine.
    """
    if len(set(settings.judges)) < len(settings.judges):
        raise RecipeError(
            "judge.named_twice",
            f"evaluation.judges lists a judge twice: {', '.join(settings.judges)}. List each judge once.",
        )
    if settings.labels and not settings.judges:
        raise RecipeError(
            "judge.labels_without_judge",
            "evaluation.labels is set, but there is no judge to compare with them. Add --judge NAME.",
        )
    unjudged = names_of_judged_sets(settings)
    if unjudged and not settings.judges:
        raise RecipeError(
            "judge.metric_without_judge",
            f"evaluation.sets.{unjudged[0]}.metric is judge, but there is no judge. Add --judge NAME, or choose another"
            " metric.",
        )
    for name in settings.judges:
        require_usable_model(name)
        host = parse_model_name(name).remote_host
        if host and not named_here:
            raise LanguageModelError(
                "judge.remote_not_allowed",
                f"The recipe names the judge {name}, which would send the test rows to {host}. To allow"
                f" that, name it on the command line: --judge {name}",
            )
    if settings.labels and not Path(settings.labels).is_file():
        raise RecipeError(
            "judge.labels_not_found",
            f"The labels {settings.labels} do not exist. Give a JSON or JSONL file with --labels.",
        )


def fingerprint(name: str) -> str:
    """Return what the replies of a model are kept under: a file is known by its bytes, wherever it lies."""
    parts = parse_model_name(name)
    if parts.kind != "gguf":
        return name
    require_usable_model(name)
    return f"gguf:{file_sha256(Path(parts.place).expanduser())}"


def _kinship(preparation: Preparation, name: str) -> list[Message]:
    """Refuse the model that is tuned as its own judge, and warn of one of its family, which likes its own kind."""
    if fingerprint(name) == f"gguf:{preparation.model_sha256}":
        raise LanguageModelError(
            "judge.is_the_base_model",
            f"The judge {name} is the same model that was fine-tuned. Choose another one with --judge.",
        )
    tuned, judge = (FAMILY.search(text) for text in (preparation.model, parse_model_name(name).model))
    if tuned and judge and tuned[0].lower() == judge[0].lower():
        told = f"The judge seems to belong to the tuned model's family ({judge[0]}), and may favour it."
        return [Message("judge.same_family", told)]
    return []


def _fingerprint_of(training: str, answers: Answers) -> str:
    """Return what tells a run from others, equal ones too, and is the same each time that its answers are judged."""
    return hashlib.sha256(json.dumps([training, answers], sort_keys=True).encode()).hexdigest()


def _plan(rows: Sequence[int], answers: Answers, injections: Sequence[str]) -> Plan:
    plan = Plan(rows, answers, make_probes([answers["base"][row] for row in rows], injections))
    for probe in plan.probes:  # first: they tell soonest that a judge is of no use
        plan.requests.append(probe.request)
        plan.subjects.append({"row": probe.row, "kind": "self_test", "probe": probe.kind})
    for row in rows:
        prompt, reference = answers["base"][row]["prompt"], answers["base"][row]["reference"]
        response = {variant: answers[variant][row]["response"] for variant in VARIANTS}
        for variant in VARIANTS:
            plan.requests.append(score_request(prompt, reference, response[variant]))
            plan.subjects.append({"row": row, "kind": "score", "variant": variant})
        if response["base"] == response["tuned"]:
            plan.equal_rows.append(row)
            continue
        for first, second in (ORDERS, ORDERS[::-1]):
            plan.requests.append(preference_request(prompt, reference, response[first], response[second]))
            plan.subjects.append({"row": row, "kind": "preference", "first": first})
    return plan


def _summarise(
    name: str, plan: Plan, judgements: Sequence[Judgement], *, labels: Scores | None, notes: list[Message]
) -> dict[str, Any]:
    about = list(zip(plan.subjects, judgements, strict=True))
    scores: dict[tuple[int, str], Any] = {
        (subject["row"], subject["variant"]): judgement.value
        for subject, judgement in about
        if subject["kind"] == "score"
    }
    preferences: dict[tuple[int, str], str | None] = {
        (row, order): "tie" for row in plan.rows for order in ORDERS
    }
    for subject, judgement in about:
        if subject["kind"] == "preference":
            preferences[subject["row"], subject["first"]] = _preferred(subject["first"], judgement)
    summary = summarise_judge(
        name,
        plan.rows,
        scores,
        preferences,
        run_self_test(plan.probes, judgements[: len(plan.probes)]),
        clusters=cluster_rows([plan.answers["base"][row]["prompt"] for row in plan.rows]),
        lengths={
            variant: [plan.answers[variant][row]["response_tokens"] for row in plan.rows]
            for variant in VARIANTS
        },
        labels=labels,
        notes=[*notes, *notes_on(judgements, parse_model_name(name).model)],
    )
    return summary | {"answered_as": names_of(judgements)}


def _preferred(first: str, judgement: Judgement) -> str | None:
    """Return which model's answer is the better one: base, tuned or tie."""
    second = next(variant for variant in VARIANTS if variant != first)
    meant: Mapping[object, str] = {"first": first, "second": second, "tie": "tie"}
    return meant.get(judgement.value)


def _records(
    name: str, plan: Plan, judgements: Sequence[Judgement], labels: Scores
) -> Iterable[dict[str, Any]]:
    """Yield one line for each question; `value` is null with the `reason` where there is no readable reply."""
    for subject, judgement in zip(plan.subjects, judgements, strict=True):
        is_preference = subject["kind"] == "preference"
        value = _preferred(subject["first"], judgement) if is_preference else judgement.value
        yield {
            "judge": name,
            **subject,
            "value": value,
            "reason": judgement.reason,
            "code": judgement.code,
            "responses": list(judgement.responses),
            **(
                {"label": labels.get((subject["row"], subject["variant"]))}
                if subject["kind"] == "score"
                else {}
            ),
        }
    for row, first in ((row, first) for row in plan.equal_rows for first in ORDERS):
        subject = {"row": row, "kind": "preference", "first": first}
        yield {"judge": name, **subject, "value": "tie", "reason": SAME, "code": None, "responses": []}
