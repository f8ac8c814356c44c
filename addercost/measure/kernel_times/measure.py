"""`addercost calibrate --kernels`: draws kernels, times them between references, and keeps every sample."""

from __future__ import annotations

import datetime
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from addercost.counts.kernel_calls import KernelCall
from addercost.errors import CheckFailedError, DataError
from addercost.hardware.kernel_times import (
    CHANNELS_LAST,
    COMPILED,
    CONTIGUOUS,
    EAGER,
    OFTEN,
    QUIET,
    Conditions,
    EarlierTimesError,
    KernelSample,
    KernelTimes,
    NetworkSample,
    read_kernel_times,
    to_json,
)
from addercost.hardware.this_machine import cache_sizes, processor_id
from addercost.measure.devices.process_memory import keep_freed_memory
from addercost.measure.kernel_times.draw import SHARES, Drawing, draw
from addercost.measure.kernel_times.draw_codes import draw_codes
from addercost.measure.kernel_times.draw_own import draw_own
from addercost.measure.kernel_times.last_level_cache import BEYOND_BYTES, LEAST_BYTES, share_of_cache
from addercost.measure.kernel_times.networks import RandomNetwork, random_networks, small_networks
from addercost.measure.kernel_times.replay import NotReplayableError
from addercost.measure.kernel_times.sweeper import Sweeper
from addercost.measure.kernel_times.timed_networks import (
    Chain,
    CompiledNetwork,
    FormattedNetwork,
    QuantizedNetwork,
    Timeable,
    separate_networks,
)
from addercost.measure.kernel_times.timing import timed_kernel
from addercost.measure.separate_process import ProcessEndedError
from addercost.measure.speed.fixed_work import open_reference_speed
from addercost.measure.speed.reference import ReferenceSpeed, too_noisy
from addercost.results.files import write_file

Sample = TypeVar("Sample", KernelSample, NetworkSample)

DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16", "int8": "int8"}
LAYOUTS = {CONTIGUOUS: torch.contiguous_format, CHANNELS_LAST: torch.channels_last}
OWN_SHARE = 0.4
"""The share of our own layers' kernels among those in fp32. Layers of bytes and of signs are among them.
There are five kinds of layers, and each has one kernel for depthwise, one for 1×1 and one for other
convolutions.
"""

_INT8_SHARES = {
    **{name: share for name, share in SHARES.items() if "convolution" in name or name == "linear"},
    "rounded linear": 32,
}
"""The shares in 8 bits of layers alone. Linear layers that round their inputs are those of torch's dynamic
quantisation.
"""

CODES_SHARE = 0.6
"""The share of the kernels of statically quantised networks among those in 8 bits."""

NETWORKS = 54
"""How many networks are timed. The interval is a quantile of their errors; with 18 networks, it would be the
largest error.
"""

SMALL_EVERY = 5
"""After so many networks, one for small images is timed in addition."""

COMPILED_NETWORKS = 24
"""How many networks are compiled and timed. To compile one takes many times as long as to time it."""

AGAIN = 3
"""How often a kernel or network is timed at most, while the machine is slow."""

WAITING, WAIT_S = 0.75, 20.0
"""Slow phases of the machine are waited out during this share of the minutes, and for so many seconds at
most at a time. After it, times are taken as they come.
"""

SAVED_EVERY_S = 5.0
CHAINS, CHAIN = 24, 25
"""How many chains of 8-bit layers are timed, and how many layers each has."""

QUANTIZED_NETWORKS = 42
"""How many quantised networks are timed. To quantise one takes longer than to time it."""

LEAST_QUIET = 0.5
"""The least share of samples at quiet moments. A calibration with a smaller share is refused."""


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """What to time. minutes: the time limit for everything. kernels: the most kernels. accept_noise: moments
    count as quiet that are nearly as fast as the machine often is. mode: in `COMPILED`, networks
    alone are timed, each compiled by torch.compile.
    """

    threads: int = 1
    dtype: str = "fp32"
    minutes: float = 3.0
    kernels: int = 2000
    seed: int = 0
    layout: str = CONTIGUOUS
    accept_noise: bool = False
    mode: str = EAGER


