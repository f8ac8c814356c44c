"""Checks whether comparisons on this machine can be trusted: equal calls must not seem to differ, and a
slowdown must be found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from addercost.arithmetic import Arithmetic
from addercost.errors import AddercostError, CheckFailedError
from addercost.measure.case import parse_case
from addercost.measure.contenders.choice import contenders
from addercost.measure.contenders.contender import Contender, Place
from addercost.measure.devices.device import Call, TimingDevice
from addercost.measure.host.core_clock import dependent_additions
from addercost.measure.runner import Effort, Timed, time_call
from addercost.results.intervals import RatioOutcome, interleaved_ratio, verdict

SHAPE = "1,32,28,28,32,3,1,1"
"""The layer that is timed. It takes a few tenths of a millisecond, which is typical of a kernel and short
enough for many pairs.
"""

SLOWDOWN = 0.03
PROBE_ROUNDS = 500
LEAST_EQUAL, LEAST_FOUND = 0.99, 0.95
EFFORT = Effort(precision=0.01, time_limit_s=0.6, ratio_only=True)


@dataclass(frozen=True, slots=True)
class SelfCheck:
    """The result of the check. pairs: the number of pairs of each kind. equal: how many pairs of a call with
    itself got the verdict "cannot tell". found: how many pairs with an injected slowdown got the verdict
    "slower". unconverged: how many pairs of both kinds did not converge. factor: how many times as long the
    machine's fixed piece of work took as at its best known speed, in the median; None where the device has
    none.
    """

    pairs: int
    equal: int
    found: int
    unconverged: int
    slowdown: float = SLOWDOWN
    factor: float | None = None

    @property
    def passed(self) -> bool:
        return self.equal >= LEAST_EQUAL * self.pairs and self.found >= LEAST_FOUND * self.pairs

    @property
    def text(self) -> str:
        n = self.pairs
        return (
            f"equal things: cannot tell in {self.equal} of {n} pairs ({self.equal / n:.1%}, at least "
            f"{LEAST_EQUAL:.0%} are needed)\n"
            f"slowdown of {self.slowdown:.0%}: found in {self.found} of {n} pairs ({self.found / n:.1%}, at "
            f"least {LEAST_FOUND:.0%} are needed)\n"
            f"unconverged: {self.unconverged} of {2 * n} pairs\n" + self._machine
        )

    @property
    def _machine(self) -> str:
        if self.factor is None:
            return ""
        return f"machine: a fixed reference took {self.factor:.2f} times as long as at its best known speed\n"

    def require(self) -> None:
        """Raises CheckFailedError where either rate is too low."""
        if not self.passed:
            raise CheckFailedError(
                "comparisons on this machine are not to be trusted",
                "stop other programs, or fix the clock, and check again",
            )


def self_check(
    device: TimingDevice,
    pairs: int = 200,
    said: Callable[[int], None] = lambda done: None,
) -> SelfCheck:
    """Times `pairs` pairs of one contender with itself, where each side has its own tensors, and as many
    pairs with a slowdown on one side. It takes a few minutes at most. said: called after each two pairs, one
    of each kind.
    """
    place = Place(torch.device(device.facts.kind))
    works = _workloads(place)
    slow = _slower(device)
    equal = found = unconverged = 0
    with torch.no_grad():
        for i in range(pairs):
            contender = works[i % len(works)]
            case = parse_case(SHAPE)
            one, other = (contender.made(case, place, device.free_bytes()) for _ in range(2))
            same = time_call(device, one, other, EFFORT)
            slowed = time_call(device, slow(one, other, SLOWDOWN), other, EFFORT)
            equal += _verdict(same) is RatioOutcome.CANNOT_TELL
            found += _verdict(slowed) is RatioOutcome.SLOWER
            unconverged += (not same.converged) + (not slowed.converged)
            said(i + 1)
    factor = device.speed.usual_factor if device.speed is not None else None
    return SelfCheck(pairs, equal, found, unconverged, factor=factor)


def _verdict(timed: Timed) -> RatioOutcome:
    return verdict(interleaved_ratio(timed.samples_s, timed.reference_samples_s)[1])


def _workloads(place: Place) -> list[Contender]:
    """The multiplying and adder contenders in fp32 that run on this machine, without cdist, which takes too
    long.
    """
    case, works = parse_case(SHAPE), []
    for contender in contenders(place.device, (Arithmetic.MAC, Arithmetic.ADDER), ("fp32",)):
        if "cdist" in contender.implementation:
            continue
        try:
            with torch.no_grad():
                contender.made(case, place, None)
        except AddercostError:
            continue
        works.append(contender)
    return works


def _slower(device: TimingDevice) -> Callable[[Call, Call, float], Call]:
    """A function that slows a call down: it returns the call followed by idle work that takes the given share
    of the call's time.
    """
    idle = _idle_on_gpu if device.facts.kind == "cuda" else _idle_on_cpu()

    def slowed(call: Call, like: Call, share: float) -> Call:
        goal = share * _best(device, like)
        # Each time includes the call itself, so the time of a round follows from the difference of two
        # lengths.
        few = _best(device, lambda: idle(PROBE_ROUNDS))
        many = _best(device, lambda: idle(2 * PROBE_ROUNDS))
        rounds = max(1, round(PROBE_ROUNDS * (1 + (goal - few) / (many - few))))

        def both() -> object:
            result = call()
            idle(rounds)
            return result

        return both

    return slowed


def _best(device: TimingDevice, call: Call) -> float:
    call()
    return min(device.sample(call, 1, False) for _ in range(20))


def _idle_on_gpu(rounds: int) -> None:
    torch.cuda._sleep(64 * rounds)


def _idle_on_cpu() -> Callable[[int], None]:
    """Idle work for a CPU: dependent additions, which take the same cycles whatever the caches contain."""
    return dependent_additions() or _count


def _count(rounds: int) -> None:
    for _ in range(rounds):
        pass
