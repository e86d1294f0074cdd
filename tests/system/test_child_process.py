"""A process that another one began does not outlive it, wherever it was when the other was killed."""

import subprocess
import sys

import pytest

from tutelage.system.child_process import script_command

CHILD = """
import sys, threading
from pathlib import Path
from tutelage.system.child_process import end_with_parent
end_with_parent(int(sys.argv[1]), Path(sys.argv[2]))
print("begun", flush=True)
threading.Event().wait()
"""
PARENT = """
import os, subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], str(os.getpid()), sys.argv[2]])
"""


def test_a_process_ends_with_its_parent_and_clears_its_folder_away(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "job.json").write_text("{}")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, scratch], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"begun\n"
    assert scratch.exists()
    parent.kill()
    assert parent.communicate(timeout=60)[0] == b""  # which ends when the child has let go of it, too
    assert not scratch.exists()


def test_a_process_whose_parent_is_gone_before_it_looks_ends_at_once(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(gone.pid), str(tmp_path / "none")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert child.returncode == 1


@pytest.fixture
def script(tmp_path):
    (tmp_path / "beside.py").write_text("ANSWER = 42\n")
    path = tmp_path / "script.py"
    path.write_text("import sys, beside\nprint(__name__, beside.ANSWER, *sys.argv[1:], flush=True)\n")
    return path


def test_a_script_runs_as_if_it_were_started_by_its_path(script):
    command = [*script_command(script), "--one", "two"]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True).stdout
        == "__main__ 42 --one two\n"
    )


def test_a_script_ends_with_the_process_that_began_it(script):
    script.write_text("import time\nprint('begun', flush=True)\ntime.sleep(600)\n")
    program = (
        "import subprocess, sys\nfrom pathlib import Path\n"
        "from tutelage.system.child_process import script_command\n"
        "subprocess.run(script_command(Path(sys.argv[1])))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program, script], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"begun\n"
    parent.kill()
    assert parent.communicate(timeout=60)[0] == b""
