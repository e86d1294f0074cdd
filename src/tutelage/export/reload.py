"""The fresh process of a verification: loads an export as a user would, and writes down what it does.

Started as `python -m tutelage.export.reload JOB`; the job is a JSON file that `verification.py` writes.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.generation.llama_cpp import load_gguf
from tutelage.system.child_process import end_with_parent


@dataclass(frozen=True)
class Job:
    """What an export is asked; `kind` is hf, peft or gguf, and `base` the folder that an adapter is put on."""

    kind: str
    path: str
    base: str
    fallback_reason: str | None
    texts: list[str]
    conversations: list[list[dict[str, str]]]
    prompts: list[list[int]]
    answers: list[list[int]]  # of the run's own model, each with the end token that it ended with
    contexts: list[list[int]]
    max_new_tokens: int
    vocabulary: int
    shown_token: int  # one whose text is a whole character

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


@dataclass(frozen=True)
class Behaviour:
    """What a model does: ids of texts, conversations as its template writes them, greedy answers, log-probabilities.

    same_tokens: share of the tokens of the run's answers, their ends among them, that it chooses after those before.
    log_probs: (contexts, vocabulary), nats.
    """

    ids: list[list[int]]
    rendered: list[str]
    answers: list[list[int]]
    same_tokens: float
    log_probs: np.ndarray

    @staticmethod
    def read(folder: Path) -> "Behaviour":
        told = json.loads((folder / "behaviour.json").read_text(encoding="utf-8"))
        return Behaviour(**told, log_probs=np.load(folder / "log_probs.npy", allow_pickle=False))

    def write(self, folder: Path) -> None:
        told = {name: value for name, value in vars(self).items() if name != "log_probs"}
        (folder / "behaviour.json").write_text(json.dumps(told), encoding="utf-8")
        np.save(folder / "log_probs.npy", self.log_probs, allow_pickle=False)


def main(words: Sequence[str]) -> None:
    """Do the job of a file, and write what was found beside it."""
    path = Path(words[0])
    job = Job(**json.loads(path.read_text(encoding="utf-8")))
    behaviour = _of_gguf(job) if job.kind == "gguf" else _of_folder(job)
    behaviour.write(path.parent)


def _of_gguf(job: Job) -> Behaviour:
    longest = max(map(len, [*job.prompts, *job.contexts]))
    model = load_gguf(Path(job.path), context=longest + 2 * job.max_new_tokens + 8)

    def answer(prompts: list[list[int]]) -> list[list[int]]:
        return model.answers(prompts, max_new_tokens=job.max_new_tokens)

    answers = answer(job.prompts)
    return Behaviour(
        [model.tokenize(text) for text in job.texts],
        [model.render(messages) for messages in job.conversations],
        answers,
        proportion_of_same_tokens(job, answers, answer),
        model.next_token_log_probs(job.contexts, job.vocabulary, shown_token=job.shown_token),
    )


def proportion_of_same_tokens(
    job: Job, answers: list[list[int]], answer: Callable[[list[list[int]]], list[list[int]]]
) -> float:
    """Return the share of the run's tokens that a model chooses after those before them, given its greedy answers.

    Where an answer parts, the run's token is put in its place, and the model goes on from there.
    """
    same = asked = 0
    parts = list(zip(job.prompts, job.answers, answers, strict=True))
    while parts:
        rest = []
        for prompt, own, answered in parts:
            place = first_difference(own, answered)
            same, asked = same + place, asked + min(place + 1, len(own))
            if place + 1 < len(own):
                rest.append(([*prompt, *own[: place + 1]], own[place + 1 :]))
        gone_on = answer([prompt for prompt, _ in rest]) if rest else []
        parts = [(prompt, own, found) for (prompt, own), found in zip(rest, gone_on, strict=True)]
    return same / asked if asked else 1.0


def first_difference(one: Sequence[int], other: Sequence[int]) -> int:
    """Return where two answers part: the first place whose tokens differ, or the end of the shorter."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (left, right) in pairs if left != right), min(len(one), len(other)))


def _of_folder(job: Job) -> Behaviour:
    """Answer by the model's own generate(), loaded as the card of an export says, with the settings that it brings."""
    import torch  # noqa: PLC0415 - llama.cpp needs none of it

    from tutelage.data.prompts.chat_templates import render_template  # noqa: PLC0415
    from tutelage.evaluation.regression.general_text_check import next_log_probs  # noqa: PLC0415
    from tutelage.export.own_generate import generate_answers  # noqa: PLC0415
    from tutelage.model.forward import CausalModel  # noqa: PLC0415

    tokenizer, module = _load(job)

    def answer(prompts: list[list[int]]) -> list[list[int]]:
        return generate_answers(
            module, prompts, max_new_tokens=job.max_new_tokens, pads=job.fallback_reason is None
        )

    answers = answer(job.prompts)
    plain = CausalModel(module, torch.device("cpu"), torch.float32, fallback_reason="it is run as it comes")
    return Behaviour(
        [tokenizer.encode(text, add_special_tokens=False) for text in job.texts],
        [render_template(tokenizer, messages, add_generation_prompt=True) for messages in job.conversations],
        answers,
        proportion_of_same_tokens(job, answers, answer),
        next_log_probs(plain, job.contexts).numpy(),
    )


def _load(job: Job) -> tuple[Any, Any]:
    from tutelage.model.adapters import with_adapter  # noqa: PLC0415
    from tutelage.model.loading import load_as_anyone  # noqa: PLC0415

    if job.kind != "peft":
        return load_as_anyone(Path(job.path), base=Path(job.path))
    tokenizer, base = load_as_anyone(Path(job.path), base=Path(job.base))
    return tokenizer, with_adapter(base, Path(job.path)).eval()


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]), Path(sys.argv[1]).parent)
    main(sys.argv[1:])
