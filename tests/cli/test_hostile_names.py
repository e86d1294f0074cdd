"""Properties 48, 50 and 56: folders, names and addresses that reach for more than they are given."""

import json
import os
import shutil
import socket
from contextlib import suppress
from pathlib import Path

import pytest
from support.command_line import contents
from support.rows import alpaca_values, write_rows

CANARY = "canary-50c1e8"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in that is one of several things in another, so that what leaves it is seen."""
    place = tmp_path / "outer" / "place"
    place.mkdir(parents=True)
    monkeypatch.chdir(place)
    monkeypatch.setenv("TUTELAGE_CACHE", str(place / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for call in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, call, lambda *_, **__: pytest.fail("it connected"))
    write_rows(place / "rows.json", alpaca_values(60))
    return place


@pytest.fixture
def copy(model, place):
    """A model's folder, to be made hostile."""
    return shutil.copytree(model, place / "copy")


def prepare(tutelage, model, output="run", *words):
    settings = ["--set", "data.source=rows.json", "--set", f"model.name_or_path={model}"]
    return tutelage("prepare", "--output", output, *settings, *words)


def add_to(name, **keys):
    def make_hostile(folder, ran):
        path = folder / name
        held = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps({**held, **keys}))

    return make_hostile


def code_beside(folder, ran):
    (folder / "modeling_tiny.py").write_text(f"open({str(ran)!r}, 'w')")


def code_in_a_folder(folder, ran):
    (folder / "inner").mkdir()
    (folder / "inner" / "modeling_tiny.py").write_text(f"open({str(ran)!r}, 'w')")


def pickled_weights(folder, ran):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(f"cposix\nsystem\n(S'touch {ran}'\ntR.".encode())


def index_that_leads_out(folder, ran):
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    add_to("model.safetensors.index.json", weight_map={"a": "../elsewhere.safetensors"})(folder, ran)


def link_out(name):
    def make_hostile(folder, ran):
        (folder / name).unlink(missing_ok=True)
        secret = folder.parent / "secret"
        secret.write_text(CANARY)
        (folder / name).symlink_to(secret)

    return make_hostile


def header(content):
    def make_hostile(folder, ran):
        (folder / "model.safetensors").write_bytes(content)

    return make_hostile


def overlapping(folder, ran):
    written = json.dumps(
        {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in ("a", "b")}
    ).encode()
    header(len(written).to_bytes(8, "little") + written + bytes(8))(folder, ran)


HOSTILE = {
    "auto_map": add_to("config.json", auto_map={"AutoModelForCausalLM": "modeling_tiny.Model"}),
    "auto_map of the tokenizer": add_to(
        "tokenizer_config.json", auto_map={"AutoTokenizer": ["tok.Tok", None]}
    ),
    "trust_remote_code inside": add_to("config.json", text_config={"inner": [{"trust_remote_code": True}]}),
    "custom_pipelines": add_to("config.json", custom_pipelines={"x": {"impl": "code.Pipe"}}),
    "is code, and": code_beside,
    "code in a folder": code_in_a_folder,
    "pickled weights": pickled_weights,
    "an index that leads out": index_that_leads_out,
    "a template that is a link": link_out("chat_template.jinja"),
    "a tokenizer that is a link": link_out("tokenizer.json"),
    "weights that are a link": link_out("model.safetensors"),
    "a header without end": header((2**63).to_bytes(8, "little") + b"{}"),
    "a header of a gigabyte": header((2**30).to_bytes(8, "little") + b"{}"),
    "tensors over each other": overlapping,
}


