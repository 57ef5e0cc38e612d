#!/usr/bin/env python3
"""Writes the test vectors of the pairing protocol, `vectors/pairing/*.json`, or checks them.

    python3 pairing.py            write every file
    python3 pairing.py --check    compare every file with what would be written

Like `generate.py`, from which it takes the key derivation, this is an implementation of its own.
Nothing in it is random and nothing is meant to be secure.

Beside `kind`, `description`, `suite` and `expected`, which are those of the other files:

    pairing-message     decode `message`; for ShareRand and InitPairing, also what they say. Accepted:
                        the `type`, by name, or by number for one that nobody knows; and the message
                        encodes to the same bytes again
    pairing-derivation  of `pairing`, for device `own`: the hashes, all tags, the digits
    pairing-step        device `own` of `pairing` is in `state` and receives `message` from `source`,
                        over the 1-to-1 channel from `sender`. Accepted: its next state, and what it
                        sends. `registered` is `invited` after the directory's Accept, and `announced` is
                        `invited` in hidden mode before the private key
    pairing-signal      the extension `paired_signal` in the leaf of device `own` of `pairing`, whose
                        commit has healed the devices `healed`. Accepted: it is `extension_data`

The layer that refuses:

    pairing envelope    version, length or end of the message
    pairing body        a field, or the end, of the structure inside
    pairing terms       nobody can pair like this; the reason follows
    pairing signal      no device makes it; the reason follows
    pairing step        the message does not fit the device's state, the way that it came, or the tape;
                        the reason follows
"""

import hashlib
import sys

from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate import EXTRACT_SALT, SUITES, data, run, uint, vector  # noqa: E402

VERSION = 2
STANDARD, HIDDEN = 1, 2
LEAF, NODE = 1, 2
MODES = {STANDARD: "standard", HIDDEN: "hidden"}
ANCHORS = {LEAF: "leaf", NODE: "node"}
TYPES = {
    "ShareRand": 1,
    "InitPairing": 2,
    "Accept": 3,
    "DirectoryAccept": 4,
    "CeasePair": 5,
    "CeaseAck": 6,
    "Abandon": 11,
}
A, B, C, STRANGER = 1, 2, 258, 9
FILES = {}


def envelope(kind, body, version=VERSION):
    return uint(version, 1) + uint(TYPES.get(kind, kind), 1) + vector(body)


def device(number, identity=b"alice", key=None):
    key = key or data(f"signature key {number}", 32)
    return {"device": number, "identity": identity, "signature_key": key}


def devices_vector(devices):
    listed = lambda d: uint(d["device"], 2) + vector(d["identity"]) + vector(d["signature_key"])
    return vector(b"".join(listed(d) for d in devices))


