"""Harmonics of one frequency: normalised, orthogonal, eigenfunctions of rotation-invariant kernels and of the Laplacian."""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

from skipbench.checks import SkipbenchError
from skipbench.datasets.harmonics import multisphere_harmonic, n_harmonics, uniform_on_sphere, zonal_harmonic


def pole_of(dimension):
    return np.eye(dimension)[0]


def quadrature(dimension, n_nodes=400):
    """Cosines to the pole and their weights under the uniform measure on S^(d-1): Gauss nodes in the angle."""
    nodes, weights = scipy.special.roots_legendre(n_nodes)
    angles = (nodes + 1) * np.pi / 2
    density = np.sin(angles) ** (dimension - 2)
    weights = weights * density
    return np.cos(angles), weights / weights.sum()


def at_cosines(dimension, frequency, cosines):
    points = np.zeros((len(cosines), dimension))
    points[:, 0], points[:, 1] = cosines, np.sqrt(1 - cosines**2)
    return zonal_harmonic(points, pole_of(dimension), frequency)


@pytest.mark.parametrize(("dimension", "counts"), [(2, [1, 2, 2, 2]), (3, [1, 3, 5, 7]), (4, [1, 4, 9, 16]), (5, [1, 5, 14, 30])])
def test_there_are_as_many_harmonics_as_independent_polynomials(dimension, counts):
    assert [n_harmonics(dimension, frequency) for frequency in range(4)] == counts


@pytest.mark.parametrize("dimension", [2, 3, 4, 7, 30])
def test_harmonics_are_orthonormal_under_the_uniform_measure(dimension):
    cosines, weights = quadrature(dimension)
    values = np.array([at_cosines(dimension, frequency, cosines) for frequency in range(9)])
    # Gauss quadrature with 400 nodes is exact to rounding for these smooth functions of the angle
    assert np.abs((values * weights) @ values.T - np.eye(9)).max() < 1e-9


def test_on_the_circle_they_are_cosines_of_multiples_of_the_angle():
    angles = np.linspace(0, 2 * np.pi, 50)
    points = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    for frequency in (1, 2, 5, 30):
        found = zonal_harmonic(points, np.array([np.cos(0.3), np.sin(0.3)]), frequency)
        assert np.abs(found - math.sqrt(2) * np.cos(frequency * (angles - 0.3))).max() < 1e-10


@pytest.mark.skipif(not hasattr(scipy.special, "sph_harm_y"), reason="scipy before 1.15 has no sph_harm_y")
@pytest.mark.parametrize("frequency", [1, 2, 3, 8, 20])
def test_in_three_dimensions_they_are_sums_of_the_spherical_harmonics_of_scipy(frequency):
    # addition theorem: Z_k(x) = 4 pi / sqrt(2k + 1) sum_m Y_km(x) conj(Y_km(p))
    points, (pole,) = uniform_on_sphere(40, 3, (1,)), uniform_on_sphere(1, 3, (2,))

    def harmonics(at):
        polar, azimuth = np.arccos(at[..., 2]), np.arctan2(at[..., 1], at[..., 0])
        return np.array([scipy.special.sph_harm_y(frequency, order, polar, azimuth) for order in range(-frequency, frequency + 1)])

    expected = 4 * np.pi / math.sqrt(2 * frequency + 1) * (harmonics(points) * harmonics(pole).conj()[:, None]).sum(axis=0)
    assert np.abs(expected.imag).max() < 1e-10
    assert np.abs(zonal_harmonic(points, pole, frequency) - expected.real).max() < 1e-10


@given(dimension=st.integers(2, 6), frequency=st.integers(1, 6), seed=st.integers(0, 100))
def test_extended_as_homogeneous_functions_they_are_harmonic(dimension, frequency, seed):
    # |x|^k Z_k(x/|x|) is a polynomial of degree k with Laplacian 0; central differences of step h err by h^2 times fourth derivatives
    (point,), (pole,) = uniform_on_sphere(1, dimension, (seed, 0)), uniform_on_sphere(1, dimension, (seed, 1))

    def extended(x):
        return np.linalg.norm(x) ** frequency * float(zonal_harmonic(x, pole, frequency))

    step = 1e-3
    laplacian = sum(extended(point + step * e) + extended(point - step * e) - 2 * extended(point) for e in np.eye(dimension)) / step**2
    scale = math.sqrt(n_harmonics(dimension, frequency)) * (frequency + dimension) ** 4
    assert abs(laplacian) < 1e-5 * scale


@pytest.mark.parametrize(("dimension", "frequency"), list(itertools.product([2, 3, 5], [1, 2, 4])))
def test_they_are_eigenfunctions_of_kernels_that_depend_on_the_cosine(dimension, frequency):
    # Funk-Hecke: E_z[f(<x, z>) Z_k(z)] = lambda_k Z_k(x), for any x; here f = exp, and z on a grid around x
    cosines, weights = quadrature(dimension)
    eigenvalue = (weights * np.exp(cosines) * at_cosines(dimension, frequency, cosines)).sum() / math.sqrt(
        n_harmonics(dimension, frequency)
    )
    (x,), (pole,) = uniform_on_sphere(1, dimension, (3,)), uniform_on_sphere(1, dimension, (4,))
    z = uniform_on_sphere(200_000, dimension, (5,))
    values = np.exp(z @ x) * zonal_harmonic(z, pole, frequency)
    # five standard errors of the Monte Carlo mean
    assert abs(values.mean() - eigenvalue * zonal_harmonic(x, pole, frequency)) < 5 * values.std() / math.sqrt(len(z))


