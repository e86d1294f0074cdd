"""The table [evaluation] of the recipe, and those of its named test sets."""

import re
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from tutelage.config.extensions import METRICS, SET_METRICS, one_of
from tutelage.config.recipe_section import Count, FormatName, Name, Section, Sha256, setting_error
from tutelage.text.credentials import KEY_IN_NAME, KEY_VARIABLE, secret_in_name, without_secrets
from tutelage.text.patterns import compile_pattern

MetricName = Annotated[str, one_of(METRICS)]
SetMetricName = Annotated[str, one_of(SET_METRICS)]

Price = Annotated[float, Field(ge=0)]


class NamedSetSettings(Section):
    """A named test set, [evaluation.sets.NAME]: other rows with a metric and a verdict of their own."""

    source: Name = Field(description="Where its rows are, as for data.source.")
    metric: SetMetricName = Field(
        description="How an answer is scored; with `judge` those of evaluation.judges score it.",
        json_schema_extra={"enum": list(SET_METRICS)},
    )
    sha256: Sha256 | None = Field(None, description="SHA-256 of its bytes. An https address needs it.")
    format: FormatName | None = Field(None, description="What a row is. Default: found from its fields.")
    map: dict[str, str] = Field({}, description="Where a row has a field under another name.")
    pattern: str | None = Field(None, description="`regex` only: what has to be found in the answer.")
    tolerance: Annotated[float, Field(ge=0)] | None = Field(
        None, description="`numeric` only: how far off the number may be. Default: not at all."
    )
    json_schema: Name | None = Field(
        None, description="`json` only: a file with a schema that answers must fit."
    )
    choices: list[str] | Name | None = Field(
        None,
        description="`multiple_choice` only: the choices of every row, or the field in which each row has its own.",
    )

    @model_validator(mode="after")
    def parameters_belong_to_the_metric(self) -> "NamedSetSettings":
        owners = {
            "pattern": "regex",
            "tolerance": "numeric",
            "json_schema": "json",
            "choices": "multiple_choice",
        }
        for parameter, owner in owners.items():
            if (
                parameter in self.model_fields_set
                and getattr(self, parameter) is not None
                and self.metric != owner
            ):
                if parameter == "tolerance" and not self.tolerance:
                    continue  # a recorded recipe spells out this default
                raise setting_error(
                    "settings.metric_parameter",
                    f"{parameter} is for the metric {owner}, and the metric is {self.metric}",
                )
        for parameter in ("pattern", "choices"):
            if self.metric == owners[parameter] and getattr(self, parameter) is None:
                raise setting_error(
                    "settings.metric_parameter", f"the metric {self.metric} needs {parameter}"
                )
        if self.pattern is not None:
            try:
                compile_pattern(self.pattern)
            except re.error as fault:
                raise setting_error(
                    "settings.invalid_regex", f"pattern is no regular expression: {fault}"
                ) from fault
        if isinstance(self.choices, list) and len(set(self.choices)) < 2:
            raise setting_error("settings.too_few_choices", "choices needs at least two different texts")
        return self


class EvaluationSettings(Section):
    limit: Count | None = Field(
        None, description="Evaluate only the first so many rows of each test set. Default: all."
    )
    max_new_tokens: Count = Field(128, description="Longest answer in tokens.")
    batch_size: Count = Field(64, description="Answers decoded at once.")
    primary_metric: MetricName = Field(
        "chrf",
        description="The metric that the verdict is about, chosen before anything is seen.",
        json_schema_extra={"enum": list(METRICS)},
    )
    sets: dict[Annotated[str, Field(pattern="^[a-z0-9][a-z0-9_-]{0,63}$")], NamedSetSettings] = Field(
        {}, description="More test sets by name, each a table [evaluation.sets.NAME] as below."
    )
    forgetting: bool = Field(
        True, description="Read general text with both models, to see whether tuning cost the grasp of it."
    )
    forgetting_margin: Annotated[float, Field(gt=0)] = Field(
        0.1, description="Largest rise on general text, in bits per byte, that counts as no regression."
    )
    forgetting_kl_margin: Annotated[float, Field(gt=0)] = Field(
        0.5,
        description="Largest divergence from the base on general prompts, in nats a token, that counts so.",
    )
    zero_shot: bool = Field(
        False,
        description="Hold a classification against its base model too, which chooses among the labels by their names.",
    )
    judges: list[Name] = Field(
        [],
        description="Models that score the answers: `ollama:MODEL`, `openai:MODEL@URL` or `gguf:PATH`. One on another"
        " machine has to be named on the command line, with --judge.",
    )
    labels: Name | None = Field(
        None,
        description="A JSON or JSONL file with scores of some answers by people, which the judges are held against.",
    )
    judge_aliases: list[Name] = Field(
        [],
        description="Other names with which a server may answer for a judge; by any other name its reply is refused.",
    )
    judge_max_tokens: Count = Field(
        64,
        description="Longest reply of a judge in tokens, thoughts included. A judge that thinks needs thousands.",
    )
    judge_limit: Count | None = Field(
        None, description="Most questions put to one judge; the rest has no score. Default: all."
    )
    judge_price_in: Price | None = Field(
        None, description="What a million input tokens of a judge on a server cost, in your currency."
    )
    judge_price_out: Price | None = Field(
        None, description="What a million output tokens of it cost, in the same currency."
    )
    judge_budget: Price | None = Field(
        None,
        description="Most that one judge may cost in one command, by these prices; the rest has no score. Default: no"
        " limit.",
    )
    judge_concurrency: Count = Field(4, description="Questions put to a judge at once.")
    judge_timeout: Annotated[float, Field(gt=0)] = Field(
        300.0, description="Seconds that a judge has for one question, with all tries and pauses."
    )

    @field_validator("judges", "judge_aliases", mode="after")
    @classmethod
    def names_hold_no_secret(cls, names: list[str]) -> list[str]:
        """Refuse a key or a password before any stage writes it down; the error does not repeat it."""
        for name in names:
            secret = secret_in_name(name)
            if secret == "key":
                raise setting_error("llm.key_in_name", KEY_IN_NAME)
            if secret == "address":
                address = without_secrets(name.partition("@")[2])
                raise setting_error(
                    "llm.secret_in_url",
                    f"the address {address} of a judge carries more than host, port and path. A key is taken from the"
                    f" environment variable {KEY_VARIABLE} alone, so that it comes into no file",
                )
            if not name.strip():
                raise setting_error("llm.no_model", "the name of a judge is empty")
        return names

    @model_validator(mode="after")
    def a_budget_needs_both_prices(self) -> "EvaluationSettings":
        prices = {"judge_price_in": self.judge_price_in, "judge_price_out": self.judge_price_out}
        unknown = [f"evaluation.{name}" for name, price in prices.items() if price is None]
        if len(unknown) == 1 or (unknown and self.judge_budget is not None):
            raise setting_error(
                "settings.budget_without_prices",
                f"evaluation.judge_budget and its prices belong together: set {' and '.join(unknown)} too",
            )
        return self
