"""What the adder, binary and shift modules share: parameters, geometry, and how they are printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from addercost.errors import ArgumentError, ShapeError
from addercost.kernels.problem import Geometry
from addercost.kernels.store import NO_LIMITS, RELU, Limits

IntOrPair = int | tuple[int, int]


class KernelConv2d(nn.Module):
    """A 2-d convolution with the parameters of `nn.Conv2d`: weight [K, C/G, R, S], optional bias [K].

    Raises ShapeError when channels do not divide into groups or a size is out of range.
    """

    bias: Tensor | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: IntOrPair,
        stride: IntOrPair = 1,
        padding: IntOrPair = 0,
        dilation: IntOrPair = 1,
        groups: int = 1,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride = _pair(kernel_size), _pair(stride)
        self.padding, self.dilation = _pair(padding), _pair(dilation)
        Geometry.of(list(self.stride), list(self.padding), list(self.dilation), groups)
        if min(in_channels, out_channels, *self.kernel_size) < 1:
            raise ShapeError("channels and kernel_size must be at least 1")
        if in_channels % groups or out_channels % groups:
            raise ShapeError(
                f"{in_channels} input and {out_channels} output channels do not divide into groups={groups}"
            )
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(out_channels, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        """input: [N, C, H, W], or one image [C, H, W]. Returns as many axes."""
        return with_batch(self._convolve, input)

    def _convolve(self, input: Tensor) -> Tensor:
        raise NotImplementedError

    def reset_parameters(self) -> None:
        """Draws new weights as `nn.Conv2d` does. The bias starts at zero."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def geometry_arguments(self) -> tuple[list[int], list[int], list[int], int]:
        """Stride, padding, dilation and groups, in the form that the operators take."""
        return list(self.stride), list(self.padding), list(self.dilation), self.groups

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        for name, default in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if (value := getattr(self, name)) != default:
                parts.append(f"{name}={value}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class KernelLinear(nn.Module):
    """A linear layer with the parameters of `nn.Linear`: weight [out, in], optional bias [out]."""

    bias: Tensor | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(in_features, out_features) < 1:
            raise ShapeError("in_features and out_features must be at least 1")
        self.in_features, self.out_features = in_features, out_features
        self.weight = nn.Parameter(torch.empty((out_features, in_features), device=device, dtype=dtype))
        self.register_parameter(
            "bias", nn.Parameter(torch.empty(out_features, device=device, dtype=dtype)) if bias else None
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws new weights as `nn.Linear` does. The bias starts at zero."""
        nn.init.kaiming_uniform_(self.weight, a=5**0.5)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def __prepare_scriptable__(self) -> nn.Module:
        raise not_scriptable(self)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


def not_scriptable(layer: nn.Module) -> ArgumentError:
    """The error for `torch.jit.script`, which calls `__prepare_scriptable__` of every layer."""
    return ArgumentError(
        f"torch.jit.script does not take {type(layer).__name__}: its kernel is chosen in Python",
        "use torch.jit.trace(model, example_inputs), torch.export or torch.compile",
    )


def with_batch(convolve: Callable[[Tensor], Tensor], input: Tensor) -> Tensor:
    """Applies `convolve` to images [N, C, H, W], or to one image [C, H, W], because torch's convolutions take
    both.
    """
    return convolve(input.unsqueeze(0)).squeeze(0) if input.dim() == 3 else convolve(input)


def has_output_shape(tensor: object, images: Tensor, filters: Sequence[int], geometry: Geometry) -> bool:
    """Whether `tensor` is a tensor with the shape of a convolution's output; False for an image without a
    batch. filters: the shape of the weight, [K, C, R, S].
    """
    if not isinstance(tensor, Tensor) or images.dim() != 4:
        return False
    (n, _, height, width), (k, _, r, s) = images.shape, filters
    return tensor.shape == (n, k, *geometry.output_size((height, width), (r, s)))


def repr_of_limits(limits: Limits) -> str:
    """What a layer's repr says of the limits of its outputs."""
    if limits == NO_LIMITS:
        return ""
    return ", relu" if limits == RELU else f", limits={limits}"


def _pair(value: IntOrPair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
