"""Fitting: kernel ridge regression, gradient descent, finite networks and baselines, all scikit-learn classifiers."""

from skipbench.trainers.baselines import LogisticRegressionBaseline, RandomForestBaseline
from skipbench.trainers.empirical_ntk import empirical_ntk
from skipbench.trainers.gradient_descent import iterations_to, kernel_gradient_descent
from skipbench.trainers.kernel_descent import KernelDescent
from skipbench.trainers.networks import (
    EnsembleClassifier,
    LinearisedClassifier,
    NetworkClassifier,
    PracticalClassifier,
    TrainingDiverged,
    build_network,
)
from skipbench.trainers.ridge import KernelRidge
from skipbench.trainers.ridge_path import SingularGramError, ridge_path
from skipbench.trainers.svm import KernelSVM

__all__ = [
    "EnsembleClassifier",
    "KernelDescent",
    "KernelRidge",
    "KernelSVM",
    "LinearisedClassifier",
    "LogisticRegressionBaseline",
    "NetworkClassifier",
    "PracticalClassifier",
    "RandomForestBaseline",
    "SingularGramError",
    "TrainingDiverged",
    "build_network",
    "empirical_ntk",
    "iterations_to",
    "kernel_gradient_descent",
    "ridge_path",
]
