"""llama.cpp answers only from a file that was verified; whatever is wrong with it, the reason is told."""

import json
import math
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
from support.sessions import trained_in
from transformers import PreTrainedTokenizerFast

from tutelage.codes import Message
from tutelage.errors import RecipeError
from tutelage.model.saved_tokenizer import KeptTokenizer, read_kept_tokenizer
from tutelage.run.folder import ExportFolder, RunFolder
from tutelage.serve.engines import load_engine
from tutelage.serve.exported import VerifiedFile, verified_file
from tutelage.serve.generation_requests import GenerationRequest
from tutelage.serve.llama_engine import LlamaEngine
from tutelage.serve.torch_engine import TorchEngine


@pytest.fixture
def copied(exported_run, tmp_path):
    """A run with an export, to be damaged."""
    shutil.copytree(exported_run.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def opened(run, wanted):
    made = load_engine(wanted, trained_in(run), run.export, context=64, at_once=1)
    made.engine.close()
    return made


def test_llama_cpp_answers_where_there_is_a_verified_export(exported_run):
    file = verified_file(exported_run.export, exported_run.name)
    assert isinstance(file, VerifiedFile)
    assert file.answers_equal == file.prompts > 0
    made = opened(exported_run, "auto")
    assert isinstance(made.engine, LlamaEngine)
    assert f"llama.cpp serves `tuned` from {file.path}" in made.description
    assert made.served.context == 64


def test_torch_answers_where_there_is_none_or_where_that_is_asked_for(tuned_run, exported_run):
    assert isinstance(opened(exported_run, "torch").engine, TorchEngine)
    made = opened(tuned_run, "auto")
    assert isinstance(made.engine, TorchEngine)
    assert (
        f"there is no GGUF export; create one with `tutelage export {tuned_run.root} --to gguf`"
        in made.description
    )
    with pytest.raises(RecipeError, match=r"llama\.cpp cannot serve .* there is no GGUF export"):
        opened(tuned_run, "llama.cpp")


def other_bytes(run):
    file = run.export / "gguf" / "model-f32.gguf"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def no_file(run):
    (run.export / "gguf" / "model-f32.gguf").unlink()


def said(**changed):
    def change(run):
        path = ExportFolder(run.export).verification
        found = json.loads(path.read_text(encoding="utf-8"))
        found["gguf"] |= changed
        path.write_text(json.dumps(found), encoding="utf-8")

    return change


def cut_short(run):
    path = ExportFolder(run.export).verification
    path.write_bytes(path.read_bytes()[:100])


def nothing_said(run):
    ExportFolder(run.export).verification.write_text("[]", encoding="utf-8")


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (other_bytes, "is not the file that was verified"),
        (no_file, "is not the file that was verified"),
        (said(verified_with="transformers' GGUF loader"), "verified without llama.cpp"),
        (said(answers_equal="many"), "does not record which file was verified"),
        (said(sha256={}), "does not record which file was verified"),
        (said(prompts=math.inf), "does not record which file was verified"),
        (cut_short, "does not record which file was verified"),
        (nothing_said, "does not record which file was verified"),
    ],
)
def test_a_file_that_was_not_verified_is_not_served(copied, damage, told):
    damage(copied)
    reason = verified_file(copied.export, copied.name)
    assert told in reason
    assert f"`tutelage export {copied.root} --to gguf --overwrite`" in reason


def test_rounded_weights_are_not_taken_for_those_of_the_run(copied):
    said(format="q8_0", sha256={"model-q8_0.gguf": ""})(copied)
    assert "stored as q8_0, so its answers only approximate the run's" in verified_file(
        copied.export, copied.name
    )


class Scripted:
    """Stands where llama.cpp would, and says what it was told to."""

    at_once = 1

    def __init__(self, said):
        self.said = said

    def complete(self, prompt, hear, **_):
        for part in self.said:
            if isinstance(part, Exception):
                raise part
            hear(part)


def pieces_of(said, *, stop=()):
    """Return what who asked is told, to the last piece."""
    found, is_over = [], threading.Event()

    def tell(piece):
        found.append(piece)
        if piece.finish_reason:
            is_over.set()

    engine = LlamaEngine(Scripted(said), otherwise=SimpleNamespace(unanswered=0, close=lambda: None))
    engine.ask(GenerationRequest("tuned", (1, 2), 9, stop=stop), tell)
    assert is_over.wait(30)
    engine.close()
    assert engine.unanswered == 0
    return found


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ([RuntimeError("no such weights")], "RuntimeError: no such weights"),
        ([{"error": {"message": "the context is full"}}], "the context is full"),
        ([], "llama.cpp ended an answer without a finish reason"),
    ],
)
def test_who_asks_hears_of_an_answer_that_fails(said, told):
    [piece] = pieces_of(said)
    assert (piece.finish_reason, piece.fault) == ("error", Message("serve.engine_failed", told))


def part(text, finish_reason=None, completion_tokens=None):
    usage = {} if completion_tokens is None else {"usage": {"completion_tokens": completion_tokens}}
    return {"choices": [{"text": text, "finish_reason": finish_reason}]} | usage


@pytest.mark.parametrize(
    ("reason", "stop", "tokens"),
    [
        ("stop", (), 2),  # the third was the end of turn, which the other engine does not count
        ("length", (), 3),
        ("stop", ("no more",), 3),
    ],
)
def test_the_end_of_turn_is_not_counted(reason, stop, tokens):
    found = pieces_of([part("one "), part("two"), part("", reason, 3)], stop=stop)
    assert [piece.text for piece in found] == ["one ", "two", ""]
    assert (found[-1].finish_reason, found[-1].tokens) == (reason, tokens)


def test_what_renders_is_the_kept_tokenizer_only_where_it_is_the_one_of_the_rows(copied):
    assert isinstance(opened(copied, "llama.cpp").served.tokenizer, KeptTokenizer)
    file = copied.model / "tokenizer.json"
    told = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = told["model"]["vocab"]
    vocabulary["x"], vocabulary["y"] = vocabulary["y"], vocabulary["x"]
    file.write_text(json.dumps(told), encoding="utf-8")
    served = opened(copied, "llama.cpp").served
    assert isinstance(served.tokenizer, PreTrainedTokenizerFast)
    assert served.tokenizer.encode("x") != read_kept_tokenizer(copied.model).encode("x")


def test_a_server_that_llama_cpp_answers_for_imports_neither_torch_nor_transformers(exported_run):
    script = f"""
import sys
from pathlib import Path
from tutelage.config.recipe_file import load
from tutelage.run.folder import RunFolder
from tutelage.serve.app import make_app
from tutelage.serve.engines import load_engine
from tutelage.stages.session import Session

run = RunFolder(Path({str(exported_run.root)!r}))
loaded = load(run.recipe, {{}}, [])
session = Session(run, loaded)
session.inputs.locate(beside=())
made = load_engine("llama.cpp", session.trained_on_same_base(), run.export, context=64, at_once=1)
made.engine.close()
print({{"torch", "transformers"}} & {{*sys.modules}} or "neither")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "neither"
