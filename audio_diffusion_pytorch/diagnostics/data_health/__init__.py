"""What the data are: how loud, how clean, how many, and whether they fit the noise schedule."""

from .batches import check_batch_dependence as check_batch_dependence
from .batches import check_min_max as check_min_max
from .clipping import check_clipping as check_clipping
from .examine import examine_data as examine_data
from .flat_tops import FlatTops as FlatTops
from .flat_tops import flat_tops as flat_tops
from .input_scale import check_input_scale as check_input_scale
from .lengths import check_lengths as check_lengths
from .lengths import check_padding as check_padding
from .levels import check_dc as check_dc
from .levels import check_finite as check_finite
from .levels import check_level as check_level
from .levels import check_peak as check_peak
from .levels import check_silence as check_silence
from .rates import check_bandwidth as check_bandwidth
from .rates import check_readable as check_readable
from .rates import check_sample_rates as check_sample_rates
from .same_sound import same_sounds as same_sounds
from .scan import FolderScan as FolderScan
from .scan import ScanLimits as ScanLimits
from .scan import scan_folder as scan_folder
from .sounds import SoundFacts as SoundFacts
from .sounds import measure_clips as measure_clips
from .sounds import measure_sound as measure_sound
from .stereo import check_channels as check_channels
from .stereo import check_mono_twice as check_mono_twice
from .stereo import check_polarity as check_polarity
from .variety import check_distinct as check_distinct
from .variety import check_duplicates as check_duplicates

__all__ = [
    "FlatTops",
    "FolderScan",
    "ScanLimits",
    "SoundFacts",
    "check_bandwidth",
    "check_batch_dependence",
    "check_channels",
    "check_clipping",
    "check_dc",
    "check_distinct",
    "check_duplicates",
    "check_finite",
    "check_input_scale",
    "check_lengths",
    "check_level",
    "check_min_max",
    "check_mono_twice",
    "check_padding",
    "check_peak",
    "check_polarity",
    "check_readable",
    "check_sample_rates",
    "check_silence",
    "examine_data",
    "flat_tops",
    "measure_clips",
    "measure_sound",
    "same_sounds",
    "scan_folder",
]
