"""What a worker measures beside time: operations, copies, the speed of products, memory.

Only torch is imported: the process of 0.1.3 uses this too.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import conv1d
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

COPYING = (
    "clone",
    "copy_",
    "_to_copy",
    "cat",
    "stack",
    "repeat",
    "constant_pad_nd",
    "index_select",
)
STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
MARGIN = 2**20  # the kernel counts pages in batches


class Flops(TorchDispatchMode):
    """Adds up the operations that torch's flop counter knows, in `flops`.

    torch's own `FlopCounterMode` also tells modules apart, which fails where closures hold them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        count = flop_registry.get(func.overloadpacket)
        if count is None:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
        out = func(*args, **kwargs)
        self.flops += 0 if count is None else int(count(*args, **kwargs, out_val=out))
        return out


def count_flops(call: Callable[[], object]) -> int:
    """Return the floating point operations of the products and convolutions in a call.

    A multiplication and an addition are two. Attention is made of plain products meanwhile: the
    counter does not know the fused kernel of CPUs.
    """
    with sdpa_kernel(SDPBackend.MATH), Flops() as counter:
        call()
    return counter.flops


class Copies(TorchDispatchMode):
    """Adds up the bytes that operations which only move numbers write, in `bytes`.

    Copies inside a kernel, such as a layout that a convolution prefers, are not seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket.__name__ in COPYING and isinstance(out, Tensor):
            self.bytes += out.numel() * out.element_size()
        return out


def product_rate(size: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return the operations a second of a product of two square matrices."""
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return 2 * size**3 / _seconds(lambda: torch.mm(left, right), device)


def convolution_rate(channels: int, length: int, dtype: torch.dtype, device: torch.device) -> float:
    """Return the operations a second of a convolution of three taps, between equal channels."""
    x = torch.randn(1, channels, length, device=device).to(dtype)
    weight = torch.randn(channels, channels, 3, device=device).to(dtype)
    with torch.no_grad():
        seconds = _seconds(lambda: conv1d(x, weight, padding=1), device)
    return 2 * channels * channels * (3 * length - 2) / seconds


def _seconds(call: Callable[[], object], device: torch.device) -> float:
    """Return the median time of three calls, after one that is not timed."""
    times = []
    for _ in range(4):
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        began = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def trim() -> None:
    """Give freed memory back to the system, so that what is resident is in use."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def peak_of(call: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Return how many bytes more than before were in use at the worst moment of a call.

    On CUDA these are the bytes of torch's allocator. On a CPU they are resident bytes of this
    process, so whatever a library takes for itself counts too: on Linux by the kernel's mark of the
    highest so far, which is reset before; elsewhere by how much the peak of the process rises.

    Raises:
        RuntimeError: If the system cannot tell, as an earlier peak was higher.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        torch.cuda.synchronize(device)
        return {"bytes": torch.cuda.max_memory_allocated(device) - before, "how": "cuda allocator"}
    if STATUS.exists():
        with contextlib.suppress(OSError):
            RESET.write_text("5")  # the mark falls to what is resident now
        before, mark, peak_now = _status("VmRSS"), _status("VmHWM"), partial(_status, "VmHWM")
        how = "resident, by the kernel's mark"
    else:
        before = mark = _process_peak()
        peak_now, how = _process_peak, "rise of the peak of the process"
    call()
    peak = peak_now()
    if peak <= mark and mark - before > MARGIN:
        raise RuntimeError("this system does not reset the peak memory, and an earlier was higher")
    return {"bytes": peak - before, "how": how}


def _status(name: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def _process_peak() -> int:
    try:
        import resource
    except ImportError as error:  # Windows
        raise RuntimeError("this system does not tell the peak memory of a process") from error
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
