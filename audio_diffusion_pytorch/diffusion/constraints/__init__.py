"""Keeping a sample to something known: inpainting, RePaint, continuation, reconstruction."""

from .continuation import Continuation as Continuation
from .masks import keep_frames as keep_frames
from .reconstruction import ReconstructionGuidance as ReconstructionGuidance
from .repaint import RePaint as RePaint
from .replacement import Inpainting as Inpainting

__all__ = ["Continuation", "Inpainting", "RePaint", "ReconstructionGuidance", "keep_frames"]
