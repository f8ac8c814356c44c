"""Shares of attention that masks keep, where a forward makes its mask without data."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.api import trace_model
from addercost.counts.model import count
from addercost.trace.op_info import known_op_info
from addercost.trace.position_values import PositionValues
from addercost.trace.record import KEPT_SCORES
from tests.counts.oracle import Function

L, HEADS, WIDTH = 12, 2, 4


def window(x: Tensor) -> Tensor:
    i = torch.arange(L, device=x.device)
    return (i[:, None] >= i) & (i[:, None] - i < 3)


def causal_numbers(x: Tensor) -> Tensor:
    return torch.full((L, L), -torch.inf, device=x.device).triu(1)


def from_the_input(x: Tensor) -> Tensor:
    return x.new_ones((L, L), dtype=torch.bool).tril().expand(1, HEADS, L, L)


def filled_in_place(x: Tensor) -> Tensor:
    mask = torch.zeros_like(x[0, :1, :, :1]).expand(1, L, L).clone()
    return mask.masked_fill_(window(x).logical_not(), -torch.inf)


def multiplied_in_place(x: Tensor) -> Tensor:
    mask = torch.full((L, L), torch.finfo(x.dtype).min, device=x.device)
    mask = torch.triu(mask, diagonal=1)
    mask *= torch.arange(L, device=x.device) > torch.arange(L, device=x.device)[:, None] - 5
    return mask[None, None]


def documents(x: Tensor) -> Tensor:
    of = torch.div(torch.arange(L, device=x.device), 5, rounding_mode="floor")
    return of[:, None] == of[None]


def prefix(x: Tensor) -> Tensor:
    i = torch.arange(L, device=x.device)
    return torch.where(i < 4, True, i[:, None] >= i)


def joined(x: Tensor) -> Tensor:
    left, right = window(x).chunk(2, dim=1)
    return torch.cat([right, left], dim=1)


def on_the_cpu(x: Tensor) -> Tensor:
    """The small tensor keeps its values, and is combined with one that has none."""
    return (torch.tensor([[2]]) > torch.arange(L, device=x.device)) | window(x)


def by_index(x: Tensor) -> Tensor:
    order = torch.arange(L, device=x.device).flip(0)
    return window(x)[order]


def written_in_part(x: Tensor) -> Tensor:
    mask = torch.zeros(L, L, dtype=torch.bool, device=x.device)
    mask[:, :3] = True
    mask[:2].fill_(True)
    mask[window(x)] = True
    return mask


def written_by_a_view(x: Tensor) -> Tensor:
    """The view that was taken before sees what the whole tensor is written later, and the other way round."""
    mask = torch.full((L, L), -torch.inf, device=x.device)
    lower, column = mask[6:], mask.t()[1]
    lower.zero_()
    mask[7, 3:] = -torch.inf
    column.fill_(-torch.inf)
    return mask


def of_lengths(x: Tensor) -> Tensor:
    """Of numbers that the forward gives as a list, on the device of the input."""
    of = torch.repeat_interleave(torch.arange(3, device=x.device), torch.tensor([5, 4, 3], device=x.device))
    last = x.new_tensor([5, 9, 12], dtype=torch.int64)[of]
    return torch.arange(L, device=x.device) < torch.as_tensor(last, device=x.device)[:, None]


MASKS = (
    written_in_part,
    written_by_a_view,
    of_lengths,
    window,
    causal_numbers,
    from_the_input,
    filled_in_place,
    multiplied_in_place,
    documents,
    prefix,
    joined,
    on_the_cpu,
    by_index,
)


class Masked(nn.Module):
    def __init__(self, make: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.make = make

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=self.make(x))


def kept_of(model: nn.Module, *args: Tensor, memory: bool = False) -> list[object]:
    made = trace_model(model, *args, memory=memory)
    return [call.args.get(KEPT_SCORES) for call in made.calls if "attention" in call.name]


def kept_by(mask: Tensor) -> int:
    whole = mask.expand(1, HEADS, L, L)
    return int((whole if mask.dtype == torch.bool else whole > -1e30).sum())


@pytest.mark.parametrize("memory", [False, True], ids=["", "memory"])
@pytest.mark.parametrize("make", MASKS, ids=lambda make: make.__name__)
def test_the_share_is_that_of_a_run_with_values(make: Callable[[Tensor], Tensor], memory: bool) -> None:
    x = torch.zeros(1, HEADS, L, WIDTH)
    (kept,) = kept_of(Masked(make), x, memory=memory)
    assert kept == kept_by(make(x))


def test_a_note_says_the_share() -> None:
    """Rows of 1, 2 and ten times 3 of 144 scores, of two heads, with 4 + 4 products each."""
    counts = count(trace_model(Masked(window), torch.zeros(1, HEADS, L, WIDTH)))
    assert counts.mac_sites == HEADS * 144 * 8
    (note,) = [note for note in counts.notes if "masks keep" in note]
    assert re.search(r"2,304 MAC sites; its masks keep 528 ", note)


@pytest.mark.parametrize("dtype", [torch.bool, torch.float32], ids=str)
def test_a_mask_that_is_a_buffer(dtype: torch.dtype) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            keep = torch.ones(20, 20, dtype=torch.bool).tril()
            mask = keep if dtype == torch.bool else torch.zeros(20, 20).masked_fill(~keep, -torch.inf)
            self.register_buffer("mask", mask)

        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask[:L, :L])

    assert kept_of(Model(), torch.zeros(1, HEADS, L, WIDTH)) == [HEADS * L * (L + 1) // 2]


def test_a_mask_of_multi_head_attention() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(HEADS * WIDTH, HEADS, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            made: Tensor = self.attention(x, x, x, attn_mask=~window(x), need_weights=False)[0]
            return made

    assert kept_of(Model(), torch.zeros(1, L, HEADS * WIDTH)) == [HEADS * (1 + 2 + 10 * 3)]


def of_values(x: Tensor) -> Tensor:
    return x[:, :, :, :1] > 0


def written_by_values(x: Tensor) -> Tensor:
    mask = window(x)
    mask[:, 0] = x[0, 0, :, 0] > 0
    mask[:, 1] = True
    return mask


def written_by_an_alias(x: Tensor) -> Tensor:
    mask = torch.ones(L, L, dtype=torch.bool, device=x.device)
    mask.view(-1).copy_(x[0, 0, 0, 0] > 0)
    return mask


def random_mask(x: Tensor) -> Tensor:
    return torch.rand(L, L, device=x.device) > 0.5


@pytest.mark.parametrize(
    "make", [of_values, written_by_values, written_by_an_alias, random_mask], ids=lambda make: make.__name__
)
def test_what_depends_on_values_is_not_known(make: Callable[[Tensor], Tensor]) -> None:
    assert kept_of(Masked(make), torch.empty(1, HEADS, L, WIDTH, device="meta")) == [None]


def test_a_large_mask_is_not_computed() -> None:
    """Of 2²⁵ elements, more than are made again."""

    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            i = torch.arange(x.shape[-2], device=x.device)
            return F.scaled_dot_product_attention(x, x, x, attn_mask=i[:, None] >= i)

    assert kept_of(Model(), torch.empty(1, 1, 5793, WIDTH, device="meta")) == [None]


class ReadsPositions(nn.Module):
    """Reads numbers that follow from shapes alone, in four ways."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        i = torch.arange(x.shape[-2], device=x.device)
        halves = (torch.tensor([8, 4]).to(x.device) // 2).tolist()
        chosen = x[:, :, i % 2 == 0]
        for part in chosen.split(halves, dim=2):
            if (i > 10).any() and int(i.sum()) == 66:
                x = self.layer(part)
        return x


def test_a_forward_may_read_what_positions_decide() -> None:
    """No run with values: of twelve rows six are chosen, of which the layer takes four, then two."""
    made = trace_model(ReadsPositions(), torch.empty(1, HEADS, L, WIDTH, device="meta"))
    assert made.tracer == "meta"
    assert count(made).mac_sites == HEADS * (4 + 2) * WIDTH * WIDTH


def test_what_it_reads_of_data_needs_values() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.mT if bool((x > 1e9).all()) else x

    assert trace_model(Model(), torch.empty(2, 3, device="meta")).tracer == "real"
    # Also where they are given: the count is that of these values alone, and the trace says so.
    assert trace_model(Model(), torch.zeros(2, 3)).tracer == "real"


def test_a_mask_that_is_given_has_its_share() -> None:
    model = Function(lambda x, keep: F.scaled_dot_product_attention(x, x, x, attn_mask=keep & keep))
    x = torch.zeros(1, HEADS, L, WIDTH)
    assert kept_of(model, x, window(x)) == [HEADS * (1 + 2 + 10 * 3)]


def test_a_mask_that_changes_between_two_calls() -> None:
    """The second attention sees one column more, the third what a value decides."""

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("mask", torch.zeros(L, L, dtype=torch.bool))

        def forward(self, x: Tensor) -> Tensor:
            self.mask[:, 0] = True
            x = F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)
            self.mask[:, 1] = True
            x = F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)
            self.mask[:, 2] = x[0, 0, :, 0] > 0
            return F.scaled_dot_product_attention(x, x, x, attn_mask=self.mask)

    assert kept_of(Model(), torch.empty(1, HEADS, L, WIDTH, device="meta")) == [
        HEADS * L,
        HEADS * 2 * L,
        None,
    ]


