"""The default step size: n / λ_max of the network's own tangent kernel at initialisation, found without forming any matrix.

Gradient descent on 1/(2n) Σ_i |f(x_i) - y_i|² moves the outputs by f ← f - (lr/n) K (f - y), K = J J^T over all rows and outputs;
it is stable for lr < 2n / λ_max(K), and n / λ_max wipes out the fastest direction in one step.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from skipbench.trainers.networks.losses import Loss

MAX_ROWS = 256  # λ_max / n of so many rows is within some percent of that of all, and stability has a factor 2 to spare
N_BATCHES = 4  # mini-batches looked at for their own λ_max
LANCZOS_STEPS = 12  # enough in any case: λ_max stands far above the rest of a tangent kernel's spectrum
RITZ_TOLERANCE = 3e-3

SOFTMAX_CURVATURE = 0.5  # largest eigenvalue that diag(p) - p p^T can have


def default_learning_rate(network: nn.Module, x: Tensor, *, loss: Loss, momentum: float, batch_size: int | None, seed: int) -> float:
    """A stable step size for SGD with heavy-ball momentum β at the network's present parameters.

        full batch:    n / λ_max(K), also with momentum, which is stable up to 2 (1 + β) n / λ_max
        mini-batches:  (1 - β) min over some batches of b / λ_max(K of the batch): β adds up the batches' noise, so it is taken out
        cross-entropy: twice that, since the curvature of the loss in f is at most 1/2 where it is 1 for MSE

    x: (n, ...), the training inputs. K is estimated on at most 256 rows drawn with `seed`.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = min(len(x), MAX_ROWS) if batch_size is None else min(len(x), batch_size)
    n_batches = 1 if rows == len(x) or batch_size is None else N_BATCHES
    steps = []
    for _ in range(n_batches):
        chosen = torch.randperm(len(x), generator=generator)[:rows].sort().values.to(x.device)
        part = x if rows == len(x) else x[chosen]
        steps.append(rows / largest_eigenvalue(network, part, generator=generator))
    rate = min(steps)
    if batch_size is not None and batch_size < len(x):
        rate *= 1.0 - momentum
    return rate / SOFTMAX_CURVATURE if loss == "cross_entropy" else rate


def largest_eigenvalue(network: nn.Module, x: Tensor, *, generator: torch.Generator, steps: int = LANCZOS_STEPS) -> float:
    """λ_max of K = J J^T, (n outputs) x (n outputs), by Lanczos' iteration with K v = J (J^T v), one forward pass in all.

    J^T v is a backward pass. It is linear in v, so going backward through it with the cotangent u gives J u: as fast as torch's
    forward mode, which loads a slow module with a deprecation warning at its first use.
    At most λ_max, and close to it after a dozen steps. A network whose gradient vanishes on every row has 1.0 by convention: it
    cannot be trained whatever the step.
    """
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    outputs = network(x)
    cotangent = torch.zeros_like(outputs, requires_grad=True)
    pulled_back = torch.autograd.grad(outputs, parameters, cotangent, create_graph=True)

    def times_gram(vector: Tensor) -> Tensor:
        direction = torch.autograd.grad(outputs, parameters, vector.view_as(outputs), retain_graph=True)
        return torch.autograd.grad(pulled_back, cotangent, direction, retain_graph=True)[0].flatten()

    largest = largest_ritz_value(times_gram, _likely_direction(outputs, generator), steps)
    return largest if largest > 0.0 else 1.0


def _likely_direction(outputs: Tensor, generator: torch.Generator) -> Tensor:
    """A random start near the top eigenvector: tangent kernels are positive between rows, so it is nearly the same on all of them."""
    common = torch.randn(outputs.shape[1], generator=generator, dtype=torch.float64)
    own = torch.randn(outputs.shape, generator=generator, dtype=torch.float64)
    return (common + 0.3 * own).flatten().to(outputs)


def largest_ritz_value(times_matrix: Callable[[Tensor], Tensor], start: Tensor, steps: int = LANCZOS_STEPS) -> float:
    """The largest eigenvalue of a symmetric positive semidefinite matrix in the Krylov space of at most `steps` products with it.

    start: (n,), not 0. Fully reorthogonalised; ends early once the value gains less than 0.3 % twice in a row (once happens on a
    plateau below the largest) or the space is exhausted.
    """
    basis = (start / start.norm())[None]
    diagonal, beside = torch.zeros(steps, dtype=torch.float64), torch.zeros(steps, dtype=torch.float64)
    largest, small_gains = 0.0, 0
    for step in range(min(steps, len(start))):
        image = times_matrix(basis[-1])
        diagonal[step] = float(basis[-1] @ image)
        tridiagonal = torch.diag(diagonal) + torch.diag(beside[:-1], 1) + torch.diag(beside[:-1], -1)
        previous, largest = largest, float(torch.linalg.eigvalsh(tridiagonal)[-1])
        for _ in range(2):  # once is not enough in float32
            image = image - basis.T @ (basis @ image)
        length = float(image.norm())
        small_gains = small_gains + 1 if largest - previous <= RITZ_TOLERANCE * largest else 0
        if small_gains == 2 or length <= 1e-6 * largest:
            break
        beside[step] = length
        basis = torch.cat([basis, image[None] / length])
    return largest
