"""What the loop trains by: a function from a batch of clips to a loss per clip."""

from audio_diffusion_pytorch.models.clip_loss import LossFunction as LossFunction
from audio_diffusion_pytorch.models.clip_loss import diffusion_loss as diffusion_loss
from audio_diffusion_pytorch.models.clip_loss import to_device as to_device
