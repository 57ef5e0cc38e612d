#!/usr/bin/env python3
"""Writes the test vectors of the shared leaf, `vectors/leaf/*.json`, or checks them.

    python3 generate_leaf.py            write every file
    python3 generate_leaf.py --check    compare every file with what would be written

Like `generate.py`, from which it takes the key derivation, this is an implementation of its own.
Nothing in it is random and nothing is meant to be secure.

Beside `kind`, `description`, `suite` and `expected`, which are those of the other files:

    leaf-randomness   everything that a `usage` takes from one value of the tape, `device` and
                      `position`, in `context`; the seed of the ephemeral key of one HPKE
                      encryption, `sealed`; and the reuse guard of one commit, `signed`
    leaf-notify       open a message in `epoch` of group `group_id`, with the indices in
                      `taken_before` spent. Accepted: what it says; and the partner, given the same
                      `salt`, seals the same message
    signature-keys    read the field `signature_key` of a leaf. Accepted: its `keys`, which encode to
                      the same field again
    key-proofs        read the extension of a leaf with this credential and field `signature_keys`.
                      Accepted: its `signatures`, and what each of them is of, `signed`
    key-proof-message read a device's proof on its way. Accepted: `pairing_id`, `device`, `proof`

The layer that refuses:

    leaf notify: not a notify     another message, or it does not authenticate: it is processed as MLS
    leaf notify: version          it authenticates, and has an unknown version
    leaf notify: kind             … is of an unknown kind
    leaf notify: malformed        … cannot be read
    leaf notify: foreign device   … its index is of no device of the pairing
    leaf notify: own lane         … its index is in the lane of the receiver
    leaf notify: spent            … its index was taken before
    signature keys: empty, length, duplicate, malformed
    key proofs: malformed
"""

import sys

from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from generate import (  # noqa: E402
    ACTIVE,
    DEVICES,
    EXTRACT_SALT,
    GROUP_ID,
    PASSIVE,
    STRANGER,
    SUITES,
    accepted,
    data,
    index_bytes,
    pairing,
    place,
    refused,
    run,
    spot,
    uint,
    vector,
)

VERSION = 3
EPOCH = 0x0102_0304_0506_0708
SALT_LEN = 28
FILES = {}


def write(name, kind, suite, description, expected, **inputs):
    head = {"kind": kind, "description": description, "suite": suite.number}
    FILES[f"{name}.json"] = {**head, **inputs, "expected": expected}


# All randomness of one commit or KeyPackage

USAGES = {
    "commit": ("leaf path", "leaf key"),
    "key-package": ("leaf package init key", "leaf package key"),
}


def ephemeral_seed(suite, hpke_secret, recipient, info, aad, plaintext):
    prk = suite.extract(EXTRACT_SALT, hpke_secret + plaintext)
    context = vector(recipient) + vector(info) + vector(aad)
    return suite.expand_with_label(prk, "leaf ephemeral", context, 32)


def reuse_guard(suite, guard_secret, framed_content_tbs, signature):
    signed = vector(framed_content_tbs) + vector(signature)
    prk = suite.extract(EXTRACT_SALT, guard_secret + signed)
    return suite.expand_with_label(prk, "leaf reuse guard", b"", 4)


def randomness(suite, usage):
    tape, said = pairing(suite, PASSIVE)
    context = {
        "group_id": GROUP_ID,
        "epoch": EPOCH,
        "confirmed_transcript_hash": data("confirmed transcript hash", suite.nh),
    }
    value = tape.take(ACTIVE, 3)
    tape_context = (
        vector(context["group_id"])
        + uint(context["epoch"], 8)
        + vector(context["confirmed_transcript_hash"])
        + index_bytes(ACTIVE, 3)
    )
    derive = lambda label, n: suite.expand_with_label(value, label, tape_context, n)
    sealed = {
        "recipient": data("recipient", 32),
        "info": data("info", 70),
        "aad": b"",
        "plaintext": data("plaintext", suite.nh),
    }
    signed = {
        "framed_content_tbs": data("framed content", 200),
        "signature": data("signature", 64),
    }
    write(
        f"randomness-suite-{suite.number}-{usage}",
        "leaf-randomness",
        suite,
        "All randomness of one use, from one value of the tape.",
        accepted(
            draws=[derive(label, suite.nh) for label in USAGES[usage]],
            reuse_guard=reuse_guard(suite, derive("leaf reuse guard", suite.nh), **signed),
            ephemeral_seed=ephemeral_seed(suite, derive("leaf hpke", suite.nh), **sealed),
        ),
        tape=said,
        **place(ACTIVE, 3),
        usage=usage,
        context=context,
        sealed=sealed,
        signed=signed,
    )