class Pairing:
    """A pairing as every device of it sees it."""

    def __init__(self, suite=1, mode=STANDARD, anchor=NODE, devices=None):
        self.suite = SUITES[suite]
        self.pairing_id = data(f"pairing protocol {suite}", 16)
        self.seed = data(f"pairing seed {suite}", self.suite.nh)
        self.mode, self.anchor, self.initiator = mode, anchor, A
        self.devices = devices or [device(A), device(B)]
        self.key_pair = None
        if mode == HIDDEN:
            self.key_pair = (data("anchor public key", 32), data("anchor private key", 32))
        root = self.suite.extract(EXTRACT_SALT, self.seed)
        self.accept_secret = self.expand(root, "accept", self.pairing_id)

    def expand(self, secret, label, context, length=None):
        return self.suite.expand_with_label(secret, label, context, length or self.suite.nh)

    def hash(self, content):
        return hashlib.new(self.suite.digest, content).digest()

    # The bodies of the messages

    def share_rand(self, seed=None, suite=None):
        return (
            self.pairing_id
            + uint(suite or self.suite.number, 2)
            + vector(self.seed if seed is None else seed)
            + devices_vector(self.devices)
        )

    def init_pairing(self, private=True):
        key_pair = b"\x00"
        if self.key_pair:
            public, secret = self.key_pair
            key_pair = b"\x01" + vector(public) + vector(secret if private else b"")
        return (
            self.pairing_id
            + uint(self.suite.number, 2)
            + uint(self.mode, 1)
            + uint(self.anchor, 1)
            + uint(self.initiator, 2)
            + devices_vector(self.devices)
            + key_pair
        )

    def transcript(self):
        share_rand = vector(self.share_rand(seed=b""))
        return self.hash(share_rand + vector(self.init_pairing(private=False)))

    def tag(self, label, number, details=b""):
        context = self.transcript() + uint(number, 2) + details
        return self.expand(self.accept_secret, label, context)

    def accept(self, number):
        return self.pairing_id + uint(number, 2) + vector(self.tag("accept tag", number))

    def directory_accept(self):
        return self.pairing_id + vector(self.hash(self.init_pairing()))

    def cease_pair_tag(self, number, ended_by):
        return self.tag("cease pair tag", number, uint(ended_by, 2))

    def cease_pair(self, number, ended_by=None):
        ended_by = number if ended_by is None else ended_by
        tag = self.cease_pair_tag(number, ended_by)
        return self.pairing_id + uint(number, 2) + uint(ended_by, 2) + vector(tag)

    def cease_ack(self, number):
        return self.pairing_id + uint(number, 2) + vector(self.tag("cease ack tag", number))

    def abandon(self, number, reason):
        return self.pairing_id + uint(number, 2) + uint(reason, 1)

    def digits(self, exporter_secret, label, context):
        stream = self.expand(exporter_secret, label, context, 60)
        groups = [int.from_bytes(stream[i : i + 5], "big") % 100_000 for i in range(0, 60, 5)]
        return " ".join(f"{group:05}" for group in groups)

    def signal(self, own, healed):
        hashes = lambda numbers: vector(b"".join(
            vector(self.hash(d["signature_key"])) for d in self.devices if d["device"] in numbers))
        return hashes([d["device"] for d in self.devices if d["device"] != own]) + hashes(healed)

    def said(self):
        said = {
            "seed": self.seed,
            "pairing_id": self.pairing_id,
            "devices": self.devices,
            "mode": MODES[self.mode],
            "anchor": ANCHORS[self.anchor],
            "initiator": self.initiator,
        }
        if self.key_pair:
            said |= {"public_key": self.key_pair[0], "private_key": self.key_pair[1]}
        return said


# The scenarios


def write(name, kind, suite, description, expected, **inputs):
    head = {"kind": kind, "description": description, "suite": suite}
    FILES[f"{name}.json"] = {**head, **inputs, "expected": expected}


def refused(layer):
    return {"outcome": "refused", "layer": layer}


def derivation(suite):
    pairing = Pairing(suite, STANDARD, LEAF)
    exporter_secret = data(f"exporter secret {suite}", pairing.suite.nh)
    transcript = pairing.transcript()
    expected = {
        "outcome": "accepted",
        "transcript_hash": transcript,
        "request_hash": pairing.hash(pairing.init_pairing()),
        "accept_tag": pairing.tag("accept tag", B),
        "cease_pair_tag": pairing.cease_pair_tag(B, B),
        "cease_ack_tag": pairing.tag("cease ack tag", B),
        "channel_digits": pairing.digits(exporter_secret, "short auth channel", b""),
        "pairing_digits": pairing.digits(exporter_secret, "short auth pairing", transcript),
    }
    write(
        f"suite-{suite}-derivation",
        "pairing-derivation",
        suite,
        "The transcript, every tag of device 2, and both short authentication strings.",
        expected,
        pairing=pairing.said(),
        own=B,
        exporter_secret=exporter_secret,
    )


