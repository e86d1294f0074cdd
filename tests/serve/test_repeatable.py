"""An answer with a seed depends on nothing that is asked beside it or before it; without one each draws its own."""

import threading
from concurrent.futures import ThreadPoolExecutor

import openai
import pytest
from support.served_run import serving

from tutelage.codes import Message
from tutelage.generation.sampling import Sampling
from tutelage.serve import torch_engine
from tutelage.serve.generation_requests import GenerationRequest
from tutelage.serve.llama_engine import SEEDS, LlamaEngine
from tutelage.serve.queue import Queue
from tutelage.serve.torch_engine import TorchEngine

QUESTION = [{"role": "user", "content": "Tell me a story."}]
NEIGHBOURS = [f"Write the number {n} in words, {'slowly, ' * n}please." for n in range(3)]
LONGEST = 10


@pytest.fixture
def client(running):
    with openai.OpenAI(base_url=running.url, api_key="none", max_retries=0) as opened:
        yield opened


def drawn(client, **options):
    options = {"temperature": 1, "max_tokens": LONGEST, **options}
    return client.chat.completions.create(model="tuned", messages=QUESTION, **options)


def text(reply):
    return reply.choices[0].message.content


def seed_of(reply):
    return int(reply.system_fingerprint.removeprefix("seed-"))


def test_without_a_seed_each_request_draws_its_own_and_tells_it(client):
    responses = [drawn(client, temperature=1.5) for _ in range(5)]
    assert len({text(reply) for reply in responses}) > 1
    assert len({seed_of(reply) for reply in responses}) == 5
    for reply in responses:
        assert text(drawn(client, temperature=1.5, seed=seed_of(reply))) == text(reply)


def test_the_parts_of_a_stream_tell_the_seed_too(client):
    parts = [*drawn(client, stream=True)]
    assert len({part.system_fingerprint for part in parts}) == 1
    again = drawn(client, seed=seed_of(parts[0]))
    assert "".join(part.choices[0].delta.content for part in parts) == text(again)
    assert seed_of(again) == seed_of(parts[0])


def test_where_nothing_is_drawn_no_seed_is_told(client):
    assert drawn(client, temperature=0, seed=3).system_fingerprint is None


def test_of_equal_seeds_the_answers_are_equal_and_of_others_not(client):
    def answers(seed):
        return {text(drawn(client, temperature=1.5, seed=seed)) for _ in range(3)}

    found = [answers(seed) for seed in (0, 1, 2**32 - 1, 2**32, 2**63 - 1)]
    assert [len(one) for one in found] == [1] * 5
    assert len(set.union(*found)) > 1


class Logits:
    """Keeps the logits that tokens of one prompt's answer are chosen from."""

    def __init__(self, monkeypatch):
        self.seen = []
        chosen = torch_engine.next_tokens

        def next_tokens(logits, rows, places, sampling):
            if sampling is not None:
                self.seen.append(logits[rows[0]].clone())
            return chosen(logits, rows, places, sampling)

        monkeypatch.setattr(torch_engine, "next_tokens", next_tokens)


def logits_beside_neighbours(served, monkeypatch, *, is_repeatable):
    """Return the logits of an answer that grows alone, and of the same beside others and after them."""
    kept = Logits(monkeypatch)
    engine = TorchEngine(served.load_variant, served.tokenizer, end_tokens=served.end_tokens, at_once=4)
    runs = []
    try:
        for neighbours in ([], NEIGHBOURS, []):
            kept.seen = []
            over = [threading.Event() for _ in range(len(neighbours) + 2)]

            def tell(piece, done):
                if piece.finish_reason:
                    done.set()

            for words, done in zip(neighbours, over[2:], strict=True):
                prompt = served.prompt_of_text(words)
                engine.ask(GenerationRequest("tuned", prompt, 60), lambda piece, done=done: tell(piece, done))
            # The second has to wait for the first, and comes after a longer one.
            for length, done in zip((40, LONGEST), over, strict=False):
                prompt = served.prompt_of_text("one two " * (9 if length == 40 else 1))
                asked = GenerationRequest(
                    "tuned", prompt, length, Sampling(seed=1), is_repeatable=is_repeatable
                )
                engine.ask(asked, lambda piece, done=done: tell(piece, done))
            assert all(done.wait(60) for done in over)
            runs.append(kept.seen)
    finally:
        engine.close()
    return runs


def are_equal_to_the_bit(runs):
    """Tell whether each run saw the same logits, in whatever order its two answers grew."""
    seen = [sorted(one.numpy().tobytes() for one in run) for run in runs]
    return seen[0] == seen[1] == seen[2]


