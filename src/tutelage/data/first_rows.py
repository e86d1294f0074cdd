"""Which row was the first to have a fingerprint, for as many rows as there may be."""

FINGERPRINT_BYTES = 16
ROW_BYTES = 8
BUCKETS = 2**14


class FirstRows:
    """The first row of each fingerprint, in some 35 bytes a row; a dict of such numbers takes 115.

    Fingerprints stand beside their rows in buckets of some bytes, and are searched there.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, bytearray] = {}

    def setdefault(self, fingerprint: int, row: int) -> int:
        """Return the row that was given first with a fingerprint."""
        bucket = self._buckets.setdefault(fingerprint % BUCKETS, bytearray())
        own = fingerprint.to_bytes(FINGERPRINT_BYTES)
        place = bucket.find(own)
        while place % (FINGERPRINT_BYTES + ROW_BYTES) and place > 0:  # parts of two entries, by chance
            place = bucket.find(own, place + 1)
        if place < 0:
            bucket += own + row.to_bytes(ROW_BYTES)
            return row
        return int.from_bytes(bucket[place + FINGERPRINT_BYTES : place + FINGERPRINT_BYTES + ROW_BYTES])
