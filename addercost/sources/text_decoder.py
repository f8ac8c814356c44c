"""The two phases of a model that writes text: reading a prompt at once, and writing one token after others.

Both are traces of the model's own code. The second phase uses the cache that the first returned. So keys and
values of any kind, windows, latent attention and the states of state-space models are those of the model.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from addercost.counts.cache_append import appended_in_place
from addercost.counts.peak_memory import activation_peak_bytes
from addercost.errors import ArgumentError, ModelError
from addercost.sources.kind import LoadedModel, TraceRequest
from addercost.sources.tracing import running, trace_loaded
from addercost.trace.inputs import ModelInputs
from addercost.trace.record import TensorSpec, Trace

_CACHES = ("past_key_values", "cache_params", "state")
"""The names under which models of transformers take and return their cache of earlier tokens."""

_POSITIONS = ("max_position_embeddings", "n_positions", "max_target_positions", "n_ctx", "max_seq_len")


@dataclass(frozen=True, slots=True)
class Phase:
    """One forward. cache: the tensors that the model keeps after it, for the whole batch, by the names under
    which it keeps them. activation_bytes: the most bytes that its intermediate results take at once, None if
    not asked for.
    """

    trace: Trace
    cache: tuple[TensorSpec, ...]
    activation_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Returned:
    """The cache that a forward returned for the next one."""

    caches: dict[str, Any]
    encoded: Any


class _Encoded(NamedTuple):
    """What an encoder returned. Most models take it by position, and ProphetNet by its name. What else they
    read of it, such as the choice of experts, they only hand on; it is None.
    """

    last_hidden_state: Any
    hidden_states: None = None
    attentions: None = None

    def __getattr__(self, name: str) -> None:
        if name.startswith("_"):
            raise AttributeError(name)


class TextDecoder:
    """Traces the phases of a loaded model.

    source: how many tokens an encoder reads; None for a model without one. dtype: torch's name of the format
    to which floating-point weights are converted, None for no conversion. Raises ModelError for a model that
    writes no text, ArgumentError where `source` does not fit it.
    """

    def __init__(self, loaded: LoadedModel, source: int | None = None, dtype: str | None = None) -> None:
        self._loaded = loaded
        self._format = getattr(torch, dtype) if dtype is not None else None
        self._model = self._in_format(loaded.model)
        self._source = source
        self._accepted = frozenset(inspect.signature(loaded.model.forward).parameters)
        self._returned: dict[tuple[int, int], _Returned] = {}
        if not self._accepted & set(_CACHES):
            raise ModelError(
                f"{loaded.name} writes no text token by token: its forward takes no cache",
                "name a text decoder, such as hf:llama, or hf:TYPE:CLASS for another class of a type",
            )
        if self._has_encoder and "input_ids" not in self._accepted:
            raise ModelError(
                f"{loaded.name} reads no text with its encoder, and text is all that it is given here",
                _decoder_alone(loaded.model),
            )
        if self._has_encoder and source is None:
            raise ArgumentError(
                f"{loaded.name} reads a text with its encoder before it writes",
                "give its length: --source 512",
            )
        if not self._has_encoder and source is not None:
            raise ArgumentError(f"{loaded.name} has no encoder for --source", "its prompt is --prompt")

    @property
    def name(self) -> str:
        return self._loaded.name

    @property
    def positions(self) -> int | None:
        """The most tokens for which the configuration has positions, None where it gives no number."""
        config: Any = getattr(self._model, "config", None)
        inner = config.get_text_config(decoder=True) if hasattr(config, "get_text_config") else config
        found = (getattr(inner, name, None) for name in _POSITIONS)
        return next((n for n in found if isinstance(n, int) and n > 0), None)

    @property
    def weight_bytes(self) -> int:
        return sum(weight.numel() * weight.element_size() for weight in self._model.parameters())

    @property
    def _has_encoder(self) -> bool:
        # A decoder without its encoder also takes an encoder's outputs, and its own tokens by their usual
        # name.
        return {"encoder_outputs", "decoder_input_ids"} <= self._accepted

    def prefill(self, batch: int, tokens: int, memory: bool = False) -> Phase:
        """Traces reading `tokens` tokens of each text at once, with an empty cache. memory: whether to find
        `activation_bytes`.

        Raises ArgumentError beyond the positions.
        """
        self.check(tokens)
        kwargs: dict[str, Any] = {self._token_name: _tokens(batch, tokens)}
        if self._source is not None:
            kwargs["input_ids"] = _tokens(batch, self._source)
        if "logits_to_keep" in self._accepted:
            # Only the output of the last token is asked for, as in transformers' own generate.
            kwargs["logits_to_keep"] = 1
        phase, returned = self._traced(kwargs, frozenset(), memory)
        self._returned[batch, tokens] = returned
        return phase

    def decode(self, batch: int, context: int, memory: bool = False) -> Phase:
        """Traces writing one more token of each text after `context` others. memory and errors: as for
        `prefill`.
        """
        self.check(context + 1)
        if (batch, context) not in self._returned:
            self.prefill(batch, context)
        before = self._returned[batch, context]
        if not before.caches:
            raise ModelError(
                f"{self.name} returned no cache, or keeps its state to itself, so what a token "
                "reads is not known",
                "name a class that returns its cache: hf:TYPE:CLASS",
            )
        kwargs: dict[str, Any] = {self._token_name: _tokens(batch, 1), **before.caches}
        if self._has_encoder:
            kwargs["encoder_outputs"] = _Encoded(before.encoded)
        shapes = frozenset(tuple(tensor.shape) for _, tensor in _kept_in(before.caches))
        return self._traced(kwargs, shapes, memory)[0]

    @property
    def _token_name(self) -> str:
        return "decoder_input_ids" if self._has_encoder else "input_ids"

    def check(self, tokens: int) -> None:
        """Raises ArgumentError where a text of so many tokens has more than the model has positions."""
        most = self.positions
        if most is not None and tokens > most:
            raise ArgumentError(
                f"{self.name} has positions for {most:,} tokens, not for {tokens:,}",
                "give a shorter --prompt, --context or --new",
            )

    def _traced(
        self, kwargs: dict[str, Any], cached: frozenset[tuple[int, ...]], memory: bool
    ) -> tuple[Phase, _Returned]:
        if "use_cache" in self._accepted:
            kwargs["use_cache"] = True
        found: list[tuple[_Returned, tuple[TensorSpec, ...], tuple[int, ...]]] = []

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            caches = {name: value for name in _CACHES if (value := _of(output, name)) is not None}
            # The forward may change the cache that it gets, which is restored after the trace.
            kept = list(_kept_in(caches))
            tensors = [tensor for _, tensor in kept]
            specs = tuple([_spec(*one) for one in kept])
            encoded = _of(output, "encoder_last_hidden_state")
            found.append((_Returned(caches, encoded), specs, _storage_bytes(tensors)))

        handle = self._model.register_forward_hook(keep)
        try:
            watched = replace(self._loaded, model=self._model, rebuild=self._rebuilding(keep))
            with running(watched, self.name):
                made = trace_loaded(
                    watched, ModelInputs((), kwargs), TraceRequest(memory=memory, equal_layers=True)
                )
        finally:
            handle.remove()
        returned, specs, kept = found[-1]
        phase = Phase(appended_in_place(made, cached), specs, activation_peak_bytes(made, kept))
        return phase, returned

    def _rebuilding(self, keep: Callable[[nn.Module, Any, Any], None]) -> Callable[[], nn.Module] | None:
        """A function that makes the model with its weights. Its forward calls `keep`, as the forward without
        weights does.
        """
        make = self._loaded.rebuild
        if make is None:
            return None

        def rebuild() -> nn.Module:
            model = self._in_format(make())
            model.register_forward_hook(keep)
            return model

        return rebuild

    def _in_format(self, model: nn.Module) -> nn.Module:
        return model if self._format is None else model.to(self._format)


def load_text_decoder(spec: str) -> LoadedModel:
    """The decoder of a SPEC. For a type of transformers, the class that writes text is made."""
    from addercost.sources.hub_config import FILE
    from addercost.sources.loading import load_model
    from addercost.sources.transformers import PREFIX, load_class

    if not spec.startswith(PREFIX) and (spec.endswith(".json") or (Path(spec) / FILE).is_file()):
        spec = PREFIX + spec
    if spec.startswith(PREFIX):
        from addercost.sources.transformers_models import with_text_decoder

        return load_class(spec, with_text_decoder)
    return load_model(spec)


def _decoder_alone(model: nn.Module) -> str:
    """The hint that names the class of this type's decoder without its encoder, if there is one."""
    from addercost.sources.transformers_models import causal_classes

    kind = getattr(getattr(model, "config", None), "model_type", "")
    found = causal_classes(kind)
    if found:
        return f"name the class of its decoder alone: hf:{kind}:{found[0]}"
    return "transformers has no class of its decoder alone; name a text decoder, such as hf:llama"