def conditions_of(settings: KernelSettings) -> Conditions:
    sizes = cache_sizes()
    return Conditions(
        processor=processor_id(),
        threads=settings.threads,
        dtype=DTYPES[settings.dtype],
        torch=torch.__version__,
        mode=settings.mode,
        layout=settings.layout,
        last_level_cache_bytes=share_of_cache(sizes["L3"], sizes["L2"]) if {"L2", "L3"} <= set(sizes) else 0,
        date=datetime.date.today().isoformat(),
        speeds=OFTEN if settings.accept_noise else QUIET,
        engine=torch.backends.quantized.engine if settings.dtype == "int8" else "",
    )


def measure_kernels(
    settings: KernelSettings, path: Path, progress: Callable[[str], None] = lambda text: None
) -> KernelTimes:
    """Times kernels and networks until the minutes are over or all are timed. Writes `path` repeatedly
    meanwhile.

    Kernels and networks that `path` already has are not timed again. Raises DataError where `path` was
    measured under other conditions, and CheckFailedError where the machine was too noisy. The file is kept in
    both cases.
    """
    torch.set_num_threads(settings.threads)
    keep_freed_memory()
    # Made first, so that the networks' processes are copies of one in which nothing has run.
    with closing(separate_networks(settings.accept_noise)) as networks:
        found = _begun(path, conditions_of(settings), progress)
        speed = open_reference_speed(accepts_noise=settings.accept_noise)
        start = saved = time.monotonic()
        for part in _measured(settings, found, speed, networks.time, progress):
            found = part
            if time.monotonic() - saved > SAVED_EVERY_S:
                _save(found, path)
                saved = time.monotonic()
            if time.monotonic() > start + 60 * settings.minutes:
                break
    _save(found, path)
    timed = found.samples or found.networks
    quiet = sum(sample.factor <= speed.within for sample in timed)
    if quiet < LEAST_QUIET * len(timed):
        kept = f"{len(timed)} samples are kept in {path}"
        error = too_noisy("this machine", quiet, len(timed), speed.usual_factor, kept)
        or_else = "if it is never quiet, time it as it is with --accept-noise and another --save"
        raise CheckFailedError(error.message, f"{error.hint}; {or_else}")
    return found


def _begun(
    path: Path, conditions: Conditions, progress: Callable[[str], None] = lambda text: None
) -> KernelTimes:
    """What `path` has, or nothing. A file that was timed in an earlier way is kept under another name."""
    nothing = KernelTimes(conditions, (), ())
    if not path.exists():
        return nothing
    try:
        found = read_kernel_times(path)
    except EarlierTimesError as error:
        kept = path.replace(path.with_name(f"{path.name}.earlier"))
        progress(f"{error.message}; it is kept as {kept}")
        return nothing
    # The share of the cache is measured, and may come out otherwise on another day.
    as_now = replace(
        found.conditions, date=conditions.date, last_level_cache_bytes=conditions.last_level_cache_bytes
    )
    if as_now != conditions:
        raise DataError(
            f"{path} was measured on {found.conditions}; this is {conditions}",
            "name another file with --save, or remove that one",
        )
    return found


def _save(times: KernelTimes, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, to_json(times), force=True)


