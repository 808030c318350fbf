"""The space a model works in: loud enough, full enough, and heard by its decoder."""

from .channels import check_dead_latents as check_dead_latents
from .channels import check_duplicate_latents as check_duplicate_latents
from .channels import check_latent_dimensions as check_latent_dimensions
from .decoder import check_decoder_robustness as check_decoder_robustness
from .decoder import check_round_trip as check_round_trip
from .examine import examine_code as examine_code
from .examine import examine_latents as examine_latents
from .scale import check_latent_scale as check_latent_scale
from .scale import check_latent_values as check_latent_values
from .statistics import ChannelStatistics as ChannelStatistics
from .statistics import channel_statistics as channel_statistics
from .whiteness import check_encoder_draws as check_encoder_draws
from .whiteness import check_latent_whiteness as check_latent_whiteness

__all__ = [
    "ChannelStatistics",
    "channel_statistics",
    "check_dead_latents",
    "check_decoder_robustness",
    "check_duplicate_latents",
    "check_encoder_draws",
    "check_latent_dimensions",
    "check_latent_scale",
    "check_latent_values",
    "check_latent_whiteness",
    "check_round_trip",
    "examine_code",
    "examine_latents",
]
