from pykbroker.protocol import crc


def test_the_checksum_is_castagnolis() -> None:
    # The check value of CRC-32C (RFC 3720, appendix B.4, has more): of the digits 1 to 9.
    for _ in range(2):
        assert crc.crc32c(b"123456789") == 0xE3069283
        assert crc.crc32c(memoryview(bytearray(32))) == 0x8A9136AA
