"""Run a GGUF file in llama.cpp: tokenize, render chat prompts, generate or stream answers, get
log-probabilities.
"""

import json
import secrets
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

SLOTS = 8
SECONDS = 600  # timeout for one answer, however busy the machine is


def is_installed() -> bool:
    """Return whether llama.cpp is installed, as the package xllamacpp."""
    return find_spec("xllamacpp") is not None


@dataclass(frozen=True)
class LlamaCpp:
    """A model in llama.cpp's own server on the loopback interface; `server` keeps it alive, and `key` is
    required.
    """

    server: Any
    key: str
    at_once: int

    def tokenize(self, text: str) -> list[int]:
        """Return the token ids of a prompt; special tokens in the text are parsed."""
        return self._ask("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]

    def render(self, messages: list[dict[str, str]]) -> str:
        """Render a conversation with the file's chat template, up to the next answer."""
        return self._ask("/apply-template", messages=messages)["prompt"]

    def answers(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """Return the greedy answer to each prompt, as long as llama.cpp makes it, including the end token."""

        def answer(prompt: Sequence[int]) -> list[int]:
            return self._ask(
                "/completion",
                prompt=list(prompt),
                n_predict=max_new_tokens,
                temperature=0,
                samplers=["temperature"],
                return_tokens=True,
                cache_prompt=True,
            )["tokens"]

        with ThreadPoolExecutor(self.at_once) as at_once:
            return list(at_once.map(answer, prompts))

    def next_token_log_probs(
        self, prompts: Sequence[Sequence[int]], vocabulary: int, *, shown_token: int
    ) -> np.ndarray:
        """Return the log-probability of every token after each prompt, (prompts, vocabulary)."""

        def after(prompt: Sequence[int]) -> np.ndarray:
            # The probabilities are taken before the bias. The bias forces a printable token: llama.cpp would
            # hold back half a character, and its probabilities with it.
            reply = self._ask(
                "/completion",
                prompt=list(prompt),
                n_predict=1,
                n_probs=vocabulary,
                logit_bias=[[shown_token, 1000]],
                temperature=0,
                cache_prompt=True,
            )
            found = np.full(vocabulary, -np.inf, dtype=np.float32)
            for entry in reply["completion_probabilities"][0]["top_logprobs"]:
                found[entry["id"]] = entry["logprob"]
            return found

        # A reply lists every token. llama.cpp can compute the next one while this one is parsed.
        with ThreadPoolExecutor(2) as at_once:
            return np.stack(list(at_once.map(after, prompts)))

    def complete(
        self,
        prompt: Sequence[int],
        hear: Callable[[Mapping[str, Any]], bool],
        *,
        max_new_tokens: int,
        stop: Sequence[str],
        temperature: float,
        top_p: float,
        seed: int,
        takes_over: bool,
    ) -> None:
        """Answer one prompt; `hear` gets each part in OpenAI's streaming format and returns True to end the
        answer.

        An error arrives as one part with the key `error`. If the answer `takes_over` the cache of an earlier
        prompt, it starts sooner, but its last bits depend on that prompt.
        """
        refused = self.server.handle_completions(
            {
                "prompt": list(prompt),
                "n_predict": max_new_tokens,
                "stop": list(stop),
                "samplers": ["temperature", "top_p"],  # same order as in generation/sampling.py
                "temperature": temperature,
                "top_p": top_p,
                "seed": seed,
                "cache_prompt": takes_over,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
            hear,
        )
        if refused:
            hear(refused)

    def _ask(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            self.server.listening_address + path,
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"},
        )
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=SECONDS) as response:
            return json.load(response)


def load_gguf(gguf: Path, *, context: int, at_once: int = SLOTS, threads: int | None = None) -> LlamaCpp:
    """Load a file; each of the `at_once` parallel prompts has `context` tokens for itself and its answer."""
    # Imported by name, because it is an optional dependency without types.
    xllamacpp: Any = import_module("xllamacpp")

    settings, key = xllamacpp.CommonParams(), secrets.token_hex()
    settings.model.path = str(gguf)
    settings.n_ctx = context * at_once
    settings.n_parallel = at_once
    if threads is not None:
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    # The weights are being verified; a half-precision attention cache would add its own rounding.
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.warmup = False
    settings.fit_params = False  # would read the file twice to choose settings that are all given here
    settings.verbosity = 0
    settings.api_keys = [key]  # the server's port is only for this process
    model = LlamaCpp(xllamacpp.Server(settings), key, at_once)
    # A server that is deleted before its thread has started waits for it forever.
    model.answers([[0]], max_new_tokens=1)
    return model
