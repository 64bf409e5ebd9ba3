"""The most memory that this process has held."""

from __future__ import annotations

import re
import resource
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak_rss_mb(status: Path = STATUS) -> float:
    """Peak resident set in MB (1024 * 1024 bytes), since this program began.

    The kernel's VmHWM; getrusage's number is older than the program: it begins at what the process held that started
    it (Linux carries it over execve), and stands in only where there is no /proc.
    """
    try:
        found = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text("ascii", "replace"), re.MULTILINE)
    except OSError:
        found = None
    kilobytes = int(found[1]) if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kilobytes / 1024
