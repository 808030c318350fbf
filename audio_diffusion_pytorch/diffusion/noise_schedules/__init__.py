"""How signal and noise are mixed at each time: `x_t = alpha x0 + sigma noise`.

Time 0 is exactly clean on every schedule, time 1 the noisiest level. Each also has
`gains(log_snr)`, the `(alpha, sigma)` of a level by its log-SNR.
"""

from .discrete_betas import DiscreteBetas as DiscreteBetas
from .half_circle import HalfCircle as HalfCircle
from .input_scaled import InputScaled as InputScaled
from .interpolated import Interpolated as Interpolated
from .laplace import Laplace as Laplace
from .linear_beta import LinearBeta as LinearBeta
from .shifted import Shifted as Shifted
from .sigmoid import Sigmoid as Sigmoid
from .straight_path import StraightPath as StraightPath
from .variance_exploding import VarianceExploding as VarianceExploding

__all__ = [
    "DiscreteBetas",
    "HalfCircle",
    "InputScaled",
    "Interpolated",
    "Laplace",
    "LinearBeta",
    "Shifted",
    "Sigmoid",
    "StraightPath",
    "VarianceExploding",
]