def messages():
    """Each message as it must be, and broken in every way that the decoder must see."""
    node, hidden = Pairing(), Pairing(mode=HIDDEN, anchor=LEAF)
    leaf = Pairing(anchor=LEAF)
    three = Pairing(anchor=LEAF, devices=[device(A), device(B), device(C, b"bob")])
    valid = {
        "share-rand": ("ShareRand", node.share_rand()),
        "share-rand-three": ("ShareRand", three.share_rand()),
        "init-standard": ("InitPairing", node.init_pairing()),
        "init-standard-leaf": ("InitPairing", three.init_pairing()),
        "init-hidden": ("InitPairing", hidden.init_pairing()),
        "accept": ("Accept", leaf.accept(B)),
        "directory-accept": ("DirectoryAccept", leaf.directory_accept()),
        "cease-pair": ("CeasePair", leaf.cease_pair(B)),
        "cease-ack": ("CeaseAck", leaf.cease_ack(B)),
        "init-hidden-announced": ("InitPairing", hidden.init_pairing(private=False)),
        "abandon": ("Abandon", leaf.abandon(B, 1)),
    }
    for name, (kind, body) in valid.items():
        message(name, f"A valid {kind}.", envelope(kind, body), kind)
        if name in ("share-rand-three", "init-standard-leaf", "init-hidden-announced"):
            continue
        whole = envelope(kind, body)
        broken = [
            ("truncated", "The last byte of the message is missing.", whole[:-1],
             "pairing envelope: malformed"),
            ("trailing", "A byte follows the message.", whole + b"\x00",
             "pairing envelope: trailing bytes"),
            ("version", "Another version.", envelope(kind, body, version=3),
             "pairing envelope: version"),
            ("body-truncated", "The last byte of the body is missing.", envelope(kind, body[:-1]),
             "pairing body: malformed"),
            ("body-trailing", "A byte follows the body.", envelope(kind, body + b"\x00"),
             "pairing body: trailing bytes"),
        ]
        for suffix, description, encoded, layer in broken:
            message(f"{name}-{suffix}", f"{kind}: {description}", encoded, kind, layer)

    message("abandon-unknown-reason", "Abandon: an unknown reason is kept.",
            envelope("Abandon", leaf.abandon(B, 9)), "Abandon")
    message("unknown-type", "A message of a later type is kept.", envelope(99, b"later"), 99)
    message("empty", "No bytes.", b"", 0, "pairing envelope: malformed")
    long_form = uint(VERSION, 1) + uint(TYPES["Accept"], 1)
    body = leaf.accept(B)
    long_form += uint(len(body) | 2 << 30, 4) + body
    message("accept-long-length", "Accept: the body's length takes four bytes instead of one.",
            long_form, "Accept", "pairing envelope: malformed")
    wide = node.share_rand()[:18] + b"\xc0" + bytes(7)
    message("share-rand-eight-byte-length", "ShareRand: a length of eight bytes.",
            envelope("ShareRand", wide), "ShareRand", "pairing body: malformed")
    presence = node.init_pairing()[:-1] + b"\x02"
    message("init-standard-presence", "InitPairing: optional<> is neither 0 nor 1.",
            envelope("InitPairing", presence), "InitPairing", "pairing body: malformed")

    terms = lambda name, description, pairing, layer: message(
        name, f"InitPairing: {description}", envelope("InitPairing", pairing.init_pairing()),
        "InitPairing", f"pairing terms: {layer}")
    no_key = Pairing(mode=HIDDEN, anchor=LEAF)
    no_key.key_pair = None
    terms("init-hidden-without-key-pair", "hidden mode, and no key pair.", no_key,
          "hidden without key pair")
    key = Pairing()
    key.key_pair = hidden.key_pair
    terms("init-standard-with-key-pair", "standard mode, and a key pair.", key,
          "standard with key pair")
    terms("init-hidden-node", "hidden mode at a node.", Pairing(mode=HIDDEN, anchor=NODE),
          "hidden at node")
    users = Pairing(mode=HIDDEN, anchor=LEAF, devices=[device(A), device(B, b"bob")])
    terms("init-hidden-two-identities", "hidden mode between two users.", users,
          "hidden across identities")
    mode = Pairing()
    mode.mode = 7
    terms("init-unknown-mode", "an unknown mode is kept, and refused.", mode, "unknown mode")
    anchor = Pairing()
    anchor.anchor = 8
    terms("init-unknown-anchor", "an unknown anchor is kept, and refused.", anchor,
          "unknown anchor")
    foreign = Pairing()
    foreign.initiator = STRANGER
    terms("init-foreign-initiator", "the initiator is not listed.", foreign, "foreign initiator")
    terms("init-order", "the devices are not in ascending order.",
          Pairing(devices=[device(B), device(A)]), "device order")
    terms("init-twice", "a device number twice.",
          Pairing(devices=[device(A), device(A, key=b"another")]), "device order")
    terms("init-shared-key", "two devices with one key.",
          Pairing(devices=[device(A), device(B, key=device(A)["signature_key"])]), "shared key")
    terms("init-reserved", "the reserved device number.",
          Pairing(devices=[device(A), device(0xFFFF)]), "reserved number")
    terms("init-one-device", "one device.", Pairing(devices=[device(A)]), "too few devices")
    message("share-rand-unknown-suite", "ShareRand: an unknown cipher suite is kept, and refused.",
            envelope("ShareRand", node.share_rand(suite=4)), "ShareRand",
            "pairing terms: unknown suite")


