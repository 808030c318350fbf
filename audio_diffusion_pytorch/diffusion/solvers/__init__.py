"""Ways to step from a noise level to the next, one a file."""

from .ancestral import Ancestral as Ancestral
from .deis import DEIS as DEIS
from .dpm2 import DPM2 as DPM2
from .dpmpp_2m import DPMpp2M as DPMpp2M
from .dpmpp_2s import DPMpp2S as DPMpp2S
from .dpmpp_3m import DPMpp3M as DPMpp3M
from .dpmpp_sde import DPMppSDE as DPMppSDE
from .euler import Euler as Euler
from .euler_ancestral import EulerAncestral as EulerAncestral
from .heun import Heun as Heun
from .lms import LMS as LMS
from .ping_pong import PingPong as PingPong
from .rk4 import RK4 as RK4
from .unipc import UniPC as UniPC

__all__ = [
    "DEIS",
    "DPM2",
    "LMS",
    "RK4",
    "Ancestral",
    "DPMpp2M",
    "DPMpp2S",
    "DPMpp3M",
    "DPMppSDE",
    "Euler",
    "EulerAncestral",
    "Heun",
    "PingPong",
    "UniPC",
]
