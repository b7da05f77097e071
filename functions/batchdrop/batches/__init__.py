"""The life of a batch: packed, written, sent again, cut, collected, accounted for."""