def message(name, description, encoded, kind, layer=None):
    expected = refused(layer) if layer else {"outcome": "accepted", "type": str(kind)}
    write(name, "pairing-message", 1, description, expected, message=encoded)


def step(name, description, state, encoded, expected, pairing, source="relay", sender=None, own=A):
    """A device in a state receives a message."""
    inputs = {"pairing": pairing.said(), "own": own, "state": state, "source": source}
    if sender:
        inputs["sender"] = sender
    if isinstance(expected, str):
        expected = refused(expected)
    write(f"step-{name}", "pairing-step", pairing.suite.number, description, expected, **inputs,
          message=encoded)


def becomes(state, *sends):
    return {"outcome": "accepted", "state": state, "sends": list(sends)}


def signals():
    """What a leaf says of its pairing."""
    three = Pairing(devices=[device(A), device(B), device(C, b"bob")])
    whole = three.signal(B, [C])

    def signal(name, description, content, layer=None, pairing=three, own=B, healed=(C,)):
        expected = refused(layer) if layer else {"outcome": "accepted"}
        write(f"signal-{name}", "pairing-signal", pairing.suite.number, description, expected,
              pairing=pairing.said(), own=own, healed=list(healed), extension_data=content)

    for number in SUITES:
        pairing = Pairing(suite=number)
        signal(f"suite-{number}", "A device that has healed its partner.",
               pairing.signal(A, [B]), pairing=pairing, own=A, healed=(B,))
    signal("one-of-two", "A device that has healed one of its partners.", whole)
    signal("nobody", "A device whose commit heals nobody.", three.signal(B, []), healed=())
    signal("truncated", "The last byte is missing.", whole[:-1], "pairing body: malformed")
    signal("trailing", "A byte follows.", whole + b"\x00", "pairing body: trailing bytes")
    signal("foreign", "It would name somebody else.", whole, "pairing signal: foreign device",
           healed=(STRANGER,))
    signal("hidden", "Hidden mode says nothing.", b"", "pairing signal: hidden mode",
           pairing=Pairing(mode=HIDDEN, anchor=LEAF), own=A, healed=(B,))


