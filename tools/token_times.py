"""Measures how long a token of a small language model takes on this machine, and compares it with estimates.

Usage: python tools/token_times.py FOLDER [--estimates-only]

FOLDER, such as reports/amd-zen4, gets token-times.json and token-times.md. The model is a Llama of 125
million parameters with random weights, run through transformers on one thread: a prompt, and a token after
a context, in fp32 and bf16, and with int8 weights by torch's dynamic quantisation. Estimates are those of
`addercost llm` for the calibrated machine. A fixed reference is timed beside each run. Many more runs are
made than are kept: those at nearly the speed at which the kernels were timed. It takes about five minutes.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from addercost.cost.calibrated.tables import usual_factor
from addercost.cost.target_registry import load_target
from addercost.errors import AddercostError
from addercost.language_models import language_model
from addercost.measure.speed.fixed_work import open_reference_speed
from addercost.results.files import write_file
from addercost.results.intervals import median_interval
from addercost.results.language_model import PhaseReport
from addercost.sources.torchvision_models import make_importable

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "vocab_size": 32000,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
PROMPT, CONTEXT = 128, 256
RUNS = {"prefill": 9, "decode": 31}
TRIED = 6
"""So many runs are made for each one that is kept."""

MODELS = ("calibrated", "roofline")


@dataclass(frozen=True)
class Format:
    """A number format. dtype: the format in which the model computes. what_if: the what-if with which
    `addercost llm` counts it.
    """

    dtype: str
    what_if: tuple[str, ...] = ()


FORMATS = {
    "fp32": Format("float32"),
    "bf16": Format("bfloat16"),
    "int8": Format("float32", ("weights=int8/int8",)),
}


@dataclass(frozen=True)
class TokenRow:
    """A phase in one format. seconds: those of each run of the forward. factors: how many times as long as on
    the quiet machine a fixed reference took beside each run. usual_factor: the same of the timed kernels;
    None where these are all of quiet moments. predicted: seconds by cost model; they are a lower bound where
    `bounds` names the model. refused: the reasons why cost models gave no prediction.
    """

    format: str
    phase: str
    tokens: int
    seconds: tuple[float, ...]
    factors: tuple[float, ...]
    usual_factor: float | None
    predicted: dict[str, float]
    bounds: tuple[str, ...]
    refused: dict[str, str]

    @property
    def median_s(self) -> float:
        return statistics.median(self.seconds)

    @property
    def factor(self) -> float | None:
        """The machine's factor in the mean; None where no reference was timed."""
        return statistics.mean(self.factors) if self.factors else None


class Runs(NamedTuple):
    """Seconds and the machine's factor of every run. factors: empty where no reference was timed."""

    seconds: tuple[float, ...]
    factors: tuple[float, ...]


def measured(form: str) -> dict[str, Runs]:
    """The runs that are kept, by phase."""
    make_importable()
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    model: Any = LlamaForCausalLM(LlamaConfig(**CONFIG)).eval().to(getattr(torch, FORMATS[form].dtype))
    if form == "int8":
        model = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    vocabulary, usual = CONFIG["vocab_size"], calibrated_factor(form) or 1.0
    prompt, before, token = (torch.randint(0, vocabulary, (1, n)) for n in (PROMPT, CONTEXT, 1))
    with torch.inference_mode():

        def read() -> Any:
            return model(input_ids=prompt, use_cache=True, logits_to_keep=1)

        prefill = _timed(RUNS["prefill"], read, lambda: None, usual)
        cache = model(input_ids=before, use_cache=True, logits_to_keep=1).past_key_values

        def decode() -> Any:
            return model(input_ids=token, past_key_values=cache, use_cache=True, logits_to_keep=1)

        return {
            "prefill": prefill,
            "decode": _timed(RUNS["decode"], decode, lambda: cache.crop(-1), usual),
        }


def _timed(runs: int, run: Callable[[], Any], after: Callable[[], None], usual: float) -> Runs:
    """Each run between two references, after two runs that are not kept. Of `TRIED` times as many runs those
    are kept whose factor is nearest to `usual`. after: a function that runs after each and is not timed.
    """
    speed = open_reference_speed()

    def seconds() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    blocks = []
    for _ in range(TRIED * runs + 2):
        blocks.append(speed.block(seconds))
        after()
    kept = sorted(blocks[2:], key=lambda block: abs(math.log(speed.factor(block) / usual)))[:runs]
    return Runs(tuple(block.value for block in kept), tuple(map(speed.factor, kept)))


def predicted(form: str) -> dict[str, PhaseReport | str]:
    """The predictions by cost model and phase ("calibrated prefill"), or the reason why there is none."""
    found: dict[str, PhaseReport | str] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(CONFIG))
        for model in MODELS:
            try:
                report = language_model(
                    f"hf:{path}",
                    prompt=PROMPT,
                    context=CONTEXT,
                    new=0,
                    dtype=FORMATS[form].dtype,
                    what_if=FORMATS[form].what_if,
                    cpus=["host"],
                    cost_models=[model],
                )
            except AddercostError as error:
                found |= {f"{model} {phase}": str(error) for phase in RUNS}
            else:
                found |= {f"{model} {phase.phase}": phase for phase in report.phases}
    return found


