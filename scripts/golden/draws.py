"""The numbers that `packages/lm/src/random.ts` draws: a restarted adapter starts from them, whoever computes it."""

WORD = 0xFFFFFFFF


def mix32(*parts: int) -> int:
    """Murmur3's finaliser over 32-bit words."""
    h = 0x9E3779B9
    for part in parts:
        h = (h ^ part) * 0x85EBCA6B & WORD
        h = (h ^ h >> 13) * 0xC2B2AE35 & WORD
        h ^= h >> 16
    return h


def hash_name(name: str) -> int:
    h = 0
    for letter in name:
        h = mix32(h, ord(letter))
    return h


def uniform(seed: int):
    """Marsaglia's xorwow, numbers in [0, 1)."""
    x, y, z, w, v, counter = (mix32(seed, i) for i in range(1, 7))
    x |= 1
    while True:
        t = x ^ x >> 2
        x, y, z, w = y, z, w, v
        v = (v ^ v << 4 ^ t ^ t << 1) & WORD
        counter = (counter + 362437) & WORD
        yield (v + counter & WORD) / 2**32
