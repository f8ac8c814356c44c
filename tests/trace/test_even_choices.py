"""Mixtures of experts that compute in a loop over the experts that some token chose, without values."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from addercost.api import trace_model
from addercost.counts.model import count
from addercost.trace.even_choices import even_choice

H, INNER, EXPERTS, CHOSEN = 6, 10, 8, 2


class Loop(nn.Module):
    """Asks which experts have tokens, and computes these one after another. The last experts compute nothing,
    as the zero experts of LongCat.
    """

    def __init__(self, zero_experts: int = 0) -> None:
        super().__init__()
        self.router = nn.Linear(H, EXPERTS + zero_experts, bias=False)
        self.up = nn.Parameter(torch.randn(EXPERTS, INNER, H))
        self.down = nn.Parameter(torch.randn(EXPERTS, H, INNER))

    def choice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        found = self.router(x).softmax(-1).topk(CHOSEN, dim=-1)
        return found.values, found.indices

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.choice(x)
        out = torch.zeros_like(x)
        mask = F.one_hot(chosen, self.router.out_features).permute(2, 1, 0)
        for expert in torch.greater(mask.sum(dim=(-1, -2)), 0).nonzero():
            i = int(expert.item())
            place, token = torch.where(mask[i])
            given = x[token]
            if i < EXPERTS:
                given = F.linear(F.relu(F.linear(given, self.up[i])), self.down[i])
            out.index_add_(0, token, given * weights[token, place, None])
        return out


class LargestAlone(Loop):
    def choice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.router(x).softmax(-1)
        chosen = scores.argmax(-1, keepdim=True)
        return scores.gather(-1, chosen), chosen


class Grouped(Loop):
    """Sorts tokens by expert and splits them by how many each expert has, as JetMoE does."""

    def forward(self, x: Tensor) -> Tensor:
        weights, chosen = self.choice(x)
        numbers = torch.zeros(len(x), EXPERTS, device=x.device).scatter(1, chosen, 1).long().sum(0).tolist()
        order = chosen.flatten().sort(0)[1]
        tokens = order.div(CHOSEN, rounding_mode="trunc")
        made = [
            F.linear(F.relu(F.linear(part, self.up[i])), self.down[i])
            for i, part in enumerate(x[tokens].split(numbers))
        ]
        return torch.zeros_like(x).index_add(0, tokens, torch.cat(made) * weights.flatten()[order][:, None])


def expert_sites(rows: int) -> int:
    return rows * 2 * H * INNER


@pytest.mark.parametrize("tokens", [1, 5, 8])
@pytest.mark.parametrize(
    ("model", "chosen", "by"),
    [(Loop(), CHOSEN, "(topk)"), (Grouped(), CHOSEN, "(topk)"), (LargestAlone(), 1, "(argmax)")],
    ids=["loop", "groups", "largest alone"],
)
def test_each_token_is_computed_by_as_many_experts_as_it_chooses(
    model: Loop, chosen: int, by: str, tokens: int
) -> None:
    trace = trace_model(model, torch.zeros(tokens, H, device="meta"))
    assert trace.tracer == "meta"
    assert any(f"choices by scores {by}" in note for note in trace.notes)
    assert count(trace).mac_sites == tokens * H * EXPERTS + expert_sites(tokens * chosen)


@pytest.mark.parametrize("model", [Loop(), Grouped()], ids=["loop", "groups"])
def test_only_the_weights_of_chosen_experts_are_read(model: Loop) -> None:
    """One token: the router's weights, two matrices of each chosen expert, and the rows they multiply."""
    trace = trace_model(model, torch.zeros(1, H, device="meta"))
    read = sum(row.bytes_read for row in count(trace).by_operator() if row.op in ("aten.mm", "aten.addmm"))
    assert read == 4 * (EXPERTS * H + H + CHOSEN * (2 * H * INNER + H + INNER))


def test_experts_that_compute_nothing_get_their_share() -> None:
    """Of 8 + 4 experts, 2 of each 3 compute: 12 tokens give 24 choices, of which 16 are computed."""
    trace = trace_model(Loop(zero_experts=4), torch.zeros(12, H, device="meta"))
    assert count(trace).mac_sites == 12 * H * 12 + expert_sites(16)


class ByThreshold(Loop):
    """What is chosen depends on the scores' values, not on their order."""

    def choice(self, x: Tensor) -> tuple[Tensor, Tensor]:
        weights, chosen = super().choice(x)
        kept = (weights > 0.01).all(-1).nonzero()[:, 0]
        return weights[kept], chosen[kept]


def test_a_choice_by_a_threshold_is_made_with_values() -> None:
    trace = trace_model(ByThreshold(), torch.zeros(4, H))
    assert trace.tracer == "real"
    assert not any("choices by scores" in note for note in trace.notes)


@pytest.mark.parametrize(
    ("n", "k", "dim"), [(8, 2, 1), (7, 3, 1), (6, 6, 1), (5, 1, 0)], ids=["8", "7", "all", "first axis"]
)
def test_a_choice_is_even(n: int, k: int, dim: int) -> None:
    """n rows choose each position k times, and no row chooses one twice."""
    shape = (n, n)
    positions = (n, k) if dim else (k, n)
    found = even_choice(shape, positions, dim)
    assert found.shape == positions
    rows = found if dim else found.T
    assert all(len(set(row.tolist())) == k for row in rows)
    assert Counter(found.flatten().tolist()) == dict.fromkeys(range(n), k)
