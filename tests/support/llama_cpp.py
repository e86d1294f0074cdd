"""llama.cpp as the reference: its own server on a GGUF file, asked for token ids and log-probabilities."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class LlamaCpp:
    address: str

    def tokenize(self, text: str, *, add_special: bool = False) -> list[int]:
        """The ids of `text`, special-token strings in it being plain text."""
        return self._ask("/tokenize", content=text, add_special=add_special, parse_special=False)["tokens"]

    def next_token_log_probs(self, ids: list[int], *, vocabulary: int) -> dict[int, float]:
        """The log-probability of every token after `ids`."""
        # The probabilities are those before the bias. It makes the answer a token that can be shown: half a
        # character would be held back, and its probabilities with it.
        answer = self._ask(
            "/completion",
            prompt=ids,
            n_predict=1,
            n_probs=vocabulary,
            logit_bias=[[ids[0], 1000]],
            temperature=0,
            cache_prompt=False,
        )
        return {
            entry["id"]: entry["logprob"] for entry in answer["completion_probabilities"][0]["top_logprobs"]
        }

    def _ask(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.address + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)


@contextmanager
def llama_cpp(gguf: Path, *, context: int = 256) -> Iterator[LlamaCpp]:
    """Serve `gguf` on the loopback while the block runs; the test is skipped where xllamacpp is missing."""
    xllamacpp = pytest.importorskip(
        "xllamacpp", reason="xllamacpp (llama.cpp) has no build here", exc_type=ImportError
    )
    settings = xllamacpp.CommonParams()
    settings.model.path = str(gguf)
    settings.n_ctx = context
    settings.n_parallel = 1
    settings.warmup = False
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    yield LlamaCpp(server.listening_address)