# The Notify


def plaintext(said, device, opening, position, version=VERSION, kind=1):
    return (
        uint(version, 1)
        + uint(kind, 1)
        + index_bytes(device, position)
        + uint(opening, 8)
        + vector(said["proposals"])
        + vector(said["authenticated_data"])
        + vector(said["leaf_node"])
        + vector(said["signature"])
    )


def seal(tape, group_id, epoch, salt, content):
    suite = tape.suite
    derive = lambda label, n: suite.expand_with_label(tape.notify_secret, label, salt, n)
    key, nonce = derive("leaf notify key", suite.nk), derive("leaf notify nonce", suite.nn)
    header = vector(group_id) + uint(epoch, 8) + uint(3, 1) + vector(b"")
    sealed = suite.aead(key).encrypt(nonce, content, header)
    return uint(1, 2) + uint(2, 2) + header + vector(salt) + vector(sealed)


SAID = {
    "proposals": data("proposals", 40),
    "authenticated_data": b"authenticated",
    "leaf_node": data("leaf node", 150),
    "signature": data("signature", 64),
}


def notify(suite, name, description, layer=None, *, device=ACTIVE, opening=3, position=5, seed="seed",
           version=VERSION, kind=1, trailing=b"", epoch=EPOCH, group_id=GROUP_ID, taken=(),
           change=lambda message: message):
    sender = pairing(suite, ACTIVE, seed)[0].group(GROUP_ID)
    _, said = pairing(suite, PASSIVE)
    salt = data(f"salt {name}", SALT_LEN)
    content = plaintext(SAID, device, opening, position, version, kind) + trailing
    message = change(seal(sender, GROUP_ID, EPOCH, salt, content))
    expected = accepted(**spot(device, opening, position), **SAID) if layer is None else refused(layer)
    write(
        f"notify-suite-{suite.number}-{name}",
        "leaf-notify",
        suite,
        description,
        expected,
        tape=said,
        taken_before=list(taken),
        group_id=group_id,
        epoch=epoch,
        salt=salt,
        message=message,
    )


def notifies():
    s = SUITES
    for suite in s.values():
        notify(suite, "accepted", "A Notify of a shared leaf, and what it says.")
    layer = "leaf notify: {}".format
    notify(s[1], "version", "A Notify of another version.", layer("version"), version=4)
    notify(s[1], "kind", "A message of a kind that nobody knows.", layer("kind"), kind=9)
    notify(s[2], "trailing", "A byte follows what it says.", layer("malformed"), trailing=b"\0")
    notify(s[3], "foreign-device", "An index of a device that is not of the pairing.",
           layer("foreign device"), device=STRANGER)
    notify(s[1], "own-lane", "An index in the lane of the receiver.", layer("own lane"),
           device=PASSIVE)
    notify(s[1], "spent", "It opens, and its index was taken before.", layer("spent"),
           taken=[spot(ACTIVE, 3, 5)])
    notify(s[1], "opened-anew", "Its lane has been opened anew since.", layer("spent"),
           taken=[spot(ACTIVE, 4, 5)])
    notify(s[2], "opening", "An opening behind the end of the lane.", layer("malformed"),
           opening=1 << 48)
    nothing = layer("not a notify")
    notify(s[1], "other-epoch", "Sealed in one epoch and replayed in the next.", nothing,
           epoch=EPOCH + 1)
    notify(s[2], "other-group", "Sealed in one group and replayed in another.", nothing,
           group_id=b"another group")
    notify(s[3], "other-pairing", "Sealed with the tape of another pairing.", nothing,
           seed="another seed")
    notify(s[5], "changed-ciphertext", "One bit of the ciphertext is flipped.", nothing,
           change=lambda m: m[:-1] + bytes([m[-1] ^ 1]))
    notify(s[7], "truncated", "The last byte is missing.", nothing, change=lambda m: m[:-1])
    at = 2 + 2 + 1 + len(GROUP_ID) + 8
    notify(s[1], "content-type", "Its content type says application.", nothing,
           change=lambda m: m[:at] + b"\x01" + m[at + 1:])


