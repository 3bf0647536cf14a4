"""CRC-64/NVME, compiled: the one checksum of the store.

It is Azure Storage's own CRC64, so one value travels from a client's header to the disk, to the
replicas and back in the response. 4 KiB cost about 0.2 us; any contiguous buffer is taken without a
copy. Where nothing compiled runs, `storage_core.log.crc64` gives equal values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from awscrt.checksums import crc64nvme

# The checksum of what the second argument covers (by default nothing) followed by the buffer. The
# name is enough: a function around it would be called eight times for each write.
crc64: Final[Callable[..., int]] = crc64nvme
