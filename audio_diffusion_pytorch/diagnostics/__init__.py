"""What a model, its data and its training tell about themselves, and the report that shows it."""

from .comparison import save_comparison as save_comparison
from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import Examined as Examined
from .diagnosis import Part as Part
from .diagnosis import examine_parts as examine_parts
from .files import write_aside as write_aside
from .finding import SEVERITIES as SEVERITIES
from .finding import Finding as Finding
from .finding import Severity as Severity
from .finding import faults as faults
from .finding import findings_text as findings_text
from .finding import worst as worst
from .latent_health import ChannelStatistics as ChannelStatistics
from .latent_health import channel_statistics as channel_statistics
from .latent_health import check_dead_latents as check_dead_latents
from .latent_health import check_decoder_robustness as check_decoder_robustness
from .latent_health import check_duplicate_latents as check_duplicate_latents
from .latent_health import check_encoder_draws as check_encoder_draws
from .latent_health import check_latent_dimensions as check_latent_dimensions
from .latent_health import check_latent_scale as check_latent_scale
from .latent_health import check_latent_values as check_latent_values
from .latent_health import check_latent_whiteness as check_latent_whiteness
from .latent_health import check_round_trip as check_round_trip
from .latent_health import examine_code as examine_code
from .latent_health import examine_latents as examine_latents
from .learning import LevelErrors as LevelErrors
from .learning import check_attention as check_attention
from .learning import check_batch_norm as check_batch_norm
from .learning import check_dead_channels as check_dead_channels
from .learning import check_ema as check_ema
from .learning import check_gradients as check_gradients
from .learning import check_learning_rate as check_learning_rate
from .learning import check_noise_level as check_noise_level
from .learning import check_output_range as check_output_range
from .learning import check_overfit as check_overfit
from .learning import check_overfitting as check_overfitting
from .learning import check_recorded_rate as check_recorded_rate
from .learning import check_weights_moved as check_weights_moved
from .learning import examine_learning as examine_learning
from .learning import level_errors as level_errors
from .learning import overfit_finding as overfit_finding
from .learning import update_ratio as update_ratio
from .observation import Observation as Observation
from .observation import Sampling as Sampling
from .observation import observe as observe
from .plots import log_spectrogram as log_spectrogram
from .plots import loss_curve_image as loss_curve_image
from .plots import save_spectrogram as save_spectrogram
from .plots import spectrogram_image as spectrogram_image
from .possible import LevelMeter as LevelMeter
from .possible import Levels as Levels
from .possible import LinearDenoiser as LinearDenoiser
from .possible import LossMarks as LossMarks
from .possible import check_answer_sign as check_answer_sign
from .possible import check_best as check_best
from .possible import check_share as check_share
from .possible import check_trivial_loss as check_trivial_loss
from .possible import compare_losses as compare_losses
from .possible import examine_losses as examine_losses
from .possible import measure_levels as measure_levels
from .possible import read_levels as read_levels
from .possible import write_levels as write_levels
from .report import CurvePlot as CurvePlot
from .report import MetricRow as MetricRow
from .report import Remark as Remark
from .report import Report as Report
from .report import Section as Section
from .report import Sound as Sound
from .report import Verdict as Verdict
from .report import format_table as format_table
from .report_html import write_report as write_report
from .wav import wav_bytes as wav_bytes

__all__ = [
    "SEVERITIES",
    "ChannelStatistics",
    "CurvePlot",
    "Diagnosis",
    "Examined",
    "Finding",
    "LevelErrors",
    "LevelMeter",
    "Levels",
    "LinearDenoiser",
    "LossMarks",
    "MetricRow",
    "Observation",
    "Part",
    "Remark",
    "Report",
    "Sampling",
    "Section",
    "Severity",
    "Sound",
    "Verdict",
    "channel_statistics",
    "check_answer_sign",
    "check_attention",
    "check_batch_norm",
    "check_best",
    "check_dead_channels",
    "check_dead_latents",
    "check_decoder_robustness",
    "check_duplicate_latents",
    "check_ema",
    "check_encoder_draws",
    "check_gradients",
    "check_latent_dimensions",
    "check_latent_scale",
    "check_latent_values",
    "check_latent_whiteness",
    "check_learning_rate",
    "check_noise_level",
    "check_output_range",
    "check_overfit",
    "check_overfitting",
    "check_recorded_rate",
    "check_round_trip",
    "check_share",
    "check_trivial_loss",
    "check_weights_moved",
    "compare_losses",
    "examine_code",
    "examine_latents",
    "examine_learning",
    "examine_losses",
    "examine_parts",
    "faults",
    "findings_text",
    "format_table",
    "level_errors",
    "log_spectrogram",
    "loss_curve_image",
    "measure_levels",
    "observe",
    "overfit_finding",
    "read_levels",
    "save_comparison",
    "save_spectrogram",
    "spectrogram_image",
    "update_ratio",
    "wav_bytes",
    "worst",
    "write_aside",
    "write_levels",
    "write_report",
]