@pytest.mark.parametrize("make_hostile", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_model_folder_is_refused_before_anything_of_it_runs(tutelage, copy, place, make_hostile):
    """Property 48, through the whole command line: no code ran, and no secret came into the run."""
    ran = place / "it ran"
    make_hostile(copy, ran)
    outcome = tutelage(
        "run", "--data", "rows.json", "--output", "run", "--set", f"model.name_or_path={copy}",
        "--set", "training.max_steps=1", "--set", "training.dtype=float32",
    )  # fmt: skip
    assert outcome.code == 2, outcome
    assert outcome.err.count("error[") == 1
    assert str(copy) in outcome.err.replace("\n", "")
    assert "Traceback" not in outcome.err
    assert not ran.exists()
    assert files_that_hold(CANARY, place) <= {place / "secret"}
    assert CANARY not in outcome.out + outcome.err


def files_that_hold(text, folder):
    return {
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and text.encode() in path.read_bytes()
    }


def test_a_folder_of_the_hubs_client_is_taken_with_its_links(tutelage, copy, place):
    """And so is one whose links stay inside."""
    snapshot = place / "models--a--b" / "snapshots" / "c0ffee"
    blobs = place / "models--a--b" / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for path in copy.iterdir():
        path.rename(blobs / path.name)
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    assert prepare(tutelage, snapshot).code == 0
    (snapshot / "more.txt").symlink_to("config.json")
    assert prepare(tutelage, snapshot, "again").code == 0


OUTPUTS = [
    "../run", "a/../../run", "./run", "ru\u202en", "r\u00fcn", "\uff0e\uff0e\uff0frun", "run ", " run",
    "CON", "nul.txt", "COM1", "run:stream", "run.", "a\\b", "..\\run", "-run", "~run", "$HOME",
    "run\nrun", "run\trun", "x" * 255, "x" * 256, "a\0b", "",
]  # fmt: skip


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_run_writes_into_the_folder_that_was_named_and_nowhere_else(tutelage, model, place, output):
    """Property 50: whatever the name, on disk it is that one folder, or there is a message and nothing."""
    outer = place.parent.parent
    before = contents(outer)
    outcome = prepare(tutelage, model, f"--output={output}" if output.startswith("-") else output)
    after = contents(outer)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}  # of files
    wanted = None
    with suppress(ValueError):  # of the zero byte
        wanted = Path(os.path.normpath(place / output))
    if outcome.code:
        assert outcome.code == 2, outcome
        assert (outcome.err.count("error["), changed) == (1, set())
    else:
        strange = [name for name in changed if not is_within(outer / name, wanted)]
        assert strange == []
        assert (wanted / "data" / "train.jsonl").is_file()


def is_within(path, wanted):
    """Tell whether it is in the folder, or in the cache."""
    return path.is_relative_to(wanted) or "cache" in path.parts


@pytest.mark.parametrize(
    "setting",
    [
        "data.sha256=../../x",
        "evaluation.sets.../up.source=rows.json",
        "evaluation.sets./abs.source=rows.json",
        "evaluation.sets." + "x" * 65 + ".source=rows.json",
        "evaluation.sets.Con\u202e.source=rows.json",
        "model.name_or_path=../../no/such",
        "model.name_or_path=/no/such",
        "model.name_or_path=owner/../name",
        "model.name_or_path=owner/na\0me",
        "model.name_or_path=" + "x" * 5_000,
        "model.name_or_path=~nobody-here/model",
        "data.source=~nobody-here/rows.json",
        "model.name_or_path=o\uff0fw\uff0en/name",
    ],
)
def test_a_name_that_would_lead_elsewhere_is_refused_and_makes_no_file(tutelage, model, place, setting):
    before = contents(place.parent.parent)
    outcome = prepare(tutelage, model, "run", "--set", setting)
    assert outcome.code == 2, outcome
    assert outcome.err.count("error[") == 1
    assert contents(place.parent.parent) == before


SECRET_ADDRESSES = [
    f"https://somebody:{CANARY}@example.com/rows.json",
    f"https://{CANARY}@example.com/rows.json",
    f"https://example.com/rows.json?access_token={CANARY}",
    f"https://example.com/rows.json?a=b&X-Amz-Signature={CANARY}",
    f"https://example.com/rows.json?sig={CANARY}",
    f"https://example.com/rows.json?API-Key={CANARY}",
    f"https://[{CANARY}/rows.json",
]


@pytest.mark.parametrize("address", SECRET_ADDRESSES)
@pytest.mark.parametrize("words", [["prepare"], ["check"], ["prepare", "--dry-run"]], ids=" ".join)
def test_an_address_with_a_secret_is_refused_and_not_repeated(tutelage, place, model, words, address):
    """Property 56: it would stand in the recipe, on the screen and in the report; and nobody is connected to."""
    outcome = tutelage(
        *words, "--data", address, "--set", "data.sha256=" + "0" * 64, "--set", f"model.name_or_path={model}"
    )
    assert outcome.code == 2, outcome
    assert outcome.err.count("error[") == 1
    assert CANARY not in outcome.out + outcome.err
    assert files_that_hold(CANARY, place) == set()


def test_an_address_without_a_secret_may_be_repeated(tutelage, place):
    """What refuses is the secret, and no other part of an address."""
    outcome = tutelage("check", "--data", "https://example.com/rows.json?page=2")
    assert "https://example.com/rows.json?page=2 is a URL" in outcome.err


@pytest.mark.parametrize(
    "words",
    [
        ("evaluate", "run", "{}"),
        ("{}",),
        ("run", "--{}"),
        ("chat", "a", "b", "{}"),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("key", ["sk-canary-0123456789", "gsk_0123456789abcdefghij", "0123456789abcdef" * 2])
def test_a_key_in_the_place_of_another_word_is_not_repeated(tutelage, place, words, key):
    outcome = tutelage(*(word.format(key) for word in words))
    assert outcome.code == 2
    assert key not in outcome.out + outcome.err
    name = "no-such-run-of-mine"
    assert name in tutelage(*(word.format(name) for word in words)).err  # all else is
