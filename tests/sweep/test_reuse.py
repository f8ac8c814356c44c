"""Tracing blocks once gives, call by call, what tracing all of them gives."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from whole_trace import trace

from addercost.counts.call_work import is_counted
from addercost.models.nasbench201 import NasBench201
from addercost.models.nasbench201_cells import CELLS, cell_at
from addercost.models.zoo import ZOO
from addercost.sources.build import build
from addercost.sources.loading import load_model
from addercost.trace.record import Trace
from addercost.trace.reuse.blocks import Block, BlockUse, Item
from addercost.trace.reuse.tracer import BlockCache, BlockTrace, NeedsWholeError, trace_blocks

FAST = ("densenet121", "mobilenet_v3_small", "resnet18", "shufflenet_v2_x1_0", "swin_t", "vit_b_16")
"""Of different kinds: concatenations, squeeze-and-excitation, residuals, shuffles, windows, attention."""
TORCHVISION = (
    "alexnet", "convnext_tiny", "deeplabv3_mobilenet_v3_large", "densenet121", "efficientnet_b0",
    "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mc3_18", "mnasnet1_0", "mobilenet_v2",
    "mobilenet_v3_small", "mvit_v1_b", "regnet_x_400mf", "resnet18", "resnet50", "s3d", "shufflenet_v2_x1_0",
    "squeezenet1_1", "swin3d_t", "swin_t", "vgg11_bn", "vit_b_16",
)  # fmt: skip
"""One of each family: all of torchvision takes minutes."""


def exhaustive(*values: Any) -> Any:
    return pytest.param(*values, marks=pytest.mark.exhaustive)


def both(model: nn.Module, *args: Any, **kwargs: Any) -> tuple[Trace, Trace]:
    full = trace(model, *args, kwargs=kwargs, is_counted=is_counted)
    (blocks,) = trace_blocks(model, [(args, kwargs)], cache=BlockCache(is_counted))
    return blocks.trace(), full


def uses(items: tuple[Item, ...]) -> list[Block]:
    """Every block under the items, as often as it is used."""
    found = []
    for item in items:
        if isinstance(item, BlockUse):
            found += [item.block, *uses(item.block.items)]
    return found


def reused(blocks: BlockTrace) -> int:
    """How many uses were answered without running anything."""
    all_uses = uses(blocks.items)
    return len(all_uses) - len({id(block) for block in all_uses})


@pytest.mark.parametrize("suffix", ["", exhaustive(":adder"), exhaustive(":xnor"), exhaustive(":shift")])
@pytest.mark.parametrize("name", ZOO)
def test_zoo(name: str, suffix: str) -> None:
    loaded = load_model(f"zoo:{name}{suffix}")
    assert loaded.inputs is not None
    reuse, full = both(loaded.model, *loaded.inputs.args)
    assert reuse == full


@pytest.mark.parametrize("name", [name if name in FAST else exhaustive(name) for name in TORCHVISION])
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_torchvision(name: str) -> None:
    loaded = load_model(f"torchvision:{name}")
    assert loaded.inputs is not None
    reuse, full = both(loaded.model, *loaded.inputs.args)
    assert full.tracer == "meta"
    assert reuse == full


@pytest.mark.parametrize("index", random.Random(0).sample(range(CELLS), 3))
def test_nasbench201_of_stand_ins_is_the_network_with_weights_of_its_own(index: int) -> None:
    """Also where the blocks were traced in other networks before, and at another batch size."""
    operations = cell_at(index)
    cache = BlockCache()
    inputs = [((torch.empty(batch, 3, 32, 32, device="meta"),), {}) for batch in (1, 8)]
    for other in (index // 2, index):
        network = build(lambda other=other: NasBench201(cell_at(other), stand_ins=True), "cell")
        traced = trace_blocks(network, inputs, cache=cache, stand_ins=True)
    for found, (args, _) in zip(traced, inputs, strict=True):
        full = trace(build(lambda: NasBench201(operations), "cell"), *args)
        made = found.trace()
        assert (made.calls, made.modules) == (full.calls, full.modules)
        assert found.parameter_count == full.parameter_count


class HandWritten(nn.Module):
    """An adder layer spelt out, which the tracer recognises by what it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 8))

    def forward(self, x: Tensor) -> Tensor:
        return -(x.unsqueeze(1) - self.weight).abs().sum(2)


def test_layers_to_be_recognised_are_traced_whole() -> None:
    with pytest.raises(NeedsWholeError):
        trace_blocks(HandWritten(), [((torch.empty(2, 8),), {})])


class Residual(nn.Module):
    def __init__(self, width: int, scale: float = 1.0) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer(x) * self.scale


def stack_of(*blocks: nn.Module) -> nn.Module:
    return nn.Sequential(*blocks)


def test_equal_layers_are_traced_once() -> None:
    """126 layers, 125 of them answered; within each, nothing is asked again."""
    model = stack_of(*(Residual(8) for _ in range(126)))
    (blocks,) = trace_blocks(model, [((torch.empty(2, 8),), {})])
    # The first layer is given the model's input, which another layer's output is not.
    assert len({id(item.block) for item in blocks.items if isinstance(item, BlockUse)}) == 2
    assert blocks.trace() == trace(model, torch.empty(2, 8))


class Counting(Residual):
    """Behaves differently every other time."""

    def __init__(self, width: int, log: list[int]) -> None:
        super().__init__(width)
        self.log = log

    def forward(self, x: Tensor) -> Tensor:
        self.log.append(0)
        return self.layer(x) if len(self.log) % 2 else x.relu()


class Remembering(Residual):
    def forward(self, x: Tensor) -> Tensor:
        self.seen = True
        return super().forward(x)


