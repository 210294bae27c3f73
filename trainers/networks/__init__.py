"""Finite networks: the twins of the kernels' architectures, and the classifier that trains them."""

from skipbench.trainers.networks.build import build_network
from skipbench.trainers.networks.classifier import NetworkClassifier
from skipbench.trainers.networks.outcome import TrainingDiverged

__all__ = ["NetworkClassifier", "TrainingDiverged", "build_network"]
