"""Ways to step from a noise level to the next, one a file."""

from .euler import Euler as Euler

__all__ = ["Euler"]
