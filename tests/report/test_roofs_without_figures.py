"""Rooflines on tables that lack figures: what has none is left out, and the reader is told."""

import pytest

from addercost.analysis.rooflines import drawn_roofline
from addercost.api import trace_model
from addercost.arithmetic import Arithmetic
from addercost.cost.target_registry import load_target
from addercost.counts.model import count
from addercost.report.plots.roofline import draw
from addercost.report.plots.style import PlotOptions
from addercost.results.profile import Profile
from addercost.results.report import network_name

TABLE = """
schema = 1
kind = "cpu"
title = "Without bits"
vendor = "me"
isa = "riscv64"
issue_width_uops = 2
[part]
name = "a part"
base_clock_hz = 1_000_000_000
memory_bandwidth_bytes_per_s = 4_000_000_000
source = "own"
quality = "specification"
[sources.own]
title = "own"
licence = "facts"
[[instructions]]
source = "own"
quality = "measured"
table = '''
op         form    vector_bits  lanes  latency_cycles  reciprocal_throughput_cycles  instruction
fp32_fma   vector  128          4      4               1                             fma
int32_add  scalar  32           1      1               1                             add
'''
"""


@pytest.fixture(scope="module")
def profiles():
    trace = trace_model("zoo:lenet5-bn")
    return [Profile(count(trace, "macs", arithmetic=item)) for item in (Arithmetic.MAC, Arithmetic.XNOR)]


def roofline_on(tmp_path, profiles, table):
    file = tmp_path / "mine.toml"
    file.write_text(table)
    return drawn_roofline(profiles, load_target(str(file)))


def test_layers_and_roofs_without_figures_are_left_out(tmp_path, profiles):
    found = roofline_on(tmp_path, profiles, TABLE)
    # Four multiply-adds a cycle at 1 GHz.
    convolutions, binary = map(network_name, profiles)
    assert found.peaks_sites_per_s == {convolutions: 4e9}
    assert {point.arithmetic for point in found.points} == {convolutions}
    layers = sum(bool(layer.mac_sites) for layer in profiles[1].counts.layers)
    said = f"{layers} layers of {binary} are left out: mine has no figure for"
    assert any(text.startswith(said) for text in found.assumptions)


@pytest.mark.parametrize("kept", [True, False], ids=["some-roofs", "no-roof"])
def test_such_a_roofline_is_drawn(tmp_path, profiles, kept):
    table = TABLE if kept else TABLE.replace("fp32_fma ", "fp32_max ")
    found = roofline_on(tmp_path, profiles, table)
    assert bool(found.points) == kept
    axes = draw(found, PlotOptions()).figure.axes[0]
    texts = [text.get_text() for text in axes.texts]
    assert ("no layer has input-weight sites and a figure for all of its operations" in texts) != kept
