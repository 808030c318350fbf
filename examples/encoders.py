"""What makes the latents of `train_diffusion_ae.py`; a model for an encoder of your own."""

from __future__ import annotations

from torch import Tensor, nn

from audio_diffusion_pytorch import EncoderBase
from audio_diffusion_pytorch.metrics import log_spectrogram


class SpectrumEncoder(EncoderBase):
    """The log spectrum of each frame and its neighbours, squeezed to a few numbers in -1..1.

    The bins and the numbers are brought to mean 0 and deviation 1 over the batch, by running means
    after training. Otherwise all bins, being positive, push every number the same way: in some ten
    steps the tanh is saturated, all sounds have the same code, and the encoder learns no more.

    Shapes: audio `(b, in_channels, t)` -> latents `(b, out_channels, t / hop)`.

    Args:
        in_channels: Audio channels.
        hop: Samples a latent; spectra see twice as many.
        out_channels: Numbers a latent.
        width: Features inside.
        floor_db: Level under which the encoder hears silence.
    """

    def __init__(
        self,
        in_channels: int,
        hop: int,
        out_channels: int,
        width: int = 256,
        floor_db: float = -100.0,
    ) -> None:
        super().__init__()
        self.downsample_factor, self.out_channels = hop, out_channels
        self.floor_db = floor_db
        features = in_channels * (hop + 1)
        self.layers = nn.Sequential(
            nn.BatchNorm1d(features, affine=False),
            nn.Conv1d(features, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv1d(width, out_channels, 1, bias=False),
            nn.BatchNorm1d(out_channels, affine=False),
        )
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight)
        bins = self.layers[
            0
        ]  # until it has heard any: what a bin of music has, at -100 dB of floor
        bins.running_mean.fill_(0.16)
        bins.running_var.fill_(0.2**2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the latents, one more than whole frames of audio have: the last one is cropped."""
        hop = self.downsample_factor
        levels = log_spectrogram(x.flatten(0, 1), 2 * hop, hop, self.floor_db)
        levels = levels.reshape(len(x), -1, *levels.shape[-2:]).transpose(-1, -2).flatten(1, 2)
        return (self.layers(1 - levels / self.floor_db) / 2).tanh()  # halved: where tanh is steep