def test_the_logits_of_a_repeatable_answer_are_the_same_to_the_bit_beside_neighbours(tuned_run, monkeypatch):
    with serving(tuned_run) as one:
        assert are_equal_to_the_bit(logits_beside_neighbours(one.served, monkeypatch, is_repeatable=True))
        # Where they share their products with others, they are not: the check would see it.
        assert not are_equal_to_the_bit(
            logits_beside_neighbours(one.served, monkeypatch, is_repeatable=False)
        )


def test_answers_with_seeds_are_the_same_beside_busy_neighbours(client, running):
    alone = [text(drawn(client, seed=seed)) for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        others = [
            pool.submit(
                client.chat.completions.create,
                model="tuned",
                messages=[{"role": "user", "content": words}],
                max_tokens=60,
                temperature=1,
            )
            for words in NEIGHBOURS
        ]
        beside = [*pool.map(lambda seed: text(drawn(client, seed=seed)), range(4))]
        assert all(other.result().choices for other in others)
    assert beside == alone
    assert running.engine.unanswered == 0


def test_who_leaves_while_others_with_seeds_are_answered_makes_room(client, running):
    streams = [drawn(client, seed=seed, max_tokens=300, stream=True, temperature=1.9) for seed in range(6)]
    next(iter(streams[0]))
    for stream in streams:
        stream.close()
    assert text(drawn(client, seed=1)) == text(drawn(client, seed=1))
    pause = threading.Event()
    for _ in range(2_000):
        if running.engine.unanswered == 0:
            return
        pause.wait(0.01)
    raise AssertionError("what was left is still being answered")


class Counting:
    """Stands where llama.cpp would, and counts how many answers grow at once."""

    at_once = 4

    def __init__(self):
        self.changed = threading.Lock()
        self.inside = 0
        self.seen = []
        self.pause = threading.Event()

    def complete(self, prompt, hear, *, seed, takes_over, **_):
        with self.changed:
            self.inside += 1
            self.seen.append((self.inside, takes_over, seed))
        self.pause.wait(0.05)
        with self.changed:
            self.inside -= 1
        hear({"choices": [{"text": "", "finish_reason": "length"}], "usage": {"completion_tokens": 0}})


class Otherwise:
    unanswered = 0

    def close(self):
        pass


def test_with_llama_cpp_a_repeatable_answer_grows_alone_and_takes_over_nothing():
    model = Counting()
    engine = LlamaEngine(model, otherwise=Otherwise())
    over = threading.Semaphore(0)
    for number in range(12):
        is_repeatable = number % 3 == 0
        asked = GenerationRequest("tuned", (1,), 1, Sampling(seed=SEEDS + 7), is_repeatable=is_repeatable)
        engine.ask(asked, lambda piece: over.release() if piece.finish_reason else None)
    assert all(over.acquire(timeout=30) for _ in range(12))
    engine.close()
    alone = [inside for inside, takes_over, _ in model.seen if not takes_over]
    beside = [inside for inside, takes_over, _ in model.seen if takes_over]
    assert alone == [1] * 4
    assert max(beside) > 1
    assert {seed for _, _, seed in model.seen} == {7}  # 32 bits, and never the number that draws another


def test_whoever_wants_to_be_alone_waits_for_those_inside_and_comes_before_those_who_come_later():
    room, order, threads = Queue(), [], []
    inside, leave = threading.Event(), threading.Event()

    def enter(name, *, alone=False, until=None):
        with room.entered(alone=alone):
            order.append(name)
            if until is not None:
                inside.set()
                assert until.wait(30)

    def start(name, **options):
        waiting = len(room._waiting)
        threads.append(threading.Thread(target=enter, args=[name], kwargs=options))
        threads[-1].start()
        while name != "first" and len(room._waiting) == waiting:
            leave.wait(0.001)

    start("first", until=leave)
    assert inside.wait(30)
    start("alone", alone=True)
    start("last")
    assert order == ["first"]
    leave.set()
    for thread in threads:
        thread.join(30)
    assert order == ["first", "alone", "last"]


def test_what_fails_alone_makes_room_for_the_next(tuned_run):
    with serving(tuned_run) as one:
        engine = TorchEngine(
            one.served.load_variant, one.served.tokenizer, end_tokens=one.served.end_tokens, at_once=2
        )
        try:
            batch = engine._open("tuned", is_alone=True)
            step = batch.step

            def fails():
                step()
                raise RuntimeError("no more")

            batch.step = fails
            assert last_piece(engine).fault == Message("serve.engine_failed", "RuntimeError: no more")
            batch.step = step
            assert last_piece(engine).finish_reason == "length"
        finally:
            engine.close()


def last_piece(engine):
    found, is_over = [], threading.Event()

    def tell(piece):
        found.append(piece)
        if piece.finish_reason:
            is_over.set()

    engine.ask(GenerationRequest("tuned", (40, 41), 2, is_repeatable=True), tell)
    assert is_over.wait(30)
    return found[-1]
