#!/usr/bin/env python3
"""Writes the test vectors against members who lie, `vectors/lies/*.json`, or checks them.

    python3 generate_lies.py            write every file
    python3 generate_lies.py --check    compare every file with what would be written

Like `generate.py`, from which it takes the key derivation, this is an implementation of its own.
Nothing in it is random and nothing is meant to be secure.

    refresh     open the Welcome of a leaf refresh, `message`, for the group `group_id`. Accepted: what
                it says; and the partner writes the same message. As elsewhere, the secret is that of a
                pairing's tape, in a group it is that of the group's
    chain       open the refresh chain `message` of a partner in `pairing`, at the time `now`. Accepted: whose it is,
                its places on the tape and its KeyPackages; and the partner writes the same message. The
                keys are not from the tape here: whoever adopts a chain checks that too

The layer that refuses:

    refresh: malformed, other group, forged
    chain: malformed, other pairing, other device, forged, last resort, window, order, twice, ended
"""

import hashlib
import sys

from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate import (  # noqa: E402
    ACTIVE,
    GROUP_ID,
    PASSIVE,
    THIRD,
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
CHAIN = 12
HOUR = 60 * 60
DAY = 24 * HOUR
NOW = 1_800_000_000
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


def key_package(suite, window, last_resort=False):
    """RFC 9420 section 10, with a basic credential; what signs and what is encrypted to is of no matter here."""
    last = uint(0x000A, 2) + vector(b"")
    leaf = (
        vector(data("encryption key", suite.nh))
        + vector(data("signature key", suite.nh))
        + uint(1, 2) + vector(b"sensor")
        + vector(uint(1, 2)) + vector(uint(suite.number, 2)) + vector(b"") + vector(b"") + vector(uint(1, 2))
        + uint(1, 1) + uint(window[0], 8) + uint(window[1], 8)
        + vector(b"")
        + vector(data("leaf signature", 64))
    )
    return (
        uint(1, 2) + uint(5, 2)
        + uint(1, 2) + uint(suite.number, 2)
        + vector(data("init key", suite.nh))
        + leaf
        + vector(last if last_resort else b"")
        + vector(data("signature", 64))
    )


def chain_packages(packages):
    each = (uint(device, 2) + uint(position, 6) + vector(package) for device, position, package in packages)
    return vector(b"".join(each))


def chain_tag(tape, pairing_id, device, packages):
    suite = tape.suite
    context = pairing_id + uint(device, 2) + vector(digest(suite, chain_packages(packages)))
    return suite.expand_with_label(tape.accept_secret, "refresh chain", context, suite.nh)


def chain_message(pairing_id, device, packages, tag):
    body = pairing_id + uint(device, 2) + chain_packages(packages) + vector(tag)
    return uint(VERSION, 1) + uint(CHAIN, 1) + vector(body)


def chains():
    for suite in SUITES.values():
        tape, start = pairing(suite, PASSIVE)
        ours = start["pairing_id"]
        window = lambda n: (NOW - HOUR + n * 70 * DAY, NOW - HOUR + n * 70 * DAY + 84 * DAY)
        of = lambda *windows: [
            (ACTIVE, n, key_package(suite, each)) for n, each in enumerate(windows)
        ]

        def message(packages, device=ACTIVE, pairing_id=ours, tape=tape):
            tag = chain_tag(tape, pairing_id, device, packages)
            return chain_message(pairing_id, device, packages, tag)

        inputs = {"tape": start, "pairing": ours, "now": NOW}
        packages = of(window(0), window(0), window(1), window(2))
        good = message(packages)
        write(
            f"chain-suite-{suite.number}-accepted", "chain", suite,
            "The refresh chain of a partner: two of the first window, and one of each that follows.",
            accepted(
                device=ACTIVE,
                positions=[position for _, position, _ in packages],
                key_packages=[package for _, _, package in packages],
            ),
            **inputs, message=good,
        )
        if suite.number != 1:
            continue
        wrong = lambda name, description, message, layer: write(
            f"chain-suite-1-{name}", "chain", suite, description,
            refused(f"chain: {layer}"), **inputs, message=message,
        )
        stranger, _ = pairing(suite, PASSIVE, "another seed")
        wrong("other-tape", "The tag is from another tape: somebody with the signature key has made it.",
              message(packages, tape=stranger), "forged")
        tag = chain_tag(tape, ours, ACTIVE, packages)
        wrong("one-less", "The last KeyPackage is left out.",
              chain_message(ours, ACTIVE, packages[:-1], tag), "forged")
        wrong("other-name", "It names another device.", chain_message(ours, THIRD, packages, tag), "forged")
        wrong("own", "It is of the device that opens it.", message(packages, PASSIVE), "other device")
        wrong("stranger", "It is of a device that is not of the pairing.", message(packages, 3), "other device")
        wrong("other-lane", "A KeyPackage is from the lane of another device.",
              message([(THIRD, 0, packages[0][2])]), "other device")
        other = data("another pairing", 16)
        wrong("other-pairing", "It is of another pairing.", message(packages, pairing_id=other), "other pairing")
        wrong("gap", "A window begins after the one before it has ended.", message(of(window(0), window(2))), "order")
        wrong("backwards", "The windows go back.", message(of(window(1), window(0))), "order")
        wrong("inside", "A window lies inside of the one before it.",
              message(of(window(0), (NOW, NOW + DAY))), "order")
        wrong("long", "A window is longer than 84 days and an hour.",
              message(of((NOW, NOW + 84 * DAY + HOUR + 1))), "window")
        wrong("empty-window", "A window ends when it begins.", message(of((NOW, NOW))), "window")
        wrong("twice", "Two KeyPackages have the same place on the tape.",
              message([packages[0], packages[0]]), "twice")
        wrong("last-resort", "A KeyPackage is one of the last resort.",
              message([(ACTIVE, 0, key_package(suite, window(0), last_resort=True))]), "last resort")
        wrong("ended", "All of it has ended.", message(of((NOW - 84 * DAY, NOW))), "ended")
        wrong("empty", "There is no KeyPackage in it.", message([]), "ended")
        wrong("no-key-package", "What it has is no KeyPackage.", message([(ACTIVE, 0, b"no KeyPackage")]), "malformed")
        wrong("truncated", "The last byte is missing.", good[:-1], "malformed")
        wrong("trailing", "A byte follows.", good + b"\0", "malformed")


def main():
    refreshes()
    chains()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