def without_estimates(form: str, phase: str, runs: Runs) -> TokenRow:
    tokens = PROMPT if phase == "prefill" else 1
    return TokenRow(form, phase, tokens, *runs, calibrated_factor(form), {}, (), {})


def calibrated_factor(form: str) -> float | None:
    """The machine's factor while the kernels of a format were timed; None where all moments were quiet."""
    return usual_factor(load_target("host"), form if form == "int8" else FORMATS[form].dtype)


def with_estimates(form: str, timed: dict[str, Runs]) -> list[TokenRow]:
    known = predicted(form)
    made = []
    for phase, runs in timed.items():
        reports = {model: known[f"{model} {phase}"] for model in MODELS}
        costs = {model: item.costs[0] for model, item in reports.items() if not isinstance(item, str)}
        made.append(
            replace(
                without_estimates(form, phase, runs),
                predicted={model: cost.seconds for model, cost in costs.items()},
                bounds=tuple(model for model, cost in costs.items() if not cost.complete),
                refused={model: item for model, item in reports.items() if isinstance(item, str)},
            )
        )
    return made


def page(found: list[TokenRow], machine: str, tried: int) -> str:
    """tried: how many runs were made for each one that was kept."""
    chosen = (
        f" Of {tried} times as many runs they are those whose factor is nearest to that of the timed kernels."
        if tried > 1
        else ""
    )
    lines = [
        f"# What a token takes on {machine}, measured and estimated",
        "",
        "Made by `python tools/token_times.py`. A Llama of 125 million parameters with random weights "
        f"through transformers, one thread, torch {torch.__version__}: a prompt of {PROMPT} tokens, and a "
        f"token after {CONTEXT} others. Times are medians with their 95 % interval; int8 is torch's dynamic "
        "quantisation, counted as `--weights int8 --activations int8`. The machine's factor says how many "
        "times as long as on the quiet machine a fixed reference took beside the runs."
        f"{chosen} An estimate that misses figures is a lower bound (≥). transformers copies all keys and "
        "values of the text at every token, which estimates leave out.",
        "",
        "| format | phase | measured, ms a token | machine's factor | "
        + " | ".join(f"{m}, ms | error" for m in MODELS)
        + " |",
        "| --- | --- | ---: | ---: | " + " | ".join("---: | ---:" for _ in MODELS) + " |",
    ]
    for row in found:
        ends = median_interval(row.seconds)
        shown = f"{1e3 * row.median_s / row.tokens:.3f}"
        if ends is not None:
            shown += f" ({1e3 * ends[0] / row.tokens:.3f} to {1e3 * ends[1] / row.tokens:.3f})"
        factor = "" if row.factor is None else f"{row.factor:.2f}"
        if row.usual_factor is not None:
            factor += f" (kernels {row.usual_factor:.2f})"
        cells = [row.format, row.phase, shown, factor]
        for model in MODELS:
            value = row.predicted.get(model)
            if value is None:
                cells += ["none", ""]
            else:
                sign = "≥ " if model in row.bounds else ""
                cells.append(f"{sign}{1e3 * value / row.tokens:.3f}")
                cells.append(f"{100 * (value / row.median_s - 1):+.1f} %")
        lines.append("| " + " | ".join(cells) + " |")
    lines.append("")
    refused = {f"{row.format} by {model}: {why}" for row in found for model, why in row.refused.items()}
    lines += [f"- {text}" for text in sorted(refused)]
    return "\n".join(lines).rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--estimates-only", action="store_true", help="Keep the times that FOLDER has.")
    parser.add_argument("--times-only", action="store_true", help="Measure; leave estimates for later.")
    options = parser.parse_args()
    torch.set_num_threads(1)
    stored = options.folder / "token-times.json"
    tried = TRIED
    if options.estimates_only:
        document = json.loads(stored.read_text())
        kept, tried = document["rows"], document.get("tried", 1)
        times = {
            form: {
                each["phase"]: Runs(tuple(each["seconds"]), tuple(each.get("factors", ())))
                for each in kept
                if each["format"] == form
            }
            for form in FORMATS
        }
    else:
        times = {form: measured(form) for form in FORMATS}
    if options.times_only:
        found = [
            without_estimates(form, phase, runs)
            for form, phases in times.items()
            for phase, runs in phases.items()
        ]
    else:
        found = [each for form in FORMATS for each in with_estimates(form, times[form])]
    machine = str(load_target("host").name)
    document = {"machine": machine, "config": CONFIG, "tried": tried, "rows": [asdict(row) for row in found]}
    write_file(stored, json.dumps(document, indent=1).encode() + b"\n", True)
    write_file(options.folder / "token-times.md", page(found, options.folder.name, tried).encode(), True)


if __name__ == "__main__":
    main()
