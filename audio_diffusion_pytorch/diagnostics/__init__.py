"""What a model, its data and its training tell about themselves, and the report that shows it."""

from .comparison import save_comparison as save_comparison
from .conditioning_health import SamplingLike as SamplingLike
from .conditioning_health import condition_against_target as condition_against_target
from .conditioning_health import condition_at_sampling as condition_at_sampling
from .conditioning_health import condition_influence as condition_influence
from .conditioning_health import condition_leak as condition_leak
from .conditioning_health import condition_spread as condition_spread
from .conditioning_health import conditioner_gain as conditioner_gain
from .conditioning_health import examine_conditioning as examine_conditioning
from .conditioning_health import label_identity as label_identity
from .conditioning_health import null_condition as null_condition
from .conditioning_health import probe_conditioner_gain as probe_conditioner_gain
from .conditioning_health import sampling_like as sampling_like
from .conditioning_health import shared_recordings as shared_recordings
from .data_health import FlatTops as FlatTops
from .data_health import FolderScan as FolderScan
from .data_health import ScanLimits as ScanLimits
from .data_health import SoundFacts as SoundFacts
from .data_health import check_bandwidth as check_bandwidth
from .data_health import check_batch_dependence as check_batch_dependence
from .data_health import check_channels as check_channels
from .data_health import check_clipping as check_clipping
from .data_health import check_dc as check_dc
from .data_health import check_distinct as check_distinct
from .data_health import check_duplicates as check_duplicates
from .data_health import check_finite as check_finite
from .data_health import check_input_scale as check_input_scale
from .data_health import check_lengths as check_lengths
from .data_health import check_level as check_level
from .data_health import check_min_max as check_min_max
from .data_health import check_mono_twice as check_mono_twice
from .data_health import check_padding as check_padding
from .data_health import check_peak as check_peak
from .data_health import check_polarity as check_polarity
from .data_health import check_readable as check_readable
from .data_health import check_sample_rates as check_sample_rates
from .data_health import check_silence as check_silence
from .data_health import examine_data as examine_data
from .data_health import flat_tops as flat_tops
from .data_health import measure_clips as measure_clips
from .data_health import measure_sound as measure_sound
from .data_health import same_sounds as same_sounds
from .data_health import scan_folder as scan_folder
from .diagnosis import GROUP_TITLES as GROUP_TITLES
from .diagnosis import Diagnosis as Diagnosis
from .diagnosis import Examined as Examined
from .diagnosis import Part as Part
from .diagnosis import examine_parts as examine_parts
from .doctor import cannot_work as cannot_work
from .doctor import examine_end as examine_end
from .doctor import examine_folder as examine_folder
from .doctor import examine_model as examine_model
from .doctor import examine_start as examine_start
from .doctor_parts import examine_sounds as examine_sounds
from .files import write_aside as write_aside
from .finding import SEVERITIES as SEVERITIES
from .finding import Finding as Finding
from .finding import Severity as Severity
from .finding import faults as faults
from .finding import findings_text as findings_text
from .finding import worst as worst
from .gathering import attempt as attempt
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
from .model_summary import ModelSummary as ModelSummary
from .model_summary import ReceptiveField as ReceptiveField
from .model_summary import WeightCounts as WeightCounts
from .model_summary import clip_call as clip_call
from .model_summary import count_weights as count_weights
from .model_summary import measure_receptive_field as measure_receptive_field
from .model_summary import network_call as network_call
from .model_summary import summarize_model as summarize_model
from .numerics import BlockHealth as BlockHealth
from .numerics import Culprit as Culprit
from .numerics import NumericsWatch as NumericsWatch
from .numerics import called_blocks as called_blocks
from .numerics import check_numerics as check_numerics
from .numerics import numerics_finding as numerics_finding
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
from .sampling_health import check_finite_samples as check_finite_samples
from .sampling_health import check_memorisation as check_memorisation
from .sampling_health import check_repeatability as check_repeatability
from .sampling_health import check_sample_clipping as check_sample_clipping
from .sampling_health import check_sample_dc as check_sample_dc
from .sampling_health import check_sample_level as check_sample_level
from .sampling_health import check_sample_silence as check_sample_silence
from .sampling_health import check_sample_spectrum as check_sample_spectrum
from .sampling_health import check_sample_variety as check_sample_variety
from .sampling_health import check_solver_sweep as check_solver_sweep
from .sampling_health import check_step_sweep as check_step_sweep
from .sampling_health import examine_sampling as examine_sampling
from .sampling_health import spectral_distance as spectral_distance
from .schedule_health import AlignedLevels as AlignedLevels
from .schedule_health import PerfectWalk as PerfectWalk
from .schedule_health import ScheduleRow as ScheduleRow
from .schedule_health import align_levels as align_levels
from .schedule_health import check_batch_levels as check_batch_levels
from .schedule_health import check_clean_bound as check_clean_bound
from .schedule_health import check_first_step as check_first_step
from .schedule_health import check_level_coverage as check_level_coverage
from .schedule_health import check_levels_kept as check_levels_kept
from .schedule_health import check_levels_visited as check_levels_visited
from .schedule_health import check_noise_kept as check_noise_kept
from .schedule_health import check_parameterization as check_parameterization
from .schedule_health import check_perfect_network as check_perfect_network
from .schedule_health import check_sampling_grid as check_sampling_grid
from .schedule_health import check_start_noise as check_start_noise
from .schedule_health import check_taught_target as check_taught_target
from .schedule_health import check_terminal_snr as check_terminal_snr
from .schedule_health import draw_training_times as draw_training_times
from .schedule_health import examine_schedule as examine_schedule
from .schedule_health import known_schedules as known_schedules
from .schedule_health import schedule_table as schedule_table
from .schedule_health import schedule_table_text as schedule_table_text
from .schedule_health import walk_perfectly as walk_perfectly
from .subject import Subject as Subject
from .subject import as_clips as as_clips
from .subject import collection_of as collection_of
from .subject import read_clips as read_clips
from .subject import sampled_by as sampled_by
from .subject import set_sampler as set_sampler
from .trajectory import NetCall as NetCall
from .trajectory import RealLevel as RealLevel
from .trajectory import Reference as Reference
from .trajectory import Trajectory as Trajectory
from .trajectory import TrueLevel as TrueLevel
from .trajectory import check_clamped_state as check_clamped_state
from .trajectory import check_guesses as check_guesses
from .trajectory import check_told_levels as check_told_levels
from .trajectory import check_trajectory as check_trajectory
from .trajectory import examine_trajectory as examine_trajectory
from .trajectory import real_reference as real_reference
from .trajectory import record_trajectory as record_trajectory
from .trajectory import times_told as times_told
from .trajectory import true_level as true_level
from .wav import wav_bytes as wav_bytes

