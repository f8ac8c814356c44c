"""The GPU as a device to time on: its logic on a stand-in for torch.cuda, and on a GPU where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from addercost.errors import ArgumentError
from addercost.measure.devices import cuda as module
from addercost.measure.devices import cuda_availability
from addercost.measure.devices.cuda import CudaDevice
from addercost.measure.devices.cuda_availability import usable_device
from addercost.measure.devices.cuda_kernels import kernel_times
from addercost.measure.devices.device import Condition, Energy, KernelTime, TimingDevice
from addercost.measure.devices.nvml import Nvml
from tests.measure.fake_cuda import FakeCuda, FakeNvml

NUMBERS = {
    "nvmlDeviceGetClockInfo": 1755,
    "nvmlDeviceGetMaxClockInfo": 1980,
    "nvmlDeviceGetTemperature": 41,
    "nvmlDeviceGetPowerUsage": 312_500,
    "nvmlDeviceGetEnforcedPowerLimit": 700_000,
    "nvmlDeviceGetCurrentClocksThrottleReasons": 0x1 | 0x4 | 0x20,
    "nvmlDeviceGetTotalEnergyConsumption": 1_000_000,
}


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    monkeypatch.setattr(cuda_availability, "first_operation", lambda cuda, device: None)
    fake = FakeCuda()
    monkeypatch.setattr(module, "time", fake.time)
    return fake


@pytest.fixture
def device(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    made = CudaDevice(cuda, Nvml("00-fake", FakeNvml(dict(NUMBERS))))

    def flush() -> None:
        cuda.flushes += 1
        cuda.run(1.0)

    monkeypatch.setattr(made, "_flush", flush)
    yield made


def test_it_is_a_device_and_says_what_it_is(device: Any) -> None:
    checked: TimingDevice = device
    facts = checked.facts
    assert (facts.kind, facts.name, facts.cache_bytes) == ("cuda", "Fake H200", 60 << 20)
    assert facts.environment["compute capability"] == "9.0"
    assert facts.environment["driver"] == "580.1"
    assert facts.environment["highest clock"] == "1980 MHz"
    assert facts.environment["power limit"] == "700 W"


def test_a_warm_sample_is_one_region_of_many_calls(cuda: FakeCuda, device: Any) -> None:
    assert device.sample(lambda: cuda.run(2e-6), 10, cold=False) == pytest.approx(2e-6)
    assert cuda.flushes == 0


def test_a_cold_sample_flushes_before_every_call_and_outside_of_its_time(cuda: FakeCuda, device: Any) -> None:
    assert device.sample(lambda: cuda.run(2e-6), 3, cold=True) == pytest.approx(2e-6)
    assert cuda.flushes == 3


def test_the_flush_is_twice_the_l2(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    made = CudaDevice(cuda, Nvml("00-fake", FakeNvml({})))
    asked = []
    monkeypatch.setattr(
        module.torch,
        "empty",
        lambda size, **kw: (asked.append(4 * size), SimpleNamespace(zero_=lambda: None))[1],
    )
    made._flush()
    made._flush()
    assert asked == [2 * (60 << 20)]


@pytest.mark.parametrize("calls", [1, 10])
@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_launching_the_first_call_is_no_part_of_a_sample(
    cuda: FakeCuda, device: Any, calls: int, cold: bool
) -> None:
    """The device has waited since the last sample: without a head start it waits on inside the region."""
    cuda.synchronize()
    assert device.sample(lambda: cuda.run(60e-6, launch_s=20e-6), calls, cold) == pytest.approx(60e-6)


@pytest.mark.parametrize("device_s", [10e-6, 1e-3], ids=["launch-bound", "long"])
def test_a_call_is_recorded_and_replayed(cuda: FakeCuda, device: Any, device_s: float) -> None:
    """Long ones too: of two sides, one recorded and one not, the second would be timed with its launch."""
    made = device.prepare(lambda: cuda.run(device_s, launch_s=40e-6))
    assert cuda.captures == 1
    before = cuda.replays
    assert device.sample(made, 4, cold=False) == pytest.approx(device_s)
    assert cuda.replays == before + 4
    assert cuda.now_on is cuda.default_stream


def test_launches_that_take_long_are_part_of_the_call(cuda: FakeCuda, device: Any) -> None:
    def step() -> None:
        cuda.run(1e-4, launch_s=2 * module.LONGEST_LAUNCH_S)

    assert device.prepare(step) is step
    assert cuda.captures == 0


def run_twice(module: Any, seconds: float) -> None:
    """As a training step does, which is a call on a model."""
    module(seconds)
    module(seconds)


def test_a_whole_model_is_timed_with_its_launches(cuda: FakeCuda, device: Any) -> None:
    class Layer(torch.nn.Module):
        def forward(self, seconds: float) -> None:
            cuda.run(seconds)

    layer, model = Layer(), Layer()
    model.inner = torch.nn.ReLU()
    for called, recorded in ((layer, True), (model, False)):
        for call in (partial(called, 10e-6), partial(run_twice, called, 10e-6)):
            assert (device.prepare(call) is not call) == recorded


def test_a_call_that_waits_for_the_device_is_not_recorded(cuda: FakeCuda, device: Any) -> None:
    def call() -> None:
        cuda.run(10e-6, waits=True)

    assert device.prepare(call) is call
    assert cuda.captures == 0
    assert cuda.sync_debug_mode == 0


@pytest.mark.parametrize("error", [RuntimeError, MemoryError], ids=["refused", "out of memory"])
def test_a_failed_recording_falls_back_to_the_call(cuda: FakeCuda, device: Any, error: Any) -> None:
    """torch leaves the recording's stream current then: what is timed next must not run there."""
    cuda.capture_fails = error is RuntimeError

    def call() -> None:
        cuda.run(10e-6)
        if cuda.capturing is not None:
            raise error("out of memory")

    assert device.prepare(call) is call
    assert cuda.captures == 1
    assert cuda.now_on is cuda.default_stream
    assert device.sample(call, 2, cold=False) == pytest.approx(10e-6)


