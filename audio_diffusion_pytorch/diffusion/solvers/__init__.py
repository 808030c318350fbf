"""Ways to step from a noise level to the next, one a file."""

from .ancestral import Ancestral as Ancestral
from .dpmpp_sde import DPMppSDE as DPMppSDE
from .euler import Euler as Euler
from .euler_ancestral import EulerAncestral as EulerAncestral
from .ping_pong import PingPong as PingPong

__all__ = ["Ancestral", "DPMppSDE", "Euler", "EulerAncestral", "PingPong"]
