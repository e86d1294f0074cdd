"""Each verb of a run has the options that it honours, and no other."""

import re

import pytest

OF_A_RUN = {"--target", "--output", "--set", "--skip-checksums", "--debug"}
OF_A_STAGE = {*OF_A_RUN, "--dry-run", "--overwrite"}
OF_DATA = {"--data", "--prompt", "--split", "--map", "--instruction"}
OF_JUDGES = {"--judge", "--labels", "--fail-if-worse"}
OPTIONS = {
    "run": {*OF_A_STAGE, *OF_DATA, *OF_JUDGES, "--fresh", "--accept-changes"},
    "prepare": {*OF_A_STAGE, *OF_DATA},
    "train": {*OF_A_STAGE, "--accept-changes"},
    "evaluate": {*OF_A_STAGE, *OF_JUDGES, "--checkpoint"},
    "report": {*OF_A_RUN, "--dry-run"},
    "chat": OF_A_RUN,
    "generate": {*OF_A_RUN, "--dry-run", "--instruction", "--input", "--base", "--temperature", "--top-k", "--top-p"}
    | {"--seed"},
    "classify": {*OF_A_RUN, "--dry-run", "--file", "--map", "--threshold"},
    "serve": {*OF_A_RUN, "--dry-run", "--host", "--port", "--at-once", "--engine", "--context"},
    "export": {"--run-folder", "--to", "--quantization", "--output", "--overwrite", "--dry-run"}
    | {"--skip-checksums", "--debug"},
    "verify": {"--run-folder", "--from-step", "--skip-checksums", "--debug"},
}  # fmt: skip


@pytest.mark.parametrize("verb", OPTIONS)
def test_a_verb_lists_the_options_that_it_honours(tutelage, verb):
    shown = tutelage(verb, "--help").out
    # Each option begins a line of the box, behind a star where it has to be given, and its name by position.
    listed = re.findall(r"^│ (?:\* +|  +)?(?:[A-Z-]+ )?(--[a-z-]+)", shown, flags=re.MULTILINE)
    assert set(listed) == OPTIONS[verb]
