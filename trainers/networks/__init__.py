"""Finite networks: the twins of the kernels' architectures, practical ones, and the classifiers that train them."""

from skipbench.trainers.networks.build import build_network
from skipbench.trainers.networks.classifier import NetworkClassifier
from skipbench.trainers.networks.ensemble import EnsembleClassifier
from skipbench.trainers.networks.linearised import LinearisedClassifier
from skipbench.trainers.networks.outcome import TrainingDiverged
from skipbench.trainers.networks.practical import PracticalClassifier

__all__ = ["EnsembleClassifier", "LinearisedClassifier", "NetworkClassifier", "PracticalClassifier", "TrainingDiverged", "build_network"]