def test_data_written_into_a_constant_takes_its_values() -> None:
    """Zeros of the CPU that a number from the input is written into are zeros no more: the forward branches
    by what it finds there, so it needs values.
    """

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            sums = torch.zeros(4)
            sums[0] = x.sum()
            x = self.layer(x)
            return x if float(sums.sum()) == 0 else self.layer(x)

    made = trace_model(Model(), torch.ones(4, 8))
    assert made.tracer == "real"
    assert count(made).mac_sites == 2 * 4 * 8 * 8


def test_functions_of_torch_are_put_back() -> None:
    before = torch.tensor, torch.as_tensor, torch.Tensor.new_tensor
    kept: list[Callable[..., Tensor]] = []

    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            kept.append(torch.tensor)
            return x * torch.tensor([2.0], device=x.device)

    trace_model(Model(), torch.empty(3, device="meta"))
    assert (torch.tensor, torch.as_tensor, torch.Tensor.new_tensor) == before
    assert "new_tensor" not in vars(torch.Tensor)
    # A module that was imported meanwhile may keep the function that it found.
    assert kept[0] is not torch.tensor
    assert kept[0]([1, 2]).tolist() == [1, 2]


def test_a_write_where_a_tensor_was_before_forgets_no_other() -> None:
    """The first mask is gone, and its id belongs to the second one now. Other data in the first one's memory
    are written: what is known of the second one stays known.
    """
    positions, arange = PositionValues(), torch.ops.aten.arange.default
    first, second = torch.empty(L, device="meta"), torch.empty(L, device="meta")
    positions.made(known_op_info(arange), arange, (L,), {}, (second,))
    positions._of_storages[first.untyped_storage()._cdata] = {id(second)}
    positions.written([first])
    assert positions.few_values(second) == tuple(range(L))
    positions.written([second])
    assert positions.few_values(second) == ()
