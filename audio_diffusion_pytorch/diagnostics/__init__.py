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
from .observation import Observation as Observation
from .observation import Sampling as Sampling
from .observation import observe as observe
from .plots import log_spectrogram as log_spectrogram
from .plots import loss_curve_image as loss_curve_image
from .plots import save_spectrogram as save_spectrogram
from .plots import spectrogram_image as spectrogram_image
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
    "CurvePlot",
    "Diagnosis",
    "Examined",
    "Finding",
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
    "examine_parts",
    "faults",
    "findings_text",
    "format_table",
    "log_spectrogram",
    "loss_curve_image",
    "observe",
    "save_comparison",
    "save_spectrogram",
    "spectrogram_image",
    "wav_bytes",
    "worst",
    "write_aside",
    "write_report",
]
