#!/usr/bin/env python3
"""canonical-values.py COUNT [SEED]: random JSON values, with what CPython's `json.dumps` makes of them.

One a line, three texts separated by tabs: the value as somebody might write it, `json.dumps(value, sort_keys=True)`, and
the same without spaces. Every run with the same seed prints the same. Left out is what Rust's reader does not take or
not keep: lone surrogates, integers beyond 64 bits, and `-0` without a point.
"""

import json
import random
import struct
import sys

# One of every kind that is written differently: ASCII, escapes, two, three and four bytes in UTF-8.
CHARACTERS = (
    "aB09 /<>&'\"\\\b\f\n\r\t\x00\x01\x1f\x7f"
    "\x80\xe9\xff\u07ff\u0800\u20ac\u2028\ud7ff\ue000\uffee\uffff\U0001f600\U00010000\U0010ffff"
)


def number(rng):
    kind = rng.randrange(8)
    if kind == 0:
        return rng.randrange(-10, 10)
    if kind == 1:
        return rng.randrange(-(2**63), 2**64)
    if kind == 2:
        return float(rng.randrange(-(10**6), 10**6))
    if kind == 3:
        return rng.choice([0.0, -0.0, 5e-324, 1.7976931348623157e308, 2.2250738585072014e-308, 0.1, 1e22, 1e23])
    if kind == 4:
        # Around the exponents where the notation changes.
        return rng.choice([-1, 1]) * rng.random() * 10.0 ** rng.randrange(-8, 20)
    if kind == 5:
        return round(rng.uniform(-1000, 1000), rng.randrange(8))
    if kind == 6:
        return rng.choice([-1, 1]) * float(2 ** rng.randrange(0, 80) + rng.randrange(-2, 3))
    while True:
        any_float = struct.unpack("<d", rng.randbytes(8))[0]
        if any_float - any_float == 0:
            return any_float


def text(rng):
    return "".join(rng.choices(CHARACTERS, k=rng.choice([0, 1, 2, 3, 8, 20])))


def value(rng, depth):
    kind = rng.randrange(10 if depth else 8)
    if kind < 3:
        return number(rng)
    if kind < 7:
        return text(rng)
    if kind == 7:
        return rng.choice([None, True, False])
    count = rng.choice([0, 1, 2, 3, 6])
    if kind == 8:
        return [value(rng, depth - 1) for _ in range(count)]
    return {text(rng): value(rng, depth - 1) for _ in range(count)}


def main():
    count = int(sys.argv[1])
    rng = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    sys.stdout.reconfigure(encoding="utf-8", newline="\n")
    for _ in range(count):
        any_value = value(rng, 3)
        plain = json.dumps(any_value, ensure_ascii=rng.random() < 0.5, separators=rng.choice([None, (",", ":"), (" , ", " :")]))
        spaced = json.dumps(any_value, sort_keys=True)
        compact = json.dumps(any_value, sort_keys=True, separators=(",", ":"))
        print(plain, spaced, compact, sep="\t")


if __name__ == "__main__":
    main()
