"""Operators that compute nothing, control flow as operators, nested tensors, and what needs a real run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops import map as map_operator
from torch._higher_order_ops import scan, while_loop
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from addercost.api import trace_model
from addercost.counts.model import ModelCounts, count
from addercost.errors import TraceError

X = torch.ones(4, 8)
ONE = 4 * 8 * 8
"""Sites of a linear layer of 8 × 8 on four rows."""


class Model(nn.Module):
    """Two linear layers, and a forward that is given."""

    def __init__(self, run: Callable[..., Any]) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.run = run

    def forward(self, *args: Any) -> Any:
        return self.run(self, *args)


def counted(model: nn.Module, *args: Any, **options: Any) -> ModelCounts:
    return count(trace_model(model, *args, **options), "macs")


def named(model: Model, x: Tensor) -> Tensor:
    with torch.profiler.record_function("a block"):
        return model.a(x)


def normal_head(model: Model, x: Tensor) -> Any:
    made = torch.distributions.Normal(model.a(x), model.b(x).exp())
    return made.rsample(), made.entropy()


def policy_head(model: Model, x: Tensor) -> Any:
    made = torch.distributions.Categorical(logits=model.a(x))
    action = made.sample()
    return action, made.log_prob(action)


@pytest.mark.parametrize(
    ("run", "sites"),
    [
        pytest.param(named, ONE, id="record_function"),
        pytest.param(normal_head, 2 * ONE, id="the head of a VAE"),
        pytest.param(policy_head, ONE, id="the head of a policy"),
    ],
)
def test_what_computes_nothing_leaves_the_count_complete(run: Callable[..., Any], sites: int) -> None:
    counts = counted(Model(run), X)
    assert (counts.mac_sites, counts.complete) == (sites, True)


@pytest.mark.parametrize("wrap", [nn.DataParallel], ids=["DataParallel"])
def test_wrapped_models(wrap: Callable[[nn.Module], nn.Module]) -> None:
    counts = counted(wrap(nn.Linear(8, 8)), X)
    assert (counts.mac_sites, counts.complete, counts.unused_parameters) == (ONE, True, 0)


@pytest.fixture
def one_process() -> Iterator[None]:
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_distributed_models(one_process: None) -> None:
    """A model in one process computes what it computes alone, and uses its parameters."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    sharded = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    fully_shard(sharded, mesh=init_device_mesh("cpu", (1,)))
    for model, sites in ((nn.parallel.DistributedDataParallel(nn.Linear(8, 8)), ONE), (sharded, 2 * ONE)):
        counts = counted(model, X)
        assert (counts.mac_sites, counts.complete, counts.unused_parameters) == (sites, True, 0)


class Packed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(8, 16, batch_first=True)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        lengths = torch.tensor([5, 3, 2, 1]) if lengths is None else lengths
        made, _ = self.rnn(pack_padded_sequence(x, lengths, batch_first=True))
        return pad_packed_sequence(made, batch_first=True)[0]


@pytest.mark.parametrize("inputs", [(), (torch.tensor([5, 3, 2, 1]),)], ids=["made within", "as an input"])
def test_packed_sequences_count_the_steps_that_there_are(inputs: tuple[Tensor, ...]) -> None:
    """5 + 3 + 2 + 1 steps of four gates of 16 units, each of 8 inputs and 16 states."""
    counts = counted(Packed(), torch.ones(4, 5, 8), *inputs)
    assert (counts.mac_sites, counts.complete) == ((5 + 3 + 2 + 1) * 4 * 16 * (8 + 16), True)


def twice(model: Model, x: Tensor) -> Tensor:
    return model.b(model.b(x))


def branch(condition: Callable[[Tensor], Any]) -> Callable[..., Any]:
    return lambda m, x: torch.cond(condition(x), lambda z: m.a(z), lambda z: twice(m, z), (x,))


@pytest.mark.parametrize(
    ("run", "sites"),
    [
        pytest.param(branch(lambda x: x.sum() > 0), ONE, id="cond, the first branch"),
        pytest.param(branch(lambda x: x.sum() < 0), 2 * ONE, id="cond, the second branch"),
        pytest.param(branch(lambda x: x.shape[0] == 4), ONE, id="cond on a shape"),
        pytest.param(
            lambda m, x: while_loop(lambda i, z: i < 3, lambda i, z: (i + 1, m.a(z)), (torch.tensor(0), x)),
            3 * ONE,
            id="while_loop",
        ),
        pytest.param(lambda m, x: map_operator(lambda row: m.a(row), x), ONE, id="map over the rows"),
        pytest.param(lambda m, x: scan(lambda c, row: (c + row, m.a(row)), x[0], x), ONE, id="scan"),
    ],
)
def test_control_flow_counts_what_ran(run: Callable[..., Any], sites: int) -> None:
    counts = counted(Model(run), X)
    assert (counts.mac_sites, counts.complete) == (sites, True)


def test_gradients_of_a_branch() -> None:
    """The layer, the gradient of its weight and that of its input."""
    assert counted(Model(branch(lambda x: x.sum() > 0)), X, backward=True).mac_sites == 3 * ONE


@pytest.mark.parametrize("layout", [torch.jagged, torch.strided], ids=["jagged", "strided"])
def test_nested_tensors_count_their_rows(layout: torch.layout) -> None:
    def run(model: Model, a: Tensor, b: Tensor) -> Tensor:
        return model.a(torch.nested.nested_tensor([a, b], layout=layout))

    counts = counted(Model(run), torch.ones(3, 8), torch.ones(5, 8))
    assert (counts.mac_sites, counts.complete) == ((3 + 5) * 8 * 8, True)


def test_a_nested_input_is_refused_with_advice() -> None:
    nested = torch.nested.nested_tensor([torch.ones(3, 8), torch.ones(5, 8)], layout=torch.jagged)
    with pytest.raises(TraceError, match=r"nested tensor.*; give the tensors in it one by one"):
        trace_model(nn.Linear(8, 8), nested)


@torch.library.custom_op("addercost_tests::product", mutates_args=())
def product(x: Tensor, w: Tensor) -> Tensor:
    return x @ w


def test_an_operator_without_a_fake_kernel_is_run() -> None:
    made = trace_model(Model(lambda m, x: product(m.a(x), m.b.weight)), X)
    counts = count(made, "macs")
    assert (made.tracer, counts.mac_sites) == ("real", ONE)
    assert [op.op for op in counts.uncounted] == ["addercost_tests.product"]


def raised(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("run", "advice"),
    [
        pytest.param(lambda m, x: m.a(x[:, :3]), "check the shape and dtype", id="a shape"),
        pytest.param(lambda m, x, y: m.a(x), "give one --input for each", id="an argument is missing"),
        pytest.param(lambda m, x: m.c(x), "in torch alone", id="the model's own mistake"),
        pytest.param(
            lambda m, x: raised(RuntimeError("Couldn't load custom C++ ops.")),
            "install a torchvision",
            id="torchvision of another torch",
        ),
    ],
)
def test_every_refusal_says_what_to_do(run: Callable[..., Any], advice: str) -> None:
    with pytest.raises(TraceError) as caught:
        trace_model(Model(run), X)
    assert advice in caught.value.hint
