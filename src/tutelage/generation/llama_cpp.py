"""llama.cpp on a GGUF file, asked for token ids, chat prompts, answers whole or in parts, and log-probabilities."""

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
SECONDS = 600  # for one answer, however busy the machine is


def is_installed() -> bool:
    """Tell whether llama.cpp is here, as the package xllamacpp."""
    return find_spec("xllamacpp") is not None


@dataclass(frozen=True)
class LlamaCpp:
    """A model in llama.cpp's own server on the loopback; `server` keeps it alive, and only `key` opens it."""

    server: Any
    key: str
    at_once: int

    def tokenize(self, text: str) -> list[int]:
        """Return the ids of a prompt whose control tokens are written out."""
        return self._ask("/tokenize", content=text, add_special=False, parse_special=True)["tokens"]

    def render(self, messages: list[dict[str, str]]) -> str:
        """Return a conversation as the file's chat template writes it, up to the next answer."""
        return self._ask("/apply-template", messages=messages)["prompt"]

    def answers(self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int) -> list[list[int]]:
        """Return the greedy answer to each prompt, up to where llama.cpp ends it; an end token comes with it."""

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
            # The probabilities are those before the bias. It makes the answer a token that can be shown: half a
            # character would be held back, and its probabilities with it.
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

        # A reply names every token. While one is read, llama.cpp works on the next.
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
        """Answer one prompt; `hear` gets each part, in the shape of OpenAI's streams, and ends the answer by True.

        What cannot be answered comes as one part that holds `error`. An answer that `takes_over` what is kept of an
        earlier prompt is there sooner; its last bits depend on that prompt.
        """
        refused = self.server.handle_completions(
            {
                "prompt": list(prompt),
                "n_predict": max_new_tokens,
                "stop": list(stop),
                "samplers": ["temperature", "top_p"],  # in this order, as generation/sampling.py has it
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
    """Load a file; `context` tokens are there for each prompt with its answer, `at_once` of which are answered."""
    # By its name, for it is no dependency and tells no types.
    xllamacpp: Any = import_module("xllamacpp")

    settings, key = xllamacpp.CommonParams(), secrets.token_hex()
    settings.model.path = str(gguf)
    settings.n_ctx = context * at_once
    settings.n_parallel = at_once
    if threads is not None:
        settings.cpuparams.n_threads = settings.cpuparams_batch.n_threads = threads
    # The weights are what is verified; attention kept in half precision would add its own rounding.
    settings.cache_type_k = settings.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    settings.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    settings.warmup = False
    settings.fit_params = False  # the file would be read twice, to fit to the memory what is all given here
    settings.verbosity = 0
    settings.api_keys = [key]  # the port of llama.cpp's own is for this process alone
    model = LlamaCpp(xllamacpp.Server(settings), key, at_once)
    # Its thread may only be about to begin, and a server that is let go before that waits for it for ever.
    model.answers([[0]], max_new_tokens=1)
    return model
