"""The fresh process of a verification does not outlive the export that began it."""

import subprocess
import sys

CHILD = """
import sys, threading
from pathlib import Path
from tutelage.export.reload import end_with_parent
end_with_parent(Path(sys.argv[1]))
print("begun", flush=True)
threading.Event().wait()
"""
PARENT = """
import subprocess, sys
subprocess.run([sys.executable, "-c", sys.argv[1], sys.argv[2]])
"""


def test_a_fresh_process_ends_with_its_parent_and_clears_its_folder_away(tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "job.json").write_text("{}")
    parent = subprocess.Popen([sys.executable, "-c", PARENT, CHILD, scratch], stdout=subprocess.PIPE)
    assert parent.stdout.readline() == b"begun\n"
    assert scratch.exists()
    parent.kill()
    assert parent.communicate(timeout=60)[0] == b""  # which ends when the child has let go of it, too
    assert not scratch.exists()
