"""Which row was the first to have a fingerprint, for as many rows as there may be."""

FINGERPRINT_BYTES = 16
ROW_BYTES = 8
ENTRY_BYTES = FINGERPRINT_BYTES + ROW_BYTES
BUCKETS = 2**14


class FirstRows:
    """The first row of each fingerprint, in some 26 bytes a row (of 300,000); a dict of such fingerprints takes 116.

    Fingerprints stand beside their rows in buckets of some bytes, and are searched there.
    """

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]

    def setdefault(self, fingerprint: bytes, row: int) -> int:
        """Return the row that was given first with a fingerprint."""
        bucket = self._buckets[(fingerprint[0] << 8 | fingerprint[1]) % BUCKETS]
        place = bucket.find(fingerprint)
        while place % ENTRY_BYTES and place > 0:  # parts of two entries, by chance
            place = bucket.find(fingerprint, place + 1)
        if place < 0:
            bucket += fingerprint
            bucket += row.to_bytes(ROW_BYTES)
            return row
        return int.from_bytes(bucket[place + FINGERPRINT_BYTES : place + ENTRY_BYTES])
