"""Ctrl-C that stops a part of the work alone, and signals that mean the whole process."""

import signal

import pytest

from tutelage.system.interruption import Interruption


@pytest.mark.parametrize(("number", "is_forgiven"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_ctrl_c_alone_can_be_forgiven(number, is_forgiven):
    interruption = Interruption()
    interruption.requested, interruption.by = True, number
    assert interruption.forgive_ctrl_c() is is_forgiven
    assert interruption.requested is not is_forgiven
