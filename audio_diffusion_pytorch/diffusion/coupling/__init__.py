"""Which noise meets which signal in a training batch."""

from .assignment import assign as assign
from .optimal_transport import Coupling as Coupling
from .optimal_transport import OptimalTransport as OptimalTransport
from .optimal_transport import squared_distances as squared_distances

__all__ = ["Coupling", "OptimalTransport", "assign", "squared_distances"]
