"""The tangent kernel of a network of NTK layers, layer by layer: far fewer operations than from whole Jacobians.

A dense layer z = s W h + b w, with δ_c = ∂f_c/∂z, has the Jacobian s δ_c hᵀ, a product, which never has to be formed:

    K(x, x') = 1/C Σ_c Σ_layers (s² <h, h'> + b²) <δ_c, δ_c'>

A convolution sums such products over pixels, s Σ_p δ_c[:, p] patch[:, p]ᵀ, which is formed for as many rows as fit in memory.
"""

from __future__ import annotations

from contextlib import ExitStack

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from skipbench.trainers.empirical_ntk import empirical_ntk
from skipbench.trainers.networks.layers import NTKConvolution, NTKLinear, wrap

MEMORY_BYTES = 2**29  # of Jacobians of one layer that are held at a time

Layer = NTKLinear | NTKConvolution


def tangent_kernel(network: nn.Module, x: Tensor, *, memory_bytes: int = MEMORY_BYTES) -> Tensor:
    """The empirical tangent kernel on x in float64, averaged over outputs: what `empirical_ntk` gives, by layers where the network allows.

    x: (n, ...), on the network's device. memory_bytes: of Jacobians at a time. Returns (n, n). Where a trainable parameter belongs to no
    layer in NTK parametrisation, `empirical_ntk` does it. Raises SkipbenchError where nothing is trainable.
    """
    if not _has_layers_only(network):
        return empirical_ntk(network, x, memory_bytes=memory_bytes, dtype=torch.float64)
    with torch.enable_grad():
        inputs, fields, outputs = _watched_pass(network, x.detach().double())
        gram = x.new_zeros(len(x), len(x), dtype=torch.float64)
        for output in range(outputs.shape[1]):
            # rows do not see each other, so the gradient of the sum holds that of every row
            gradients = torch.autograd.grad(outputs[:, output].sum(), list(fields.values()), retain_graph=True)
            for (layer, _), gradient in zip(fields.items(), gradients, strict=True):
                gram += _layer_kernel(layer, inputs[layer], gradient, memory_bytes)
    return (gram.triu() + gram.triu(1).T) / outputs.shape[1]


def kernel_products(network: nn.Module, n: int, outputs: int) -> float:
    """Multiplications that `tangent_kernel` does on n rows, without those of the passes through the network."""
    if not _has_layers_only(network):
        return float(n) ** 2 * outputs * sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    total = 0.0
    for layer in _trainable_layers(network):
        fan_out, fan_in = layer.weight.flatten(1).shape
        total += (fan_in + outputs * fan_out) if isinstance(layer, NTKLinear) else outputs * fan_out * fan_in
    return float(n) ** 2 * total


def _trainable_layers(network: nn.Module) -> list[Layer]:
    layers = [module for module in network.modules() if isinstance(module, NTKLinear | NTKConvolution)]
    return [layer for layer in layers if layer.weight.requires_grad]


def _has_layers_only(network: nn.Module) -> bool:
    """Whether all that is trainable, and something is, belongs to layers in NTK parametrisation."""
    known = {id(parameter) for layer in _trainable_layers(network) for parameter in layer.parameters()}
    return bool(known) and all(id(parameter) in known for parameter in network.parameters() if parameter.requires_grad)


def _watched_pass(network: nn.Module, x: Tensor) -> tuple[dict[Layer, Tensor], dict[Layer, Tensor], Tensor]:
    """What each trainable layer reads and what it passes on, and the outputs, (n, outputs), in float64. Every layer is called once."""
    inputs: dict[Layer, Tensor] = {}
    fields: dict[Layer, Tensor] = {}

    def keep(layer: nn.Module, given: tuple[Tensor, ...], field: Tensor) -> None:
        if isinstance(layer, NTKLinear | NTKConvolution):
            inputs[layer], fields[layer] = given[0].detach(), field

    parameters = {name: value.detach().double().requires_grad_(value.requires_grad) for name, value in network.named_parameters()}
    with ExitStack() as hooks:
        for layer in _trainable_layers(network):
            hooks.callback(layer.register_forward_hook(keep).remove)
        return inputs, fields, functional_call(network, parameters, (x,))


def _layer_kernel(layer: Layer, inputs: Tensor, gradient: Tensor, memory_bytes: int) -> Tensor:
    """One output's kernel of one layer's weights and biases: (n, n). inputs, gradient: h and δ, (n, units) or images."""
    if isinstance(layer, NTKLinear):
        shared = layer.scale**2 * (inputs @ inputs.T) + (layer.bias_scale**2 if layer.bias is not None else 0.0)
        return shared * (gradient @ gradient.T)
    summed = layer.bias_scale * gradient.sum(dim=(-2, -1)) if layer.bias is not None else gradient.new_zeros(len(gradient), 1)
    return summed @ summed.T + layer.scale**2 * _convolution_kernel(layer, inputs, gradient, memory_bytes)


def _convolution_kernel(layer: NTKConvolution, inputs: Tensor, gradient: Tensor, memory_bytes: int) -> Tensor:
    """Inner products of Σ_p δ[:, p] patch[:, p]ᵀ, in blocks of rows: (n, n), those left of the diagonal are 0."""
    rows = max(1, int(memory_bytes // (2 * 8 * layer.weight.numel())))
    gram = inputs.new_zeros(len(inputs), len(inputs))
    for i in range(0, len(inputs), rows):
        left = _weight_gradients(layer, inputs[i : i + rows], gradient[i : i + rows])
        for j in range(i, len(inputs), rows):
            right = left if i == j else _weight_gradients(layer, inputs[j : j + rows], gradient[j : j + rows])
            gram[i : i + rows, j : j + rows] = left @ right.T
    return gram


def _weight_gradients(layer: NTKConvolution, inputs: Tensor, gradient: Tensor) -> Tensor:
    """Σ_p δ[:, p] patch[:, p]ᵀ of every row, flat: (n, channels out · channels in · q²)."""
    size = 2 * layer.reach + 1
    padding = layer.reach if layer.padding == "zero" else 0
    patches = functional.unfold(inputs if padding or not layer.reach else wrap(inputs, layer.reach), size, padding=padding)
    return torch.bmm(gradient.flatten(2), patches.mT).flatten(1)
