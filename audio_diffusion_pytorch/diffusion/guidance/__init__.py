"""Following the condition more closely than the data alone would ask.

A guidance compares two guesses of the clean signal, one with the condition and one without (or one
of a worse net), and mixes them. The classes nest, and read from the outside in:

    ClassifierFreeGuidance(3.0)
    Rescale(ClassifierFreeGuidance(7.0), phi=0.7)
    Interval(AdaptiveProjectedGuidance(5.0), low=0.2, high=0.7)
    CFGPlusPlus(0.6)
    Interval(Autoguidance(smaller_model.diffusion.denoise, 2.0), low=0.2, high=0.7)
    DynamicThreshold(ClassifierFreeGuidance(7.0))        (from `diffusion.thresholding`)

Each is given to a sampler as `guidance=`, beside `null_cond=`: the condition to move away from.
That may be "no condition" (labels of -1, an empty text), or one to avoid: a negative condition is
simply another `null_cond`. However deep the nest, a call asks the net once, on a batch of twice the
size, or of the plain size where no guidance is wanted.
"""

from .adaptive_projected import AdaptiveProjectedGuidance as AdaptiveProjectedGuidance
from .autoguidance import Autoguidance as Autoguidance
from .base import BaseGuidance as BaseGuidance
from .base import Rule as Rule
from .cfg_plus_plus import CFGPlusPlus as CFGPlusPlus
from .classifier_free import ClassifierFreeGuidance as ClassifierFreeGuidance
from .guesses import GuessedStep as GuessedStep
from .guesses import Guesses as Guesses
from .interval import Interval as Interval
from .rescale import Rescale as Rescale

__all__ = [
    "AdaptiveProjectedGuidance",
    "Autoguidance",
    "BaseGuidance",
    "CFGPlusPlus",
    "ClassifierFreeGuidance",
    "GuessedStep",
    "Guesses",
    "Interval",
    "Rescale",
    "Rule",
]
