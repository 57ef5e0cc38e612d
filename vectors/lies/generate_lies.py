#!/usr/bin/env python3
"""Writes the test vectors against members who lie, `vectors/lies/*.json`, or checks them.

    python3 generate_lies.py            write every file
    python3 generate_lies.py --check    compare every file with what would be written

Like `generate.py`, from which it takes the key derivation, this is an implementation of its own.
Nothing in it is random and nothing is meant to be secure.

    refresh     open the Welcome of a leaf refresh, `message`, for the group `group_id`. Accepted: what
                it says; and the partner writes the same message. As elsewhere, the secret is that of a
                pairing's tape, in a group it is that of the group's

The layer that refuses:

    refresh: malformed, other group, forged
"""

import hashlib
import sys

from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate import (  # noqa: E402
    GROUP_ID,
    PASSIVE,
    SUITES,
    accepted,
    data,
    pairing,
    refused,
    run,
    uint,
    vector,
)

VERSION = 2
REFRESH = 9
EPOCH = 0x0102_0304_0506_0708
FILES = {}


def write(name, kind, suite, description, expected, **inputs):
    head = {"kind": kind, "description": description, "suite": suite.number}
    FILES[f"{name}.json"] = {**head, **inputs, "expected": expected}


def digest(suite, content):
    name = {32: "sha256", 48: "sha384", 64: "sha512"}[suite.nh]
    return hashlib.new(name, content).digest()


def refresh_tag(tape, said):
    context = (
        vector(said["group_id"])
        + uint(said["epoch"], 8)
        + vector(said["tree_hash"])
        + vector(digest(tape.suite, said["welcome"]))
    )
    suite = tape.suite
    return suite.expand_with_label(tape.accept_secret, "refresh tag", context, suite.nh)


def refresh_message(said, tag):
    body = (
        vector(said["group_id"])
        + uint(said["epoch"], 8)
        + vector(said["tree_hash"])
        + vector(said["welcome"])
        + vector(tag)
    )
    return uint(VERSION, 1) + uint(REFRESH, 1) + vector(body)


def refreshes():
    for suite in SUITES.values():
        tape, start = pairing(suite, PASSIVE)
        said = {
            "group_id": GROUP_ID,
            "epoch": EPOCH,
            "tree_hash": data("tree hash", suite.nh),
            "welcome": data("welcome", 90),
        }
        tag = refresh_tag(tape, said)
        inputs = {"tape": start, "group_id": GROUP_ID}
        write(
            f"refresh-suite-{suite.number}-accepted",
            "refresh",
            suite,
            "The Welcome of a leaf refresh that a partner has made.",
            accepted(**{name: said[name] for name in ("epoch", "tree_hash", "welcome")}),
            **inputs,
            message=refresh_message(said, tag),
        )
        if suite.number != 1:
            continue
        stranger, _ = pairing(suite, PASSIVE, "another seed")
        wrong = lambda name, description, message, layer: write(
            f"refresh-suite-1-{name}", "refresh", suite, description,
            refused(f"refresh: {layer}"), **inputs, message=message,
        )
        wrong("other-tape", "The tag is from another tape: a member has made it.",
              refresh_message(said, refresh_tag(stranger, said)), "forged")
        wrong("other-welcome", "The Welcome is another one.",
              refresh_message({**said, "welcome": data("another welcome", 90)}, tag), "forged")
        wrong("other-epoch", "The epoch is another one.",
              refresh_message({**said, "epoch": EPOCH + 1}, tag), "forged")
        other = {**said, "group_id": b"another group"}
        wrong("other-group", "It is for another group.",
              refresh_message(other, refresh_tag(tape, other)), "other group")
        wrong("no-tag", "The tag is empty.", refresh_message(said, b""), "forged")
        wrong("truncated", "The last byte is missing.", refresh_message(said, tag)[:-1],
              "malformed")
        wrong("trailing", "A byte follows.", refresh_message(said, tag) + b"\0", "malformed")


def main():
    refreshes()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
