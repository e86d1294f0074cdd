"""Answers a second and the wait for the first word: `tutelage serve`, both engines, llama.cpp's server, transformers'.

python -m benchmarks.serving runs/quickstart   # exported before with --to gguf --to hf, which the peers are given
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from statistics import median

import httpx2

from benchmarks.environments import make_environment
from benchmarks.processes import ROOT, environment
from benchmarks.tables import spread, table
from tutelage.data.rows.conversations import single_exchange_of

CLIENTS = (1, 8)
LONGEST = 64
WARM_UP = 2
SERVE = ("-m", "tutelage", "serve", "--port", "0")


@dataclass(frozen=True)
class Server:
    """What Python is given to start it, in a peer's environment, and the name by which it knows the tuned model."""

    arguments: list[str]
    model: str = "tuned"
    environment: str | None = None

    def command(self) -> list[str]:
        python = sys.executable if self.environment is None else str(make_environment(self.environment))
        return [python, *self.arguments]


@dataclass(frozen=True)
class Figures:
    """Of one server in one round: seconds from the command to its first word, and by clients what it reached."""

    ready: float
    answers_a_second: dict[int, float]
    tokens_a_second: dict[int, float]
    first_word: dict[int, float]  # median seconds from a request to its first word


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--questions", type=int, default=32)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these servers, beside tutelage serve")
    chosen = parser.parse_args()
    servers = {
        name: server
        for name, server in contenders(chosen.run).items()
        if chosen.only is None or name in {*chosen.only, "tutelage serve"}
    }
    require_exports(chosen.run)
    asked = questions(chosen.questions)
    found: dict[str, list[Figures]] = {name: [] for name in servers}
    for number in range(chosen.rounds):
        for name in sorted(servers, reverse=number % 2 == 0):
            print(f"round {number + 1}: {name} ...", file=sys.stderr)
            found[name].append(measure(servers[name], asked))
    print(report(found))


def require_exports(run: Path) -> None:
    """End with the commands that make what the servers are given, where it is not there."""
    wanted = (run / "export" / "hf", run / "export" / "gguf" / "model-f16.gguf")
    missing = [str(path) for path in wanted if not path.exists()]
    if missing:
        raise SystemExit(
            f"{' and '.join(missing)} is missing. Run `tutelage run --output {run}` if there is no such run,"
            f" then `tutelage export {run} --to gguf --to hf`."
        )


def contenders(run: Path) -> dict[str, Server]:
    """Return the servers by name; transformers' are given the merged weights in the type that is fastest here."""
    exports = run.resolve() / "export"
    ours, hf = [*SERVE, str(run)], str(exports / "hf")
    llama = ["-m", "benchmarks.runners.llama_server", str(exports / "gguf" / "model-f16.gguf")]
    peer = ["-m", "benchmarks.runners.transformers_serve", hf]
    return {
        "tutelage serve": Server(ours),
        "tutelage serve --engine torch": Server([*ours, "--engine", "torch"]),
        "llama.cpp's server": Server(llama),
        "transformers serve": Server(peer, hf, "hf"),
        "transformers serve --continuous-batching": Server([*peer, "--continuous-batching"], hf, "hf"),
    }


def questions(count: int) -> list[str]:
    """Return instructions of the starter data, each with its input below it."""
    rows = json.loads(
        resources.files("tutelage.data.starter").joinpath("starter.json").read_text(encoding="utf-8")
    )
    step = max(1, len(rows) // count)
    turns = [
        single_exchange_of(0, row["instruction"], row.get("input", ""), "").messages[0]
        for row in rows[::step]
    ]
    return [turn.content for turn in turns][:count]


def measure(server: Server, asked: Sequence[str]) -> Figures:
    command = server.command()
    begin = time.perf_counter()
    with running(command) as url:
        _ask(url, server.model, asked[0])
        ready = time.perf_counter() - begin
        for text in asked[:WARM_UP]:
            _ask(url, server.model, text)
        answers, tokens, first = {}, {}, {}
        for clients in CLIENTS:
            begin = time.perf_counter()
            with ThreadPoolExecutor(clients) as pool:
                told = list(pool.map(lambda text: _ask(url, server.model, text), asked))
            seconds = time.perf_counter() - begin
            answers[clients] = len(told) / seconds
            tokens[clients] = sum(count for _, count in told) / seconds
            first[clients] = median(wait for wait, _ in told)
    return Figures(ready, answers, tokens, first)


@contextmanager
def running(command: Sequence[str]) -> Iterator[str]:
    """Start a server, and give the address that it prints."""
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            url = next(line.split()[0] for line in process.stdout if line.startswith("http"))
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield url
        finally:
            process.terminate()


def _ask(url: str, model: str, text: str) -> tuple[float, int]:
    """Return the seconds to the first word of an answer, and its tokens."""
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "max_tokens": LONGEST,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    begin = time.perf_counter()
    first, tokens = None, 0
    with httpx2.stream("POST", f"{url}/chat/completions", json=body, timeout=600) as answer:
        answer.raise_for_status()
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            part = json.loads(line.removeprefix("data: "))
            if first is None and part["choices"] and part["choices"][0]["delta"].get("content"):
                first = time.perf_counter() - begin
            if part.get("usage"):
                tokens = part["usage"]["completion_tokens"]
    return first or time.perf_counter() - begin, tokens


def report(found: dict[str, list[Figures]]) -> str:
    """Return the table: medians with their spread, and how many times as fast Tutelage is in the same round."""
    own = found["tutelage serve"]
    rows = []
    for name, rounds in found.items():
        for clients in CLIENTS:
            ratios = [
                ours.answers_a_second[clients] / other.answers_a_second[clients]
                for ours, other in zip(own, rounds, strict=True)
            ]
            rows.append(
                [
                    name,
                    str(clients),
                    spread([one.answers_a_second[clients] for one in rounds]),
                    spread([one.tokens_a_second[clients] for one in rounds], 0),
                    "" if rounds is own else f"{spread(ratios)} times as fast",
                    spread([1000 * one.first_word[clients] for one in rounds], 0),
                    spread([one.ready for one in rounds], 1),
                ]
            )
    head = [
        "server",
        "clients",
        "answers/s",
        "tokens/s",
        "tutelage is",
        "first word, ms",
        "start to first answer, s",
    ]
    return table(head, rows)


if __name__ == "__main__":
    main()