# The signature keys of a leaf


def signature_keys(name, description, field, keys=None, layer=None):
    expected = refused(f"signature keys: {layer}") if layer else accepted(keys=keys)
    write(f"signature-keys-{name}", "signature-keys", SUITES[1], description, expected,
          key_len=32, field=field)


def all_signature_keys():
    one, two, three = (data(f"key {n}", 32) for n in range(3))
    signature_keys("one", "One key stands alone, as in RFC 9420.", one, [one])
    signature_keys("two", "Two keys, each with its length.", vector(one) + vector(two), [one, two])
    signature_keys("three", "Three keys.", vector(one) + vector(two) + vector(three),
                   [one, two, three])
    signature_keys("none", "No key.", b"", layer="empty")
    signature_keys("one-with-length", "One key with a length: a second form of the same leaf.",
                   vector(one), layer="malformed")
    signature_keys("truncated", "The last byte is missing.", (vector(one) + vector(two))[:-1],
                   layer="malformed")
    signature_keys("trailing", "A byte follows, which begins another key.",
                   vector(one) + vector(two) + b"\x20", layer="malformed")
    signature_keys("short", "The second key has 31 bytes.", vector(one) + vector(two[:-1]),
                   layer="length")
    signature_keys("twice", "The same key twice.", vector(one) + vector(one), layer="duplicate")


# The proofs of those keys


def key_proofs(name, description, extension, signatures=None, layer=None):
    identity = b"alice"
    keys = vector(data("key 0", 32)) + vector(data("key 1", 32))
    basic = uint(1, 2) + vector(identity)
    signed = vector(b"PMLS 02 ListedKeyTBS") + vector(keys) + basic
    expected = (refused(f"key proofs: {layer}") if layer
                else accepted(signatures=signatures, signed=signed))
    write(f"key-proofs-{name}", "key-proofs", SUITES[1], description, expected,
          identity=identity, signature_keys=keys, extension=extension)


def key_proof_message(name, description, message, proof=None, layer=None):
    expected = (refused(f"key proofs: {layer}") if layer
                else accepted(pairing_id=bytes([9] * 16), device=1, proof=proof))
    write(f"key-proof-message-{name}", "key-proof-message", SUITES[1], description, expected,
          message=message)


def all_key_proofs():
    one, two = (data(f"proof {n}", 64) for n in range(2))
    both = vector(one) + vector(two)
    key_proofs("two", "One proof for each of two keys.", both, [one, two])
    key_proofs("truncated", "The last byte is missing.", both[:-1], layer="malformed")
    key_proofs("trailing", "A byte follows.", both + b"\x20", layer="malformed")
    body = bytes([9] * 16) + uint(1, 2) + vector(one)
    message = b"\x02\x0a" + vector(body)
    key_proof_message("accepted", "The proof of device 1.", message, one)
    key_proof_message("truncated", "The last byte is missing.", message[:-1], layer="malformed")
    key_proof_message("trailing", "A byte follows.", message + b"\0", layer="malformed")
    key_proof_message("body-trailing", "A byte follows the signature.",
                      b"\x02\x0a" + vector(body + b"\0"), layer="malformed")
    key_proof_message("type", "The type of a leaf refresh.", b"\x02\x09" + vector(body),
                      layer="malformed")


def main():
    assert ACTIVE in DEVICES and PASSIVE in DEVICES and STRANGER not in DEVICES
    for suite in SUITES.values():
        for usage in USAGES:
            randomness(suite, usage)
    notifies()
    all_signature_keys()
    all_key_proofs()
    return run(HERE, FILES, __doc__)


if __name__ == "__main__":
    sys.exit(main())
