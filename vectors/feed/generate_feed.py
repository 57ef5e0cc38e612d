#!/usr/bin/env python3
"""Writes the test vectors of the one-way feed, `vectors/feed/*.json`, or checks them.

    python3 generate_feed.py            write every file
    python3 generate_feed.py --check    compare every file with what would be written

Like `generate.py`, from which it takes the encoding of vectors, this is an implementation of its own.
Nothing in it is random and nothing is meant to be secure.

    feed-bundle   open `bundle`, knowing the Ed25519 public keys `beacons`. Accepted: `key_id`, `time` and
                  `objects`; and the beacon with `signature_key`, given the same, seals the same bytes,
                  where `canonical` says so
    feed-packet   from the `packets` of a narrow link, of the beacon with `public_key`, in this order:
                  which of them are of the feed, the others are foreign; and the `bundle` that they make
    slip          `packet` as it stands on a stream of bytes

The layer that refuses:

    bundle: version, unknown beacon, forged, malformed
"""

import hashlib
import sys

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate import accepted, data, refused, run, uint, vector  # noqa: E402

VERSION = 1
LOG, MAILBOX, GROUP_INFO = 1, 2, 3
KINDS = {"commit": 1, "proposal": 2, "application": 3}
TIME = 1_800_000_000
FILES = {}


def write(name, kind, description, expected, **inputs):
    FILES[f"{name}.json"] = {
        "kind": kind, "description": description, **inputs, "expected": expected,
    }


class Beacon:
    def __init__(self, name):
        self.private = data(name, 32)
        self.key = Ed25519PrivateKey.from_private_bytes(self.private)
        self.public = self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        digest = hashlib.sha256(b"Paired MLS device\0" + b"ed25519" + b"\0" + self.public)
        self.device = digest.digest()
        self.key_id = self.device[:8]

    def seal(self, sections, time=TIME, version=VERSION, key_id=None):
        tbs = uint(version, 1) + (key_id or self.key_id) + uint(time, 8) + vector(sections)
        return tbs + vector(self.key.sign(vector(b"PMLS 02 FeedBundleTBS") + vector(tbs)))


BEACON, OTHER = Beacon("beacon"), Beacon("another beacon")
GROUP, DEVICE = data("group", 16), data("device", 32)


def chain_start(group):
    return hashlib.sha256(b"Paired MLS log\0" + group).digest()


def chain_next(chain, position, epoch, kind, message):
    said = uint(position, 8) + uint(epoch, 8) + kind.encode() + b"\0"
    digest = hashlib.sha256(message).digest()
    return hashlib.sha256(b"Paired MLS log entry\0" + chain + said + digest).digest()


def log(group, entries):
    """The objects of a log that begins with these entries, of (epoch, kind, message)."""
    chain, objects = chain_start(group), []
    for position, (epoch, kind, message) in enumerate(entries, 1):
        before, chain = chain, chain_next(chain, position, epoch, kind, message)
        objects.append({
            "object": "log", "group_id": group, "position": position, "epoch": epoch,
            "entry": kind, "message": message, "before": before, "chain": chain,
        })
    return objects


def section(kind, body):
    return uint(kind, 1) + vector(body)


def run_of(objects):
    first = objects[0]
    entries = b"".join(
        uint(KINDS[o["entry"]], 1) + uint(o["epoch"], 8) + vector(o["message"]) for o in objects
    )
    start = vector(first["group_id"]) + uint(first["position"], 8) + first["before"]
    return section(LOG, start + vector(entries))


def mail_of(objects):
    items = b"".join(uint(o["position"], 8) + vector(o["content"]) for o in objects)
    return section(MAILBOX, objects[0]["device"] + vector(items))


def info_of(o):
    body = vector(o["group_id"]) + uint(o["epoch"], 8) + vector(o["message"])
    return section(GROUP_INFO, body)


def bundle(name, description, sections, objects, canonical=True, beacon=BEACON, time=TIME):
    write(
        f"bundle-{name}", "feed-bundle", description,
        accepted(key_id=beacon.key_id, time=time, objects=objects),
        beacons=[OTHER.public, BEACON.public], signature_key=beacon.private,
        bundle=beacon.seal(sections, time), canonical=canonical,
    )


