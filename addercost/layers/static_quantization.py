"""A network in 8 bits by torch's own post-training static quantisation.

The steps are those of torch.ao.quantization's FX mode with the default settings of the engine that is set
(`torch.backends.quantized.engine`, which is `x86` on x86-64):

1. torch.fx records the forward as a graph. Batch norms and ReLUs are fused into the layers before them.
2. Observers are put behind every operator that has an 8-bit kernel, and one forward shows them the ranges.
3. These operators are replaced by quantised ones: 8-bit codes, and int8 weights with a scale for each output.
   Between them and all others the graph converts to fp32 and back.

Other ways to 8 bits give networks that run other kernels.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from addercost.errors import ModelError
from addercost.text import error_text, shortened

_LONGEST = 160


def statically_quantized(model: nn.Module, *inputs: Tensor) -> nn.Module:
    """`model` for 8-bit inference; the model itself is left as it is.

    inputs: those of one forward. The ranges of codes cover what this forward computes. Nothing else is
    random or kept, so equal weights and inputs give equal networks. A network that has quantised modules is
    returned as it is.

    Raises ModelError where torch.fx cannot record the forward, or where an operator on codes has no kernel.
    """
    if any(_is_quantized(module) for module in model.modules()):
        return model
    from torch.ao.quantization import get_default_qconfig_mapping
    from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

    settings = get_default_qconfig_mapping(torch.backends.quantized.engine)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        made: Any = copy.deepcopy(model).eval()
        for step, doing in (
            (lambda made: prepare_fx(made, settings, inputs), "torch.fx cannot record its forward"),
            (lambda made: _shown(made, inputs), "it does not run"),
            (convert_fx, "torch cannot convert it"),
            (lambda made: _shown(made, inputs), "an operator on codes has no kernel"),
        ):
            try:
                made = step(made)
            except Exception as error:
                text = shortened(error_text(error).partition(". ")[0], _LONGEST)
                raise ModelError(f"no 8-bit form: {doing}: {text}", "take another format") from error
    found: nn.Module = made
    return found


def _shown(model: nn.Module, inputs: tuple[Tensor, ...]) -> nn.Module:
    model(*inputs)
    return model


def _is_quantized(module: nn.Module) -> bool:
    return ".quantized." in f".{type(module).__module__}."