def _measured(
    settings: KernelSettings,
    found: KernelTimes,
    speed: ReferenceSpeed,
    time_network: Callable[[Timeable, ReferenceSpeed], NetworkSample],
    progress: Callable[[str], None],
) -> Iterator[KernelTimes]:
    """Yields the measurements with one sample more each time, from those that were `found` before. Each
    network is timed twice, after the first and after the third quarter of the kernels or of the time, so that
    the difference says how far its timings can be trusted.
    """
    start, limit_s = speed.now(), 60 * settings.minutes
    waits_until = start + WAITING * limit_s
    sizes = cache_sizes()
    near = Sweeper(4 * sizes.get("L2", 1 << 20))
    # Twice the part that this process has, since that changes with what others do.
    most = min(sizes.get("L3", 0), 2 * found.conditions.last_level_cache_bytes)
    far = Sweeper(max(most, LEAST_BYTES) + BEYOND_BYTES)
    layout = LAYOUTS[settings.layout]
    known = {sample.call for sample in found.samples}
    timings = Counter(network.name for network in found.networks)
    left = enumerate((call for call in _drawn(settings) if call not in known), len(known))
    for quarters, wanted in ((1, 1), (3, 2), (math.inf, 0)):
        for number, call in left:
            if number % 20 == 0:
                progress(f"{len(found.samples)} of {settings.kernels} kernels")

            def timed(call: KernelCall = call) -> KernelSample:
                runs, factor = timed_kernel(call, speed, near, far, settings.seed, layout)
                return KernelSample(call, runs.warm_s, runs.near_s, runs.far_s, factor)

            try:
                sample = _timed_in_quiet(timed, speed, waits_until)
            except (NotReplayableError, RuntimeError):
                # torch has no such kernel in this format, so no network can call it.
                continue
            found = replace(found, samples=(*found.samples, sample))
            yield found
            if max((number + 1) / settings.kernels, (speed.now() - start) / limit_s) >= quarters / 4:
                break
        for network in _networks(settings) if wanted else ():
            if timings[network.name] < wanted:
                progress(network.name)
                try:
                    timing = _timed_in_quiet(partial(time_network, network, speed), speed, waits_until)
                except ProcessEndedError as error:
                    progress(f"{network.name} is left out: {error}")
                    continue
                found = replace(found, networks=(*found.networks, timing))
                timings[network.name] += 1
                yield found


def _timed_in_quiet(time_it: Callable[[], Sample], speed: ReferenceSpeed, waits_until: float) -> Sample:
    """The first timing at a quiet moment, else the one with the smallest factor. Slow phases are waited out
    until `waits_until`, by the clock of `speed`.
    """
    timings = [time_it()]
    while timings[-1].factor > speed.within and len(timings) < AGAIN:
        speed.wait(min(WAIT_S, waits_until - speed.now()))
        timings.append(time_it())
    return min(timings, key=lambda timing: timing.factor)


def _drawn(settings: KernelSettings) -> list[KernelCall]:
    """The drawn kernels: torch's. In fp32, those of our own layers are interspersed, and in 8 bits, those of
    statically quantised networks. None are drawn for compiled networks: a compiler makes its own.
    """
    if settings.mode == COMPILED:
        return []
    found = [*_drawn_alone(settings)]
    if settings.dtype == "fp32":
        found += draw_own(settings.kernels - len(found), settings.seed + 1)
    elif settings.dtype == "int8":
        found += draw_codes(settings.kernels - len(found), settings.seed + 1)
    random.Random(settings.seed).shuffle(found)
    return list(dict.fromkeys(found))


def _drawn_alone(settings: KernelSettings) -> list[KernelCall]:
    """Those of torch's operators on plain numbers."""
    shares = _INT8_SHARES if settings.dtype == "int8" else SHARES
    others = {"fp32": OWN_SHARE, "int8": CODES_SHARE}.get(settings.dtype, 0.0)
    count = settings.kernels - round(others * settings.kernels)
    return list(draw(count, settings.seed, Drawing(DTYPES[settings.dtype], shares)))


def _networks(settings: KernelSettings) -> Iterator[Timeable]:
    """The networks to be timed. In 8 bits they are quantised, and chains of 8-bit layers follow them."""
    layout = LAYOUTS[settings.layout]
    if settings.dtype == "int8":
        for network in _drawn_networks(QUANTIZED_NETWORKS, settings.seed):
            yield QuantizedNetwork(network)
        calls = _drawn_alone(settings)[-CHAINS * CHAIN :]
        for i in range(CHAINS):
            yield Chain(f"chain {i}", tuple(calls[i::CHAINS]), layout)
        return
    dtype = getattr(torch, DTYPES[settings.dtype])
    if settings.mode == COMPILED:
        for network in _drawn_networks(COMPILED_NETWORKS, settings.seed):
            yield CompiledNetwork(network, dtype)
        return
    for network in _drawn_networks(NETWORKS, settings.seed):
        yield FormattedNetwork(network, dtype, layout)


def _drawn_networks(count: int, seed: int) -> Iterator[RandomNetwork]:
    """So many random networks, and small ones in between, since the minutes may be over before the last."""
    small = small_networks(count // SMALL_EVERY, seed)
    for number, network in enumerate(random_networks(count, seed), 1):
        yield network
        if number % SMALL_EVERY == 0:
            yield next(small)