class Watched:
    """State out of sight of a module's own attributes, but within reach."""

    def __init__(self) -> None:
        self.calls = 0


class Shared(Residual):
    def __init__(self, width: int, watched: Watched) -> None:
        super().__init__(width)
        self.watched = watched

    def forward(self, x: Tensor) -> Tensor:
        self.watched.calls += 1
        return self.layer(x) if self.watched.calls == 1 else x.relu()


class Extending(nn.Module):
    """Adds to the list it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, features: list[Tensor]) -> Tensor:
        features.append(self.layer(features[-1]))
        return features[-1]


class Dense(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Extending() for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for block in self.blocks:
            block(features)
        return torch.cat(features)


class Borrowing(nn.Module):
    """Uses a tensor that its parent keeps, which is not among its arguments."""

    def __init__(self, box: dict[str, Tensor]) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.take = box.get

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + self.take("now")


class Lender(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.box: dict[str, Tensor] = {}
        self.one, self.two = Borrowing(self.box), Borrowing(self.box)

    def forward(self, x: Tensor) -> Tensor:
        self.box["now"] = x
        y = self.one(x)
        self.box["now"] = y[:1]
        return self.two(y)


_GLOBAL: list[Tensor] = []


class ByTheBackDoor(nn.Module):
    """Uses a tensor of a global variable."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + _GLOBAL[-1]


class BackDoors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = ByTheBackDoor(), ByTheBackDoor(), ByTheBackDoor()

    def forward(self, x: Tensor) -> Tensor:
        y = self.one.layer(x)
        for block in (self.one, self.two, self.three):
            _GLOBAL.append(y[:1] if block is self.two else y + 1)
            y = block(y)
        _GLOBAL.clear()
        return y


class Poked(nn.Module):
    """Sets its children's attributes before it calls them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Residual(8) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for number, layer in enumerate(self.layers):
            layer.scale = float(number)
            x = layer(x)
        return x


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = (nn.Linear(8, 8) for _ in range(3))
        self.three.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.three(self.two(self.one(x)))


class Autocast(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        y = self.one(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.two(y).float()


class SameTwice(nn.Module):
    """Asks whether its arguments are the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = Comparing(), Comparing()

    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        return self.one(y, y) + self.two(y, y + 1)


class Comparing(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a.exp() if a is b else a.exp() + b.exp()


class InPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True)) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x).t_().t_()
        return x


def hooked() -> nn.Module:
    model = stack_of(*(Residual(8) for _ in range(4)))
    model[2].layer.register_forward_hook(lambda module, args, out: out.exp())
    return model


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(
            lambda: stack_of(Residual(8), Residual(8, 2.0), Residual(8)), id="configuration differs"
        ),
        pytest.param(
            lambda: stack_of(Residual(8), Residual(8, 1), Residual(8)), id="type of a number differs"
        ),
        pytest.param(lambda: stack_of(*[Residual(8)] * 3), id="one module three times"),
        pytest.param(
            lambda: (lambda log: stack_of(*(Counting(8, log) for _ in range(5))))([]), id="a list counts"
        ),
        pytest.param(lambda: stack_of(*(Remembering(8) for _ in range(3))), id="sets an attribute"),
        pytest.param(
            lambda: (lambda w: stack_of(*(Shared(8, w) for _ in range(3))))(Watched()), id="an object counts"
        ),
        pytest.param(Dense, id="extends its argument"),
        pytest.param(Lender, id="uses its parent's tensor"),
        pytest.param(BackDoors, id="uses a global tensor"),
        pytest.param(Poked, id="attributes set from outside"),
        pytest.param(Tied, id="tied weights"),
        pytest.param(Autocast, id="autocast"),
        pytest.param(SameTwice, id="the same tensor twice"),
        pytest.param(InPlace, id="in place"),
        pytest.param(hooked, id="a hook"),
        pytest.param(
            lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, batch_first=True), 3),
            id="transformer",
        ),
        pytest.param(lambda: stack_of(nn.GRU(8, 8)), id="recurrent"),
    ],
)
def test_what_must_not_be_reused_is_not(make: Any) -> None:
    full = trace(make(), torch.empty(2, 8))
    # Another model, since the first may have left something behind outside of its modules.
    (reuse,) = trace_blocks(make(), [((torch.empty(2, 8),), {})])
    assert reuse.trace() == full


def test_another_shape_stride_or_argument_is_another_block() -> None:
    class Shapes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = nn.ModuleList(nn.Softmax(-1) for _ in range(4))

        def forward(self, x: Tensor) -> Tensor:
            a, b, c, d = self.parts
            return a(x).sum() + b(x.t()).sum() + c(x[:1]).sum() + d(x.double()).sum()

    model = Shapes()
    (blocks,) = trace_blocks(model, [((torch.empty(8, 8),), {})])
    assert reused(blocks) == 0
    assert blocks.trace() == trace(model, torch.empty(8, 8))


def test_a_model_is_left_as_it_was() -> None:
    model = stack_of(*(Remembering(8) for _ in range(3)))
    before = [dict(module.__dict__) for module in model.modules()]
    setter = nn.Module.__setattr__
    trace_blocks(model, [((torch.empty(2, 8),), {})])
    assert [dict(module.__dict__) for module in model.modules()] == before
    assert nn.Module.__setattr__ is setter


def test_blocks_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("addercost.trace.reuse.cache._MOST_ENTRIES", 3)
    cache = BlockCache()
    for width in range(1, 12):
        trace_blocks(stack_of(Residual(width)), [((torch.empty(1, width),), {})], cache=cache)
    assert len(cache.modules) <= 6
