"""The compiled checksum where there is one, the plain one elsewhere: their values are equal."""

from __future__ import annotations

try:
    from awscrt.checksums import crc64nvme as crc64
except ImportError:
    from storage_core.log.crc64 import crc64

__all__ = ["crc64"]
