"""What a model, its data and its training tell about themselves, and the report that shows it."""

from .files import write_aside as write_aside

__all__ = ["write_aside"]