def bundles():
    entries = log(GROUP, [
        (4, "application", data("first", 40)),
        (4, "proposal", data("second", 70)),
        (4, "commit", data("third", 300)),
        (5, "application", b""),
        (5, "commit", data("fifth", 20_000)),
    ])
    mail = [
        {"object": "mail", "device": DEVICE, "position": p, "content": data(f"mail {p}", 90)}
        for p in (2**40, 7)
    ]
    info = {"object": "group-info", "group_id": GROUP, "epoch": 6, "message": data("info", 200)}
    one = run_of(entries[2:3])
    bundle("one-commit", "One commit, from the middle of a log.", one, entries[2:3])
    bundle("run", "Entries that follow one another are one run.", run_of(entries), entries)
    bundle("gap", "Two runs, with a gap between them.",
           run_of(entries[:2]) + run_of(entries[3:]), entries[:2] + entries[3:])
    bundle("all-kinds", "A log, a mailbox and a GroupInfo.",
           one + mail_of(mail) + info_of(info), entries[2:3] + mail + [info])
    bundle("two-groups", "The logs of two groups.",
           one + run_of(log(b"g", [(0, "commit", b"m")])),
           entries[2:3] + log(b"g", [(0, "commit", b"m")]))
    bundle("empty", "Nothing.", b"", [])
    bundle("unknown-section", "A section of an unknown kind is passed over.",
           section(200, data("later", 33)) + one, entries[2:3], canonical=False)
    bundle("split-run", "A run that was cut in two.",
           run_of(entries[:2]) + run_of(entries[2:]), entries, canonical=False)

    good = BEACON.seal(one)
    wrong = lambda name, description, message, layer: write(
        f"bundle-{name}", "feed-bundle", description, refused(f"bundle: {layer}"),
        beacons=[OTHER.public, BEACON.public], signature_key=BEACON.private,
        bundle=message, canonical=True,
    )
    stranger = Beacon("a stranger")
    flip = lambda at: good[:at] + bytes([good[at] ^ 1]) + good[at + 1:]
    wrong("version", "Another version.", BEACON.seal(one, version=2), "version")
    wrong("stranger", "Of a beacon that is not known.", stranger.seal(one), "unknown beacon")
    wrong("impostor", "With the name of the beacon, by another key.",
          stranger.seal(one, key_id=BEACON.key_id), "forged")
    wrong("changed-message", "A byte of the commit is changed.", flip(200), "forged")
    wrong("changed-time", "The time is changed.", flip(16), "forged")
    wrong("changed-signature", "The signature is changed.", flip(len(good) - 1), "forged")
    wrong("truncated", "The last byte is missing.", good[:-1], "malformed")
    wrong("trailing", "A byte follows.", good + b"\0", "malformed")
    start = vector(GROUP) + uint(1, 8) + chain_start(GROUP)
    signed = lambda name, description, sections: wrong(
        name, description, BEACON.seal(sections), "malformed")
    signed("unknown-entry", "Signed, and an entry is of an unknown kind.",
           section(LOG, start + vector(uint(4, 1) + uint(4, 8) + vector(b"m"))))
    signed("position-zero", "Signed, and a log begins with position 0.",
           section(LOG, vector(GROUP) + uint(0, 8) + chain_start(GROUP)
                   + vector(uint(1, 1) + uint(4, 8) + vector(b"m"))))
    signed("long-length", "Signed, and a length has more bytes than it needs.",
           section(LOG, b"\x40\x10" + GROUP + start[17:] + vector(b"")))
    signed("no-group", "Signed, and a group id is empty.",
           section(LOG, vector(b"") + start[17:] + vector(b"")))
    signed("section-trailing", "Signed, and a byte follows in a section.",
           section(GROUP_INFO, vector(GROUP) + uint(6, 8) + vector(b"info") + b"\0"))


def packets():
    whole = BEACON.seal(run_of(log(GROUP, [(4, "commit", data("third", 300))])))
    name = hashlib.sha256(whole).digest()[:4]
    for length in (29, 100, len(whole)):
        padded = whole + bytes(-len(whole) % length)
        symbols = [padded[at:at + length] for at in range(0, len(padded), length)]

        def packet(number, beacon=BEACON):
            rest = name + uint(len(whole), 3) + uint(number, 2) + symbols[number]
            return hashlib.sha256(beacon.device + rest).digest()[:4] + rest

        sent = [packet(number) for number in reversed(range(len(symbols)))]
        damaged = sent[0][:-1] + bytes([sent[0][-1] ^ 0x80])
        foreign = [damaged, packet(0, OTHER), b"", b"\0" * 13, sent[0][:12]]
        write(
            f"packet-{length}", "feed-packet",
            f"The source symbols of a bundle, of {length} bytes, backwards; and what is not of the feed.",
            accepted(of_feed=[False] * len(foreign) + [True] * len(sent), bundle=whole),
            public_key=BEACON.public, packets=foreign + sent,
        )


def frames():
    for name, packet in {
        "plain": b"packet", "end": b"\xc0", "escape": b"\xdb\xdc\xdb\xdd\xdb",
        "all": bytes(range(256)), "empty": b"",
    }.items():
        escaped = b"".join(
            {0xC0: b"\xdb\xdc", 0xDB: b"\xdb\xdd"}.get(byte, bytes([byte])) for byte in packet
        )
        write(f"slip-{name}", "slip", f"RFC 1055: {name}.",
              accepted(framed=b"\xc0" + escaped + b"\xc0"), packet=packet)


def main():
    bundles()
    packets()
    frames()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