def test_a_limit_that_cannot_be_measured_is_none(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton's own errors are no RuntimeError, and a run without its first limit is worth having."""
    from triton import TritonError

    from addercost.kernels.gpu import limits

    def fails(name: str) -> float:
        raise TritonError("out of resources")

    monkeypatch.setattr(limits, "limit_per_second", fails)
    module._limit.cache_clear()
    assert device.limit("memory") is None
    module._limit.cache_clear()


def test_a_profiler_that_fails_costs_no_row(device: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(**options: Any) -> None:
        raise AssertionError("another profiler is at work")

    monkeypatch.setattr(torch.profiler, "profile", fails)
    assert device.kernels(lambda: None) == ()


def test_conditions_come_from_the_driver(device: Any) -> None:
    condition = device.condition()
    assert condition.clock_hz == 1755e6
    assert (condition.temperature_c, condition.power_w) == (41, 312.5)
    # Bit 1 says that the GPU is idle, which is no throttling.
    assert condition.throttle_reasons == ("power cap", "software thermal slowdown")


def test_a_gpu_without_counters_has_no_conditions(cuda: FakeCuda) -> None:
    bare = Nvml("GPU-00-fake", FakeNvml({}))
    assert bare.energy_j() is bare.clock_hz() is bare.power_w() is bare.temperature_c() is None
    assert bare.throttle_reasons() == ()
    assert CudaDevice(cuda, bare).energy(lambda: cuda.run(1e-3), 0.01) is None


@pytest.mark.parametrize(
    ("library", "why"),
    [
        pytest.param(
            None, "none: nvidia-ml-py is not installed; pip install 'addercost[gpu]'", id="no package"
        ),
        pytest.param(FakeNvml({}, broken=True), "none: NVML reports: Driver Not Loaded", id="no driver"),
        pytest.param(FakeNvml({}, known="GPU-other"), "none: NVML reports: Not Found", id="another GPU"),
    ],
)
def test_where_counters_cannot_be_read_the_environment_says_why(
    cuda: FakeCuda, library: Any, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`None` in sys.modules makes the import fail, as where the package is missing."""
    monkeypatch.setitem(sys.modules, "pynvml", library)
    made = CudaDevice(cuda)
    assert made.facts.environment["counters"] == why
    assert made.condition() == Condition()
    assert made.energy(lambda: cuda.run(1e-3), 0.01) is None


def test_the_package_has_what_is_read() -> None:
    """The fake's names are those of nvidia-ml-py."""
    import pynvml

    names = [name for name in dir(FakeNvml) if name.lower().startswith("nvml")]
    for name in (*names, *NUMBERS):
        assert hasattr(pynvml, name), name
    assert (FakeNvml.NVML_CLOCK_SM, FakeNvml.NVML_TEMPERATURE_GPU) == (
        pynvml.NVML_CLOCK_SM,
        pynvml.NVML_TEMPERATURE_GPU,
    )


def test_energy_is_the_counters_difference_and_its_step(
    cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = FakeNvml(dict(NUMBERS))
    made = CudaDevice(cuda, Nvml("00-fake", library))
    moments = iter([0.0, 0.1, 0.2, 0.3, 9.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(moments))
    calls = 0

    def call() -> None:
        """10 ms at 500 W: 5 J, shown by a counter that moves every other call."""
        nonlocal calls
        cuda.run(10e-3)
        calls += 1
        library.numbers["nvmlDeviceGetTotalEnergyConsumption"] = 1_000_000 + calls // 2 * 10_000

    # One call to size the chunks (one call each), then three chunks: the counter moves by 20 J at most.
    found = made.energy(call, 1.0)
    assert calls == 4
    assert found == Energy(20 / 3, 10 / 3)


def test_peak_is_what_the_call_adds(cuda: FakeCuda, device: Any) -> None:
    cuda.peak = 10**9

    def call() -> None:
        cuda.peak = cuda.allocated + 4321

    assert device.peak_bytes(call) == 4321


def test_free_memory_counts_what_the_allocator_holds_unused(device: Any) -> None:
    assert device.free_bytes() == 70_000 + (5000 - 1000)


def test_kernels_by_name_per_call() -> None:
    def event(name: str, us: float, kind: str = "DeviceType.CUDA", span: bool = False) -> Any:
        took = SimpleNamespace(elapsed_us=lambda: us)
        return SimpleNamespace(name=name, device_type=kind, time_range=took, is_user_annotation=span)

    events = [event("conv", 5.0), event("conv", 7.0), event("fill", 2.0), event("fill", 2.0)]
    events += [event("aten::conv2d", 99.0, "DeviceType.CPU"), event("cudaLaunchKernel", 9.0)]
    events += [event("Optimizer.step#SGD.step", 99.0, span=True)]
    assert kernel_times(events, 2) == (KernelTime("conv", 6e-6, 1.0), KernelTime("fill", 2e-6, 1.0))


@pytest.mark.parametrize(
    ("why", "said"),
    [
        pytest.param(
            "The NVIDIA driver on your system is too old", "driver on your system is too old", id="old"
        ),
        pytest.param("Found no NVIDIA driver on your system", "no NVIDIA driver", id="none"),
    ],
)
def test_without_a_gpu_the_drivers_words_are_passed_on(
    why: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init() -> None:
        raise RuntimeError(f"{why}\nmore lines")

    monkeypatch.setattr(torch.version, "cuda", "13.0")
    absent = SimpleNamespace(is_available=lambda: False, init=init)
    with pytest.raises(ArgumentError, match=said) as caught:
        usable_device(absent)
    assert "\n" not in str(caught.value)


def test_a_gpu_that_torch_was_not_built_for(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(cuda: Any, device: Any) -> None:
        raise RuntimeError("no kernel image is available for execution on the device")

    monkeypatch.setattr(cuda_availability, "first_operation", fails)
    with pytest.raises(
        ArgumentError, match=r"cannot use the Fake H200 \(compute capability 9.0\): no kernel"
    ):
        CudaDevice(cuda)


def test_the_profiler_takes_the_arguments_it_is_given() -> None:
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU], acc_events=True) as profiled:
        torch.ones(3).add(1)
    assert kernel_times(profiled.events(), 1) == ()


ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@ON_A_GPU
def test_on_a_gpu() -> None:
    made = CudaDevice()
    x = torch.randn(512, 512, device="cuda")
    before = (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32)

    def call() -> torch.Tensor:
        return torch.relu(x + 1) * 2

    recorded = made.prepare(call)
    assert recorded is not call, "three kernels that wait for nothing"
    assert 0 < made.sample(recorded, 20, cold=False) < 1e-3
    assert 0 < made.sample(recorded, 3, cold=True) < 1e-3
    assert made.prepare(lambda: x.sum().item()) is not None
    assert made.peak_bytes(call) >= x.numel() * 4
    names = [kernel.name for kernel in made.kernels(call)]
    assert sum(kernel.launches for kernel in made.kernels(call)) == 3, names
    condition = made.condition()
    assert condition.clock_hz is None or 1e8 < condition.clock_hz < 5e9
    assert made.free_bytes() > 0
    energy = made.energy(call, 0.3)
    assert energy is None or 0 < energy.joules < 1
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before
    made.close()


@pytest.mark.gpu
@ON_A_GPU
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_our_layers_are_recorded_on_a_gpu(dtype: torch.dtype) -> None:
    """A replay leaves what the call returns, and a layer that waits for the device is left as it is."""
    from addercost.layers import AdderConv2d, BinaryConv2d

    made, kept = CudaDevice(counts_energy=False), []
    x = torch.randn(2, 16, 14, 14, device="cuda").to(dtype).contiguous(memory_format=torch.channels_last)
    adder, binary = (kind(16, 24, 3, padding=1).cuda().to(dtype) for kind in (AdderConv2d, BinaryConv2d))

    def call() -> None:
        kept[:] = [adder(x)]

    with torch.no_grad():
        recorded = made.prepare(call)
        assert recorded is not call
        kept[0].zero_()
        recorded()
        torch.testing.assert_close(kept[0], adder(x))
        waits = partial(binary, x)
        assert made.prepare(waits) is waits
    assert torch.randn(3, device="cuda").isfinite().all(), "the device's generator still works"


@pytest.mark.gpu
@ON_A_GPU
@pytest.mark.parametrize(
    "name", ["mac", "adder", "adder_fp16", "adder_u8", "xnor", "mac_tf32", "mac_bf16", "mac_int8", "memory"]
)
def test_every_limit_is_measured_on_a_gpu(name: str) -> None:
    found = CudaDevice().limit(name)
    assert found is not None
    assert 1e11 < found < 1e17