@pytest.mark.parametrize(("dimension", "frequency"), [(3, 100), (10, 60), (100, 20), (1000, 8), (1000, 100)])
def test_high_frequencies_and_dimensions_agree_with_mpmath(dimension, frequency):
    cosines = np.array([-0.7, -0.1, 0.001, 0.02, 0.3, 0.9, 1.0])
    with mpmath.workdps(60):
        index, scale = mpmath.mpf(dimension - 2) / 2, mpmath.sqrt(n_harmonics(dimension, frequency))
        at_one = mpmath.gegenbauer(frequency, index, 1)
        expected = [float(scale * mpmath.gegenbauer(frequency, index, mpmath.mpf(float(u))) / at_one) for u in cosines]
    found = at_cosines(dimension, frequency, cosines)
    # relative to the pole's value, since the recursion starts there; cosines themselves carry 1e-16 times the slope
    assert np.abs(found - expected).max() <= 1e-11 * math.sqrt(n_harmonics(dimension, frequency))
    assert np.allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_only_the_direction_of_a_point_counts():
    points, (pole,) = uniform_on_sphere(20, 4, (6,)), uniform_on_sphere(1, 4, (7,))
    assert np.allclose(zonal_harmonic(7.5 * points, 1e-3 * pole, 3), zonal_harmonic(points, pole, 3), rtol=1e-12, atol=1e-12)


def test_a_product_over_pixels_has_variance_1_and_is_orthogonal_to_other_frequencies():
    images = np.moveaxis(uniform_on_sphere(200_000 * 4, 3, (8,)).reshape(-1, 2, 2, 3), 3, 1)
    poles = uniform_on_sphere(2, 3, (9,))
    product = multisphere_harmonic(images, poles, {(0, 0): 2, (1, 1): 1})
    other_frequencies: tuple[dict[tuple[int, int], int], ...] = ({(0, 0): 2, (0, 1): 1}, {(0, 0): 1, (1, 1): 1}, {})
    others = [multisphere_harmonic(images, poles[: len(chosen)], chosen) for chosen in other_frequencies]
    n_errors = 5 / math.sqrt(len(images))
    assert abs(product.mean()) < n_errors
    assert abs((product**2).mean() - 1) < n_errors * (product**2).std()
    assert all(abs((product * other).mean()) < n_errors * (product * other).std() for other in others)
    by_hand = zonal_harmonic(images[:, :, 0, 0], poles[0], 2) * zonal_harmonic(images[:, :, 1, 1], poles[1], 1)
    assert np.array_equal(product, by_hand)


@pytest.mark.parametrize("dimension", [2, 3, 10])
def test_points_are_uniform_on_the_sphere_and_their_first_rows_do_not_depend_on_n(dimension):
    points = uniform_on_sphere(50_000, dimension, (10, 2))
    assert np.abs(np.linalg.norm(points, axis=1) - 1).max() < 1e-14
    assert np.array_equal(uniform_on_sphere(7, dimension, (10, 2)), points[:7])
    assert not np.array_equal(uniform_on_sphere(7, dimension, (10, 3)), points[:7])
    # moments of the uniform measure, to five standard errors: mean 0, covariance I/d, fourth moment 3/(d(d+2))
    n_errors = 5 / math.sqrt(len(points))
    assert np.abs(points.mean(axis=0)).max() < n_errors
    assert np.abs(points.T @ points / len(points) - np.eye(dimension) / dimension).max() < n_errors
    assert np.abs((points**4).mean(axis=0) - 3 / (dimension * (dimension + 2))).max() < n_errors


def test_points_stay_the_same_with_every_version_of_numpy():
    # written down once: other points would make recorded results incomparable
    assert np.allclose(uniform_on_sphere(2, 2, (0, 0)), [[0.49592732, -0.86836403], [-0.63228297, -0.77473753]], atol=1e-8)


@pytest.mark.parametrize(
    ("points", "pole", "frequency", "message"),
    [
        (np.ones((3, 2)), np.ones(3), 1, r"points \(3, 2\) and pole \(3,\)"),
        (np.ones((3, 1)), np.ones(1), 1, "with d of at least 2"),
        (np.ones((3, 2)), np.ones(2), -1, "frequency=-1, but it is a whole number of at least 0"),
        (np.zeros((3, 2)), np.ones(2), 1, "is the zero vector"),
        (np.ones((3, 2)), np.zeros(2), 1, "is the zero vector"),
    ],
)
def test_what_has_no_harmonic_is_named(points, pole, frequency, message):
    with pytest.raises(SkipbenchError, match=f"zonal_harmonic: .*{message}"):
        zonal_harmonic(points, pole, frequency)


@pytest.mark.parametrize("pixel", [(2, 0), (0, -1)])
def test_a_pixel_outside_of_the_image_is_named(pixel):
    with pytest.raises(SkipbenchError, match=r"pixel .* is outside of images of \(2, 2\) pixels"):
        multisphere_harmonic(np.ones((1, 3, 2, 2)), np.ones((1, 3)), {pixel: 1})
