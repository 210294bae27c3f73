"""The dual of a ReLU without branches, arccos or division: two polynomials in t = 1 − |r| on [0, 1].

    κ₀(r) = 1/2 ± (1/2 − √t P(t)),  the sign that of r,      P(t) = arccos(1 − t) / (π √t)
    κ₁(r) = max(r, 0) + t √t R(t)                            R(t) = (κ₁(1 − t) − (1 − t)) / (t √t)

κ₁(r) − max(r, 0) is even in r, and κ₁' = κ₀ ties the two together: P = 3/2 R + t R'. Both functions are analytic up to t = 2, so the
error falls by 5.8 with each degree. float32: minimax in √t P and t √t R, errors 2e-7 and 8e-9 (with one degree less 1.5e-6
and 8e-8, which ten layers add up to more than rounding does). float64: Chebyshev interpolation, errors 1e-13 and 5e-15.
Coefficients ascend.
"""

from __future__ import annotations

POLYNOMIALS: dict[tuple[str, str], tuple[float, ...]] = {
    ("slope", "float32"): (
        0.45015561874938015,
        0.03757903503816395,
        0.00795711006617802,
        0.003997562771005911,
        -0.0012528034225195114,
        0.0015632739440390126,
    ),
    ("post", "float32"): (
        0.3001039350957518,
        0.015027404176076481,
        0.0022963686616131415,
        0.0008382074207860157,
        -0.0001796682383722127,
        0.00022363108552880074,
    ),
    ("slope", "float64"): (
        0.4501581580784972,
        0.03751317986174099,
        0.008440464051417141,
        0.00251207905916965,
        0.000854322601221978,
        0.00031839320662372793,
        0.00010358959249775954,
        0.00011147677755615494,
        -0.000124553025262911,
        0.0002413089211333105,
        -0.000251504131949571,
        0.00018517159083710283,
        -7.833288366004207e-05,
        1.6246300073199056e-05,
    ),
    ("post", "float64"): (
        0.3001054387190326,
        0.015005271937031744,
        0.002411561491333343,
        0.000558233611212172,
        0.00015539356789360227,
        4.8600323453743196e-05,
        1.5357892699592113e-05,
        8.87770317894236e-06,
        -5.079912856079788e-06,
        1.2450283665285982e-05,
        -1.248930770547212e-05,
        9.397323617412495e-06,
        -3.973902891334189e-06,
        8.464541201719743e-07,
    ),
}
