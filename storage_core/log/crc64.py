"""CRC-64/NVME in plain Python, for where no compiled one runs.

Problem: the simulator runs under PyPy, where a 64-bit integer does not fit a tagged machine word
and every step would allocate (279 us for 4 KiB). Idea: keep the register as two halves of 32 bits,
which stay machine integers (14 us). What always holds: the values equal those of
`storage_core.io.checksum`, so that a log written under one is read under the other.

Parameters: polynomial 0xAD93D23594C93659, bits reflected, register and result inverted; the
checksum of b"123456789" is 0xAE8B14860A799888.
"""

from __future__ import annotations

from typing import List, Tuple, Union

_POLYNOMIAL_REFLECTED = 0x9A6C9329AC4BC9B5
_MASK = 0xFFFFFFFF


def _tables() -> Tuple[List[int], List[int]]:
    low_table = []
    high_table = []
    for byte in range(256):
        register = byte
        for _ in range(8):
            register = (register >> 1) ^ (_POLYNOMIAL_REFLECTED if register & 1 else 0)
        low_table.append(register & _MASK)
        high_table.append(register >> 32)
    return low_table, high_table


_LOW, _HIGH = _tables()


def crc64(buffer: Union[bytes, bytearray, memoryview], previous: int = 0) -> int:
    """The checksum of what `previous` covers followed by `buffer`."""
    low_table = _LOW
    high_table = _HIGH
    low = (previous & _MASK) ^ _MASK
    high = (previous >> 32) ^ _MASK
    for byte in bytes(buffer):
        row = (low ^ byte) & 0xFF
        low = ((low >> 8) | (high & 0xFF) << 24) ^ low_table[row]
        high = (high >> 8) ^ high_table[row]
    return (high ^ _MASK) << 32 | (low ^ _MASK)
