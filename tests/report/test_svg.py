"""Charts are drawn in a process of their own, whose end is a fault by name and not the end of the run."""

import os
import signal

import pytest
import vl_convert

from tutelage.errors import MemoryExhaustedError
from tutelage.report import svg
from tutelage.report.svg import draw_svg

CHART = {"data": {"values": [{"x": 1, "y": 2}]}, "mark": "point", "encoding": {"x": {"field": "x"}}}


def test_a_chart_is_what_the_library_makes_of_it():
    assert draw_svg(CHART) == vl_convert.vegalite_to_svg(CHART, allowed_base_urls=[])


ENDS = [name for name in ("SIGTRAP", "SIGKILL", "SIGABRT") if hasattr(signal, name)]


@pytest.mark.parametrize("end", ENDS)
def test_a_drawing_that_ends_its_process_is_told_and_the_next_one_is_made(end):
    draw_svg(CHART)
    process = svg._process(os.getpid())
    os.kill(process.pid, getattr(signal, end))
    process.wait()
    with pytest.raises(MemoryExhaustedError) as told:
        draw_svg(CHART)
    assert told.value.code == "device.out_of_memory"
    assert draw_svg(CHART).startswith("<svg")


def test_a_chart_that_cannot_be_drawn_is_a_fault_of_ours():
    with pytest.raises(RuntimeError):
        draw_svg({"mark": "no such mark"})