def _tokens(batch: int, length: int) -> Tensor:
    return torch.zeros(batch, length, dtype=torch.int64, device="meta")


def _spec(name: str, tensor: Tensor) -> TensorSpec:
    return TensorSpec(tuple(tensor.shape), str(tensor.dtype).removeprefix("torch."), "constant", name)


def _storage_bytes(tensors: Iterable[Tensor]) -> tuple[int, ...]:
    """Bytes of the tensors' storages, each counted once. Several tensors may share a storage, and a window is
    part of a larger one.
    """
    storages = {storage._cdata: storage.nbytes() for storage in (t.untyped_storage() for t in tensors)}
    return tuple(storages.values())


def _of(output: Any, name: str) -> Any:
    return output.get(name) if isinstance(output, dict) else getattr(output, name, None)


def _kept_in(caches: dict[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor inside containers and attributes of objects, each once, with the name of the attribute
    that has it, or of the cache if it is in containers alone.
    """
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = list(caches.items())
    while waiting:
        name, item = waiting.pop()
        if id(item) in seen or isinstance(item, nn.Module | type):
            continue
        seen.add(id(item))
        if isinstance(item, Tensor):
            yield name, item
        elif isinstance(item, dict):
            waiting += [(name, value) for value in item.values()]
        elif isinstance(item, list | tuple):
            waiting += [(name, value) for value in item]
        elif hasattr(item, "__dict__") and not hasattr(item, "model_type"):
            waiting += vars(item).items()
