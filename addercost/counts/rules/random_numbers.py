"""Random numbers from the counter-based generator Philox 4x32-10, which torch uses on GPUs.

Ten rounds make four 32-bit numbers. A round has two wide multiplications, four exclusive ors and, except for
the first, two additions to the key.
Source: Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.
"""

from __future__ import annotations

from addercost.arithmetic import OpCounts
from addercost.counts.registry import rule
from addercost.counts.rules.ordering import selection_compares
from addercost.counts.work import OperatorWork
from addercost.trace.record import OpCall


def philox_counts(numbers: int) -> OpCounts:
    """Blocks of four numbers. What is left of the last block is not used."""
    blocks = -(-numbers // 4)
    return OpCounts.of("uint32", mul=20 * blocks, logic=40 * blocks, add=18 * blocks)


def uniform_counts(n: int, number_format: str) -> OpCounts:
    """n numbers bits·2^-32 in [0, 1)."""
    return philox_counts(n) + OpCounts.of(number_format, mul=n)


def normal_counts(n: int, number_format: str) -> OpCounts:
    """Box and Muller: √(-2·log u)·cos(2π·v) and √(-2·log u)·sin(2π·v), a pair of numbers from a pair."""
    pairs = -(-n // 2)
    return uniform_counts(2 * pairs, number_format) + OpCounts.of(
        number_format, transcendental=3 * pairs, sqrt=pairs, mul=4 * pairs
    )


def _of_output(call: OpCall, **further: int) -> OperatorWork:
    """A uniform number for every element of the output, and the operations `further` with each."""
    out = call.output
    return OperatorWork(
        other=uniform_counts(out.numel, out.number_format)
        + OpCounts.of(out.number_format, **further) * out.numel
    )


@rule("aten.rand", "aten.rand_like")
def rand(call: OpCall) -> OperatorWork:
    """bits·2^-32: every four numbers take 20 mul, 40 logic and 18 add of 32-bit integers (Philox), and each
    takes a mul."""
    return _of_output(call)


@rule("aten.uniform", "aten.uniform_", "aten.randint", "aten.randint_like", "aten.random_", "aten.random")
def between(call: OpCall) -> OperatorWork:
    """low + (high - low)·u, with u as from `rand`."""
    return _of_output(call, mul=1, add=1)


@rule("aten.randn", "aten.randn_like")
def randn(call: OpCall) -> OperatorWork:
    """√(-2·log u)·cos(2π·v) and √(-2·log u)·sin(2π·v), a pair from two numbers of `rand`: 3 transcendental, 1
    sqrt and 4 mul for a pair."""
    return OperatorWork(other=normal_counts(call.output.numel, call.output.number_format))


@rule("aten.normal", "aten.normal_", "aten.normal_functional")
def normal(call: OpCall) -> OperatorWork:
    """mean + std·z, with z as from `randn`."""
    out = call.output
    return OperatorWork(
        other=normal_counts(out.numel, out.number_format)
        + OpCounts.of(out.number_format, mul=out.numel, add=out.numel)
    )


@rule("aten.log_normal_", "aten.log_normal")
def log_normal(call: OpCall) -> OperatorWork:
    """exp(mean + std·z), with z as from `randn`."""
    out = call.output
    return OperatorWork(other=normal(call).other + OpCounts.of(out.number_format, transcendental=out.numel))


@rule("aten.bernoulli", "aten.bernoulli_")
def bernoulli(call: OpCall) -> OperatorWork:
    """u < p, with u as from `rand`."""
    return _of_output(call, compare=1)


@rule("aten.exponential_", "aten.exponential")
def exponential(call: OpCall) -> OperatorWork:
    """-log(u)/λ, with u as from `rand`."""
    return _of_output(call, transcendental=1, add=1, divide=1)


@rule("aten.geometric_", "aten.geometric")
def geometric(call: OpCall) -> OperatorWork:
    """⌈log(u)/log(1 - p)⌉, with u as from `rand`. The divisor is computed once and not counted; rounding is
    an addition.
    """
    return _of_output(call, transcendental=1, divide=1, add=1)


@rule("aten.cauchy_", "aten.cauchy")
def cauchy(call: OpCall) -> OperatorWork:
    """median + σ·tan(π·(u - ½)), with u as from `rand`."""
    return _of_output(call, transcendental=1, mul=2, add=2)


@rule("aten.native_dropout")
def dropout(call: OpCall) -> OperatorWork:
    """x·mask·1/(1 - p), with the mask from u < 1 - p. Outside training nothing is computed."""
    if call.args.get("train") is False:
        return OperatorWork()
    return _of_output(call, compare=1, mul=2)


@rule("aten.randperm")
def permutation(call: OpCall) -> OperatorWork:
    """A random number for every element but the first: the element is swapped with the one at that place."""
    out = call.output
    return OperatorWork(other=uniform_counts(max(out.numel - 1, 0), "fp32"))


@rule("aten.multinomial")
def multinomial(call: OpCall) -> OperatorWork:
    """Rows of n weights. With replacement: their running sums, and a binary search for each sample. Without:
    the largest of w/-log(u) (Efraimidis and Spirakis, 2006)."""
    x, samples = call.tensor("self"), call.args["num_samples"]
    assert isinstance(samples, int)
    n = x.shape[-1]
    rows = x.numel // n if n else 0
    number_format = x.number_format
    if call.args.get("replacement"):
        drawn = rows * samples
        return OperatorWork(
            other=uniform_counts(drawn, number_format)
            + OpCounts.of(number_format, add=rows * (n - 1), mul=drawn, compare=drawn * n.bit_length())
        )
    keys = OpCounts.of(number_format, transcendental=1, add=1, divide=1) * x.numel
    chosen = OpCounts.of(number_format, compare=rows * selection_compares(n, samples))
    return OperatorWork(other=uniform_counts(x.numel, number_format) + keys + chosen)


def gamma_counts(n: int, number_format: str) -> OpCounts:
    """d·v with d = a - 1/3, c = 1/√(9·d), v = (1 + c·z)³, accepted where log(u) < z²/2 + d - d·v + d·log(v).

    The first z and u are assumed to be accepted; for a ≥ 1 more than 95 of 100 are (Marsaglia and Tsang,
    2000).
    """
    each = {"add": 5, "mul": 8, "divide": 1, "sqrt": 1, "transcendental": 2, "compare": 1}
    return (
        normal_counts(n, number_format)
        + uniform_counts(n, number_format)
        + OpCounts.of(number_format, **each) * n
    )


@rule("aten._standard_gamma")
def gamma(call: OpCall) -> OperatorWork:
    """d·v with d = a - 1/3, c = 1/√(9·d), v = (1 + c·z)³, accepted where log(u) < z²/2 + d - d·v + d·log(v):
    z as from `randn`, u as from `rand`, and for each element 8 mul, 5 add, 1 divide, 1 sqrt, 2 transcendental
    and 1 compare."""
    return OperatorWork(other=gamma_counts(call.output.numel, call.output.number_format))


@rule("aten._sample_dirichlet")
def dirichlet(call: OpCall) -> OperatorWork:
    """Rows of k numbers as from `_standard_gamma`, each divided by the sum of its row."""
    out = call.output
    rows = out.numel // max(out.shape[-1], 1)
    shares = OpCounts.of(out.number_format, add=out.numel - rows, divide=out.numel)
    return OperatorWork(other=gamma_counts(out.numel, out.number_format) + shares)


@rule("aten.rrelu_with_noise", "aten.rrelu_with_noise_", "aten.rrelu_with_noise_functional")
def random_leaky_relu(call: OpCall) -> OperatorWork:
    """`x if x > 0 else x · slope`: a comparison and a product for each element; in training each slope is
    random.
    """
    out = call.output
    element = OpCounts.of(out.number_format, compare=1, mul=1) * out.numel
    if not call.args.get("training"):
        return OperatorWork(other=element)
    return OperatorWork(other=_of_output(call, mul=1, add=1).other + element)
