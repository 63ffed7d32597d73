"""CRC-32C of records and snapshots, by the `crc32c` package.

The package is imported with the first checksum: its import reads its own metadata, which would be
a tenth of the broker's start.
"""

from pykbroker.protocol.primitives import Buffer


def crc32c(data: Buffer, value: int = 0) -> int:
    """Return the CRC-32C (Castagnoli) of the data, an unsigned 32-bit number.

    Args:
        data: What to check.
        value: The checksum of what goes before the data, which comes in pieces.
    """
    from crc32c import crc32c as fast_crc32c

    globals()["crc32c"] = fast_crc32c
    return fast_crc32c(data, value)
