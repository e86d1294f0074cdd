"""A server whose memory does not hold its batch answers in smaller ones; what does not fit alone is told its code."""

import threading
from types import SimpleNamespace

import httpx2
import pytest
import torch
from support.served_run import answering
from support.sessions import trained_in

from tutelage.generation import continuous_batch
from tutelage.generation.continuous_batch import ContinuousBatch
from tutelage.serve.answering_model import load_served
from tutelage.serve.app import make_app
from tutelage.serve.generation_requests import GenerationRequest
from tutelage.serve.torch_engine import TorchEngine

TEXTS = [f"Write the number {number} in words." for number in range(8)]
LONGEST = 20


@pytest.fixture
def served(tuned_run):
    return load_served(trained_in(tuned_run))


@pytest.fixture
def engine(served):
    opened = TorchEngine(served.load_variant, served.tokenizer, end_tokens=served.end_tokens, at_once=8)
    yield opened
    opened.close()


@pytest.fixture
def sizes(monkeypatch):
    """The sizes of the batches that are opened, in their order."""
    found, opened = [], continuous_batch.make_batch

    def make_batch(model, *, size):
        found.append(size)
        return opened(model, size=size)

    monkeypatch.setattr(continuous_batch, "make_batch", make_batch)
    return found


def ask(engine, served, texts, **options):
    """Ask all at once; return the pieces of each answer."""
    pieces, over = [[] for _ in texts], [threading.Event() for _ in texts]

    def tell(place, piece):
        pieces[place].append(piece)
        if piece.finish_reason:
            over[place].set()

    with engine._changed:  # so that all of them are taken up together
        for place, text in enumerate(texts):
            asked = GenerationRequest("tuned", served.prompt_of_text(text), LONGEST, **options)
            engine.ask(asked, lambda piece, place=place: tell(place, piece))
    assert all(one.wait(60) for one in over)
    return pieces


def texts_of(answers):
    return ["".join(piece.text for piece in pieces) for pieces in answers]


def allow_at_most(fits, monkeypatch, *, after=0):
    """Let no more than so many answers grow at once, from some step on."""
    decode, steps = ContinuousBatch._decode, []

    def decode_few(batch):
        steps.append(batch)
        if len(batch._tokens) > fits and len(steps) > after:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return decode(batch)

    monkeypatch.setattr(ContinuousBatch, "_decode", decode_few)


@pytest.mark.parametrize("after", [0, 5])
def test_a_batch_is_halved_until_the_memory_holds_it_and_every_answer_is_whole(
    engine, served, sizes, monkeypatch, after
):
    whole = ask(engine, served, TEXTS, top_logprobs=0)
    assert sizes == [8]
    with monkeypatch.context() as patched:
        allow_at_most(2, patched, after=after)
        found = ask(engine, served, TEXTS, top_logprobs=0)
        assert sizes == [8, 4, 2]
    assert texts_of(found) == texts_of(whole)
    for pieces in found:
        told = [piece.tokens for piece in pieces if piece.log_prob]
        assert told == list(range(1, len(told) + 1))  # none twice, and none left out
    ask(engine, served, TEXTS)  # what did not fit is tried again once nothing is being answered
    assert sizes == [8, 4, 2, 8]


def allow_up_to(fits, monkeypatch):
    prefill = ContinuousBatch._prefill

    def prefill_short(batch, paths, places):
        if max(map(len, paths)) > fits:
            raise MemoryError
        return prefill(batch, paths, places)

    monkeypatch.setattr(ContinuousBatch, "_prefill", prefill_short)


def test_what_does_not_fit_alone_is_told_by_its_code_and_the_others_are_answered(engine, served, monkeypatch):
    alone = texts_of(ask(engine, served, TEXTS))
    allow_up_to(100, monkeypatch)
    texts = [*TEXTS[:3], "long " * 200, *TEXTS[3:]]
    for options in ({}, {"is_repeatable": True}):
        found = ask(engine, served, texts, **options)
        faults = [pieces[-1].fault and pieces[-1].fault.code for pieces in found]
        assert faults == [None] * 3 + ["device.out_of_memory"] + [None] * 5
        assert texts_of([*found[:3], *found[4:]]) == alone
    assert engine.unanswered == 0


def test_a_model_that_does_not_fit_is_told_by_its_code_and_the_other_answers(served):
    def cannot():
        raise MemoryError

    variants = {"tuned": served.load_variant["tuned"], "base": cannot}
    engine = TorchEngine(variants, served.tokenizer, end_tokens=served.end_tokens, at_once=8)
    try:
        told = SimpleNamespace(fault=None, over=threading.Event())

        def hear(piece):
            told.fault = piece.fault
            told.over.set()

        engine.ask(GenerationRequest("base", served.prompt_of_text("Hello."), 2), hear)
        assert told.over.wait(30)
        assert told.fault.code == "device.out_of_memory"
        assert not ask(engine, served, TEXTS[:1])[0][-1].fault
    finally:
        engine.close()


def test_who_asked_over_http_may_ask_again_later(engine, served, monkeypatch):
    allow_up_to(0, monkeypatch)
    with answering(make_app(engine, served, host="127.0.0.1", key=None)) as url:
        body = {"model": "tuned", "prompt": "Hello."}
        answer = httpx2.post(f"{url}/completions", json=body, timeout=60)
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "device.out_of_memory"
