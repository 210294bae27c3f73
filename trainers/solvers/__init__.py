"""Ridge regression from kernel matrices of any size, in memory or in tiles on disk."""

from skipbench.kernels.spectra.lanczos import ConditionEstimate
from skipbench.trainers.solvers.prediction import StoredRidge, predict_from_store, ridge_from_store, ridge_path_from_store
from skipbench.trainers.solvers.settings import SolverOptions, SolverSettings
from skipbench.trainers.solvers.solution import NotConvergedError, RidgeSolution
from skipbench.trainers.solvers.solve import solve_ridge, solve_ridge_path
from skipbench.trainers.solvers.spectrum import spectrum_from_store

__all__ = [
    "ConditionEstimate",
    "NotConvergedError",
    "RidgeSolution",
    "SolverOptions",
    "SolverSettings",
    "StoredRidge",
    "predict_from_store",
    "ridge_from_store",
    "ridge_path_from_store",
    "solve_ridge",
    "solve_ridge_path",
    "spectrum_from_store",
]