def steps():
    leaf, hidden = Pairing(anchor=LEAF), Pairing(mode=HIDDEN, anchor=LEAF)
    three = Pairing(devices=[device(A), device(B), device(C, b"bob")])
    three_leaf = Pairing(anchor=LEAF, devices=three.devices)
    crowd = Pairing(devices=[device(A), device(STRANGER)])
    share_rand = envelope("ShareRand", leaf.share_rand())
    init, init_hidden = (envelope("InitPairing", p.init_pairing()) for p in (leaf, hidden))

    step("share-rand-file", "The seed from an offline file.", "unpaired", share_rand,
         becomes("seeded"), leaf, "offline", own=B)
    step("share-rand-channel", "The seed over the 1-to-1 channel.", "unpaired", share_rand,
         becomes("seeded"), leaf, "one-to-one", A, own=B)
    step("share-rand-relay", "A seed over a relay.", "unpaired", share_rand,
         "pairing step: wrong way", leaf, own=B)
    step("share-rand-reflected", "The own ShareRand comes back.", "unpaired", share_rand,
         "pairing step: reflected", leaf, "one-to-one", B, own=B)
    step("share-rand-others", "A seed for other devices.", "unpaired",
         envelope("ShareRand", crowd.share_rand()), "pairing step: not listed", leaf, "offline",
         own=B)
    step("share-rand-short", "A seed that is one byte short.", "unpaired",
         envelope("ShareRand", leaf.share_rand(seed=leaf.seed[:-1])), "pairing step: seed", leaf,
         "offline", own=B)
    step("init-before-share-rand", "A request before the seed.", "unpaired", init,
         "pairing step: out of order", leaf, "directory", own=B)

    step("init-standard", "Standard mode: the device sends the same request.", "seeded", init,
         becomes("invited", init), leaf, "directory", own=B)
    step("init-standard-channel", "Standard mode, over the 1-to-1 channel.", "seeded", init,
         "pairing step: wrong way", leaf, "one-to-one", A, own=B)
    step("init-hidden", "Hidden mode.", "seeded", init_hidden, becomes("invited"), hidden,
         "one-to-one", A, own=B)
    announced = envelope("InitPairing", hidden.init_pairing(private=False))
    step("init-hidden-announced", "Hidden mode: the terms, before the digits were compared.", "seeded",
         announced, becomes("announced"), hidden, "one-to-one", A, own=B)
    step("init-hidden-key", "Hidden mode: the key, after the digits were compared.", "announced",
         init_hidden, becomes("invited"), hidden, "one-to-one", A, own=B)
    step("init-hidden-key-again", "Hidden mode: the terms once more are no key.", "announced",
         announced, "pairing step: key pair mismatch", hidden, "one-to-one", A, own=B)
    step("init-hidden-key-relay", "Hidden mode: the key over a relay.", "announced", init_hidden,
         "pairing step: wrong way", hidden, own=B)
    other_leaf = Pairing(mode=HIDDEN, anchor=LEAF)
    other_leaf.key_pair = (data("another public key", 32), hidden.key_pair[1])
    step("init-hidden-key-other-terms", "Hidden mode: the key of another leaf than was announced.",
         "announced", envelope("InitPairing", other_leaf.init_pairing()),
         "pairing step: terms differ", hidden, "one-to-one", A, own=B)
    step("init-hidden-directory", "Hidden mode, through the directory.", "seeded", init_hidden,
         "pairing step: wrong way", hidden, "directory", own=B)
    step("init-hidden-other-sender", "Hidden mode, not from the initiator.", "seeded", init_hidden,
         "pairing step: not from initiator", hidden, "one-to-one", B, own=B)
    wrong_key = Pairing(mode=HIDDEN, anchor=LEAF)
    wrong_key.key_pair = (hidden.key_pair[0], data("another private key", 32))
    step("init-hidden-key-mismatch", "Hidden mode: the private key is not the public key's.",
         "seeded", envelope("InitPairing", wrong_key.init_pairing()),
         "pairing step: key pair mismatch", hidden, "one-to-one", A, own=B)
    other_key = Pairing(anchor=LEAF, devices=[device(A, key=b"another"), device(B)])
    step("init-other-keys", "A request with other keys than the seed came with.", "seeded",
         envelope("InitPairing", other_key.init_pairing()), "pairing step: roster differs", leaf,
         "directory", own=B)
    step("init-own", "A request in which this device is the initiator.", "seeded", init,
         "pairing step: reflected", leaf, "directory", own=A)

    accept = envelope("Accept", leaf.accept(B))
    step("accept", "The partner's Accept, the last thing missing.", "registered", accept,
         becomes("paired"), leaf)
    step("accept-hidden", "Hidden mode: the partner's Accept.", "invited",
         envelope("Accept", hidden.accept(B)), becomes("paired"), hidden)
    step("accept-one-of-three", "The Accept of one of two partners.", "registered",
         envelope("Accept", three.accept(C)), becomes("invited"), three)
    step("accept-before-directory", "The partner's Accept before the directory's.", "invited",
         accept, becomes("invited"), leaf)
    step("accept-wrong-tag", "An Accept whose tag has one bit changed.", "registered",
         accept[:-1] + bytes([accept[-1] ^ 1]), "pairing step: wrong tag", leaf)
    step("accept-other-terms", "An Accept for the same devices with a node as anchor.",
         "registered", envelope("Accept", Pairing(anchor=NODE).accept(B)),
         "pairing step: wrong tag", leaf)
    step("accept-reflected", "The own Accept comes back.", "registered",
         envelope("Accept", leaf.accept(A)), "pairing step: reflected", leaf)
    step("accept-foreign", "The Accept of a device that is not of the pairing.", "registered",
         envelope("Accept", leaf.accept(STRANGER)), "pairing step: foreign device", leaf)
    step("accept-cease-tag", "An Accept with the tag of a CeasePair.", "registered",
         envelope("Accept", leaf.pairing_id + uint(B, 2) + vector(leaf.cease_pair_tag(B, B))),
         "pairing step: wrong tag", leaf)
    other = Pairing(anchor=LEAF)
    other.pairing_id = data("another pairing", 16)
    step("accept-other-pairing", "An Accept of another pairing.", "registered",
         envelope("Accept", other.accept(B)), "pairing step: other pairing", leaf)
    step("unknown-type", "A message of a later type.", "registered", envelope(99, b"later"),
         "pairing step: unknown type", leaf)
    directory = envelope("DirectoryAccept", leaf.directory_accept())
    step("directory-accept", "The directory's Accept.", "invited", directory, becomes("invited"),
         leaf, "directory")
    step("directory-accept-relay", "The directory's Accept, over a relay.", "invited", directory,
         "pairing step: wrong way", leaf)
    step("directory-accept-other", "The directory accepts another request.", "invited",
         envelope("DirectoryAccept", Pairing(anchor=NODE).directory_accept()),
         "pairing step: other request", leaf, "directory")

    cease, ack = envelope("CeasePair", leaf.cease_pair(B)), envelope("CeaseAck", leaf.cease_ack(A))
    step("cease-pair", "The partner ends the pairing; this device answers and is done.", "paired",
         cease, becomes("ceased", ack), leaf)
    step("cease-pair-three", "One of two partners ends it; this device answers and tells the "
         "other.", "paired", envelope("CeasePair", three.cease_pair(B)),
         becomes("ceasing", envelope("CeaseAck", three.cease_ack(A)),
                 envelope("CeasePair", three.cease_pair(A, B))), three)
    step("cease-pair-passed-on", "A partner passes on that the other one has ended it; so does this "
         "device.", "paired", envelope("CeasePair", three.cease_pair(B, C)),
         becomes("ceasing", envelope("CeaseAck", three.cease_ack(A)),
                 envelope("CeasePair", three.cease_pair(A, C))), three)
    step("cease-pair-other-ender", "A CeasePair with the tag for another ender.", "paired",
         envelope("CeasePair", three.pairing_id + uint(B, 2) + uint(C, 2)
                  + vector(three.cease_pair_tag(B, B))),
         "pairing step: wrong tag", three)
    step("cease-pair-foreign-ender", "A CeasePair that names an ender from elsewhere.", "paired",
         envelope("CeasePair", leaf.cease_pair(B, C)), "pairing step: foreign device", leaf)
    step("cease-pair-wrong-tag", "A CeasePair whose tag has one bit changed.", "paired",
         cease[:-1] + bytes([cease[-1] ^ 1]), "pairing step: wrong tag", leaf)
    step("cease-ack-early", "A CeaseAck that nobody asked for.", "paired",
         envelope("CeaseAck", leaf.cease_ack(B)), "pairing step: out of order", leaf)
    step("cease-ack", "The partner's answer.", "ceasing",
         envelope("CeaseAck", leaf.cease_ack(B)), becomes("ceased"), leaf)
    step("cease-ack-reflected", "The own CeaseAck comes back.", "ceasing", ack,
         "pairing step: reflected", leaf)
    step("cease-ack-accept-tag", "A CeaseAck with the tag of an Accept.", "ceasing",
         envelope("CeaseAck", leaf.accept(B)), "pairing step: wrong tag", leaf)
    step("cease-crossing", "Both end it at once.", "ceasing", cease, becomes("ceased", ack), leaf)
    step("cease-pair-again", "A CeasePair again, after the end.", "ceased", cease,
         becomes("ceased", ack), leaf)


def main():
    for suite in SUITES:
        derivation(suite)
    messages()
    signals()
    steps()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
