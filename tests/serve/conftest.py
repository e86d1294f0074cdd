import os
import shutil

import pytest
from support.rows import alpaca_values, write_rows
from support.served_run import serving
from support.tiny_tokenizer import write_tiny_model

from tutelage.cli import main as command_line
from tutelage.run.folder import RunFolder


@pytest.fixture(scope="session")
def tuned_run(tmp_path_factory):
    """A finished run of a tiny model, for tests that only read it."""
    place = tmp_path_factory.mktemp("served")
    model = write_tiny_model(place / "tiny")
    data = write_rows(place / "my.json", alpaca_values(60))
    settings = [
        f"model.name_or_path={model}",
        "training.max_steps=3",
        "training.dtype=float32",
        "training.learning_rate=0.01",
        "adapter.r=2",
        "evaluation.limit=4",
        "data.prompt_template=alpaca",
        "evaluation.max_new_tokens=12",
    ]
    words = [
        "run",
        "--data",
        data,
        "--output",
        place / "run",
        *(w for one in settings for w in ("--set", one)),
    ]
    before = os.environ.get("TUTELAGE_CACHE")
    os.environ["TUTELAGE_CACHE"] = str(place / "cache")
    try:
        with pytest.raises(SystemExit) as left:
            command_line.main([str(word) for word in words])
    finally:
        if before is None:
            del os.environ["TUTELAGE_CACHE"]
        else:
            os.environ["TUTELAGE_CACHE"] = before
    assert not left.value.code
    return RunFolder(place / "run")


@pytest.fixture(scope="session")
def exported_run(tuned_run, tmp_path_factory):
    """The same run, with a verified GGUF export of its whole numbers."""
    pytest.importorskip("xllamacpp", reason="xllamacpp (llama.cpp) has no build here", exc_type=ImportError)
    place = tmp_path_factory.mktemp("exported") / "run"
    shutil.copytree(tuned_run.root, place)
    words = ["export", str(place), "--to", "gguf", "--quantization", "f32"]
    with pytest.raises(SystemExit) as left:
        command_line.main(words)
    assert not left.value.code
    return RunFolder(place)


@pytest.fixture(scope="session", params=["torch", "llama.cpp"])
def running(request):
    run = request.getfixturevalue("tuned_run" if request.param == "torch" else "exported_run")
    with serving(run, engine=request.param) as one:
        yield one
