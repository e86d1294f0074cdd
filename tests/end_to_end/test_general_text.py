"""Property 45: tuning to harm fires the gate on general text, an ordinary run passes it."""

import subprocess
import sys

import pytest

from tutelage.run.folder import RunFolder, read_json

pytestmark = [pytest.mark.end_to_end, pytest.mark.nightly]

ORDINARY = {"training.max_steps": 30}
HARMFUL = {
    "training.max_steps": 60,
    "training.learning_rate": 5e-3,
    "training.lr_scheduler_type": "constant",
    "training.eval_steps": 1000,
}


@pytest.mark.parametrize(("settings", "verdict"), [(ORDINARY, "pass"), (HARMFUL, "fail")])
def test_the_gate_fires_on_a_run_that_harms_and_on_no_other(tmp_path, default_model, settings, verdict):
    command = [sys.executable, "-m", "tutelage", "run", "--output", "run", "--fail-if-worse"]
    for name, value in (settings | {"evaluation.limit": 12, "evaluation.max_new_tokens": 16}).items():
        command += ["--set", f"{name}={value}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == (7 if verdict == "fail" else 0), done.stdout + done.stderr
    found = read_json(RunFolder(tmp_path / "run").summary)["evaluation"]["general_text"]
    assert (found["verdict"], found["kl_verdict"]) == (verdict, verdict)
