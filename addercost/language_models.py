"""Computes what a text decoder costs: traces, counts and costs its two phases, and adds them up to a whole
text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from addercost.analysis.accelerators import WantedAccelerators
from addercost.analysis.language_model import (
    Estimators,
    TokenCosts,
    figure_contexts,
    phase_report,
    text_costs,
    token_times,
)
from addercost.api import default_cpus
from addercost.arithmetic import Arithmetic, arithmetic_named
from addercost.cost.models import default_model, usable_model
from addercost.cost.target import STREAMED, Target
from addercost.cost.target_registry import load_target
from addercost.counts.arithmetics import DEFINITIONS
from addercost.counts.call_work import work_of
from addercost.counts.lengths import CountsByLength, Layers
from addercost.counts.memory import used_weight_bytes
from addercost.counts.model import ModelCounts, count
from addercost.counts.weight_formats import WEIGHT_FORMATS, WeightFormat
from addercost.counts.what_if import apply, parse
from addercost.counts.what_if.cache import cache_bytes
from addercost.counts.what_if.layer_calls import layer_indices
from addercost.counts.what_if.weights import with_stored_tables, with_stored_weights
from addercost.errors import ArgumentError
from addercost.hardware import load_energy
from addercost.results.language_model import LanguageModelReport, PhaseReport, TextCost, TokenTime
from addercost.sources.gguf_decoder import read_decoder
from addercost.sources.gguf_file import SUFFIX as GGUF
from addercost.sources.text_decoder import Phase, TextDecoder, load_text_decoder
from addercost.sources.transformers import load_config
from addercost.trace.record import Trace
from addercost.units import si

USUAL_CONTEXT = 1024
"""The default number of tokens before the one that is written, for models that take so many."""


def language_model(
    model: str,
    *,
    prompt: int = 512,
    context: int | None = None,
    new: int = 128,
    source: int | None = None,
    batches: Sequence[int] = (1,),
    ram_bytes: int = 0,
    with_curve: bool = False,
    activations: str | None = None,
    dtype: str | None = None,
    arithmetic: Arithmetic | str | None = None,
    what_if: Sequence[str] = (),
    cpus: Sequence[str] | None = None,
    cost_models: Sequence[str] = (),
    energy: Sequence[str] = (),
    memories: Sequence[str] = (),
    hardware_path: Path | None = None,
    kernels: Path | None = None,
    accumulator_format: str | None = None,
    accelerators: WantedAccelerators | Sequence[str] = (),
) -> LanguageModelReport:
    """The costs of a text decoder, for a prompt, one token and a whole text, for each batch and on each
    processor.

    model: a SPEC of a model that keeps a cache. prompt: how many tokens are read at once. context: how many
    tokens come before the one that is written; None for 1,024, or fewer if the model takes fewer. new: how
    many tokens are written after the prompt, 0 for no whole text. source: how many tokens an encoder reads.
    ram_bytes: memory of the machine, 0 for the known memory of each processor; a note says what does not fit.
    activations: "int8" to round activations where the weights are from a GGUF file. with_curve: also compute
    a token after many other contexts, for a figure. dtype: torch's name of the format of floating-point
    weights, None for that of the configuration. The other arguments are those of `profile`.
    """
    named = default_cpus(hardware_path) if cpus is None else cpus
    targets = [load_target(name, hardware_path, kernels) for name in named]
    by = Estimators(
        tuple(
            (target, usable_model(name, target).name)
            for target in targets
            for name in cost_models or (default_model(target),)
        ),
        tuple(load_energy(name, hardware_path) for name in energy),
        tuple(memories),
        accumulator_format,
        accelerators
        if isinstance(accelerators, WantedAccelerators)
        else WantedAccelerators(tuple(accelerators)),
        hardware_path,
    )
    stored_there = not any(text.startswith("weights=") for text in what_if)
    wanted = arithmetic_named(arithmetic) if arithmetic is not None else None
    if wanted is not None and DEFINITIONS[wanted].weight_bits is not None:
        if not stored_there:
            raise ArgumentError(
                f"layers in {wanted.value} store their weights in a format of their own",
                "leave --weights or --as out; counted together, weights would be brought back and not used",
            )
        stored_there = False
    formats: Mapping[str, str] = {}
    if model.endswith(GGUF):
        described = read_decoder(Path(model))
        formats, loaded = described.formats, load_config(described.config, model)
    else:
        loaded = load_text_decoder(model)
    decoder = TextDecoder(loaded, source, dtype)
    if context is None:
        context = min(USUAL_CONTEXT, (decoder.positions or USUAL_CONTEXT + 1) - 1)
    by = replace(by, targets=tuple((_with_streamed(target), model) for target, model in by.targets))
    decoder.check(max(prompt + new, context + 1))

    cache_format = next((parse(text)[1] for text in what_if if text.startswith("cache=")), None)

    def stored_in(weight: str) -> WeightFormat | None:
        return WEIGHT_FORMATS[formats[weight]] if weight in formats else None

    def changed(trace: Trace) -> Trace:
        if formats and stored_there:
            trace = with_stored_weights(
                trace, layer_indices(trace), lambda path, weight: stored_in(weight), activations is not None
            )
            trace = with_stored_tables(trace, stored_in)
        return _changed(trace, what_if)

    def counted(phase: Phase) -> ModelCounts:
        return count(changed(phase.trace), arithmetic=arithmetic)

    def cached(phase: Phase) -> int:
        return cache_bytes(phase.cache, cache_format)

    phases: list[PhaseReport] = []
    texts: list[TextCost] = []
    curve: list[TokenTime] = []
    more_notes: list[str] = []
    for batch in batches:
        read = decoder.prefill(batch, prompt, memory=True)
        prefill = phase_report(counted(read), batch, prompt, 0, cached(read), read.activation_bytes, by)
        written = decoder.decode(batch, context, memory=True)
        in_use = changed(written.trace)
        counts = count(in_use, arithmetic=arithmetic)
        token_cost = phase_report(counts, batch, 1, context, cached(written), written.activation_bytes, by)
        phases += [prefill, token_cost]
        stored_as = (arithmetic_named(arithmetic).value,) if arithmetic else ()
        used = used_weight_bytes(_changed(in_use, stored_as), work_of)
        stored = decoder.weight_bytes + used - used_weight_bytes(written.trace)

        # All traces record memory, since a trace without it has some more calls, which are views.
        def layers_at(length: int, batch: int = batch, known: Layers = counts.layers) -> Layers:
            return known if length == context else counted(decoder.decode(batch, length, memory=True)).layers

        longest = max(prompt + new, context + 1)
        known_caches = {0: 0, context + 1: cached(written)}

        @cache
        def needed(
            tokens: int, batch: int = batch, stored: int = stored, known: Mapping[int, int] = known_caches
        ) -> int:
            return stored + (known[tokens] if tokens in known else cached(decoder.prefill(batch, tokens)))

        for where, size in _memories(targets, ram_bytes):
            more_notes += _unfit(needed, batch, longest, size, where)
        contexts = figure_contexts(decoder.positions, context) if with_curve else ()
        of_text = (prompt, max(prompt + new - 2, prompt)) if new > 1 else ()
        if (targets or by.accelerators.names) and (of_text or contexts):
            # The context has been traced, and as an end of the range it saves tracing another length.
            lengths = (*of_text, *contexts, context)
            token = TokenCosts(CountsByLength(layers_at, min(lengths), max(lengths), degree=1), by)
            texts += text_costs(prefill, token, new) if of_text else ()
            curve += token_times(batch, contexts, token)
            between = token.note()
            more_notes += [f"at batch {batch}, {between}"] if between else []
    return LanguageModelReport(
        model=decoder.name,
        parameters=counts.parameters,
        weight_bytes=stored,
        prompt=prompt,
        context=context,
        new=new,
        phases=tuple(phases),
        texts=tuple(texts),
        token_times=tuple(curve),
        source=source,
        notes=(*counts.notes, *more_notes),
    )


def _changed(trace: Trace, what_if: Sequence[str]) -> Trace:
    for text in what_if:
        trace = apply(trace, text)
    return trace


def _with_streamed(target: Target) -> Target:
    """The target with caches set to "streamed": a decoder reads its weights once for each token, and no cache
    keeps them until the next token.
    """
    return replace(target, kernel_caches=STREAMED)


def _memories(targets: Sequence[Target], ram_bytes: int) -> Iterator[tuple[str, int]]:
    """(name, bytes) of the memories that must hold weights and cache: --ram, else the memory of each target
    with a known size.
    """
    if ram_bytes:
        yield "of --ram", ram_bytes
        return
    for target in targets:
        if target.memory_bytes:
            yield f"of {target.name}", target.memory_bytes


def _unfit(needed: Callable[[int], int], batch: int, longest: int, ram_bytes: int, where: str) -> list[str]:
    """A line, if weights and cache of texts of `longest` tokens do not fit into `ram_bytes`. needed: bytes by
    the number of tokens.
    """
    whole = needed(longest)
    if whole <= ram_bytes:
        return []
    low = _longest_within(needed, longest, ram_bytes)
    fits = f"texts of {low:,} tokens would fit" if low else "not even one token would fit"
    return [
        f"at batch {batch}, weights and cache of texts of {longest:,} tokens take "
        f"{si(whole, 'B')}, more than the {si(ram_bytes, 'B')} {where}; {fits}"
    ]


def _longest_within(needed: Callable[[int], int], longest: int, ram_bytes: int) -> int:
    """The most tokens, fewer than `longest`, with which texts fit into the memory; 0 where not even one token
    fits.

    Each tried length is traced. If every token needs equally many bytes, linear interpolation between two
    lengths finds the answer. An attention window breaks that law, so every third length halves the remaining
    range.
    """
    low, high, steps = 0, longest, 0
    if needed(low) > ram_bytes:
        return 0
    while high - low > 1:
        least, most = needed(low), needed(high)
        middle = (low + high) // 2
        if steps % 3 < 2:
            middle = low + (ram_bytes - least) * (high - low) // (most - least)
            middle = min(max(middle, low + 1), high - 1)
        low, high = (middle, high) if needed(middle) <= ram_bytes else (low, middle)
        steps += 1
    return low