__all__ = [
    "GROUP_TITLES",
    "SEVERITIES",
    "AlignedLevels",
    "BlockHealth",
    "ChannelStatistics",
    "Culprit",
    "CurvePlot",
    "Diagnosis",
    "Examined",
    "Finding",
    "FlatTops",
    "FolderScan",
    "LevelErrors",
    "LevelMeter",
    "Levels",
    "LinearDenoiser",
    "LossMarks",
    "MetricRow",
    "ModelSummary",
    "NetCall",
    "NumericsWatch",
    "Observation",
    "Part",
    "PerfectWalk",
    "RealLevel",
    "ReceptiveField",
    "Reference",
    "Remark",
    "Report",
    "Sampling",
    "SamplingLike",
    "ScanLimits",
    "ScheduleRow",
    "Section",
    "Severity",
    "Sound",
    "SoundFacts",
    "Subject",
    "Trajectory",
    "TrueLevel",
    "Verdict",
    "WeightCounts",
    "align_levels",
    "as_clips",
    "attempt",
    "called_blocks",
    "cannot_work",
    "channel_statistics",
    "check_answer_sign",
    "check_attention",
    "check_bandwidth",
    "check_batch_dependence",
    "check_batch_levels",
    "check_batch_norm",
    "check_best",
    "check_channels",
    "check_clamped_state",
    "check_clean_bound",
    "check_clipping",
    "check_dc",
    "check_dead_channels",
    "check_dead_latents",
    "check_decoder_robustness",
    "check_distinct",
    "check_duplicate_latents",
    "check_duplicates",
    "check_ema",
    "check_encoder_draws",
    "check_finite",
    "check_finite_samples",
    "check_first_step",
    "check_gradients",
    "check_guesses",
    "check_input_scale",
    "check_latent_dimensions",
    "check_latent_scale",
    "check_latent_values",
    "check_latent_whiteness",
    "check_learning_rate",
    "check_lengths",
    "check_level",
    "check_level_coverage",
    "check_levels_kept",
    "check_levels_visited",
    "check_memorisation",
    "check_min_max",
    "check_mono_twice",
    "check_noise_kept",
    "check_noise_level",
    "check_numerics",
    "check_output_range",
    "check_overfit",
    "check_overfitting",
    "check_padding",
    "check_parameterization",
    "check_peak",
    "check_perfect_network",
    "check_polarity",
    "check_readable",
    "check_recorded_rate",
    "check_repeatability",
    "check_round_trip",
    "check_sample_clipping",
    "check_sample_dc",
    "check_sample_level",
    "check_sample_rates",
    "check_sample_silence",
    "check_sample_spectrum",
    "check_sample_variety",
    "check_sampling_grid",
    "check_share",
    "check_silence",
    "check_solver_sweep",
    "check_start_noise",
    "check_step_sweep",
    "check_taught_target",
    "check_terminal_snr",
    "check_told_levels",
    "check_trajectory",
    "check_trivial_loss",
    "check_weights_moved",
    "clip_call",
    "collection_of",
    "compare_losses",
    "condition_against_target",
    "condition_at_sampling",
    "condition_influence",
    "condition_leak",
    "condition_spread",
    "conditioner_gain",
    "count_weights",
    "draw_training_times",
    "examine_code",
    "examine_conditioning",
    "examine_data",
    "examine_end",
    "examine_folder",
    "examine_latents",
    "examine_learning",
    "examine_losses",
    "examine_model",
    "examine_parts",
    "examine_sampling",
    "examine_schedule",
    "examine_sounds",
    "examine_start",
    "examine_trajectory",
    "faults",
    "findings_text",
    "flat_tops",
    "format_table",
    "known_schedules",
    "label_identity",
    "level_errors",
    "log_spectrogram",
    "loss_curve_image",
    "measure_clips",
    "measure_levels",
    "measure_receptive_field",
    "measure_sound",
    "network_call",
    "null_condition",
    "numerics_finding",
    "observe",
    "overfit_finding",
    "probe_conditioner_gain",
    "read_clips",
    "read_levels",
    "real_reference",
    "record_trajectory",
    "same_sounds",
    "sampled_by",
    "sampling_like",
    "save_comparison",
    "save_spectrogram",
    "scan_folder",
    "schedule_table",
    "schedule_table_text",
    "set_sampler",
    "shared_recordings",
    "spectral_distance",
    "spectrogram_image",
    "summarize_model",
    "times_told",
    "true_level",
    "update_ratio",
    "walk_perfectly",
    "wav_bytes",
    "worst",
    "write_aside",
    "write_levels",
    "write_report",
]
