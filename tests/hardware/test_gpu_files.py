"""GPU files: complete, sourced, and consistent with each other."""

import pytest

from addercost.hardware import list_hardware, load_gpu

NAMES = [file.name for file in list_hardware(kind="gpu")]


def test_there_are_11_gpus():
    assert len(NAMES) == 11


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_has_a_source(name):
    gpu = load_gpu(name)
    assert gpu.memory_bandwidth_source in gpu.sources
    for figure in (*gpu.peaks, *gpu.rates, *gpu.latencies, *gpu.sequences):
        assert figure.source in gpu.sources


@pytest.mark.parametrize("name", [n for n in NAMES if load_gpu(n).rates])
def test_peak_rate_is_units_times_clock(name):
    """fp32 peak = SMs x results per clock x 2 operations x boost clock; the sources agree within 4 %."""
    gpu = load_gpu(name)
    (fma,) = (rate.results_per_clock_per_sm for rate in gpu.rates if rate.op == "fp32_fma")
    (peak,) = (peak.ops_per_s for peak in gpu.peaks if peak.op == "fp32 multiply-add")
    assert peak == pytest.approx(gpu.streaming_multiprocessors * fma * 2 * gpu.boost_clock_hz, rel=0.04)


def test_an_adder_element_takes_two_instructions_where_a_product_takes_one():
    kernels = {s.kernel: s for s in load_gpu("h200-sxm").sequences}
    assert kernels["fp32 acc += |a-b|"].instructions == 2
    assert kernels["fp32 acc += a*b"].instructions == 1


def test_no_rate_is_given_for_a_capability_the_guide_does_not_list():
    assert load_gpu("b200-sxm").rates == ()
