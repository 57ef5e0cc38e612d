#!/usr/bin/env bash
# All tests. As root on Debian it installs what they need; otherwise it runs what it can, and its last
# lines name what was left out and why. With CI=true anything left out fails.
set -euo pipefail
cd "$(dirname "$0")"

left_out=()

have() { command -v "$1" >/dev/null 2>&1; }

softhsm_module() {
  local module
  for module in "${PAIRED_MLS_PKCS11_MODULE:-}" /usr/lib/softhsm/libsofthsm2.so \
      /usr/lib/*/softhsm/libsofthsm2.so /usr/local/lib/softhsm/libsofthsm2.so; do
    [ -n "$module" ] && [ -e "$module" ] && { echo "$module"; return; }
  done
  return 1
}

# Debian keeps initdb off the path.
have_postgresql() { have initdb || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; }

install() {
  [ "$(id -u)" = 0 ] && have apt-get || return 1
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null 2>&1 ||
    { apt-get update >/dev/null 2>&1 &&
      DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null; }
}

check_vectors() {
  "$1" vectors/generate.py --check
  "$1" vectors/leaf/generate_leaf.py --check
  "$1" vectors/pairing/generate_pairing.py --check
  "$1" vectors/lies/generate_lies.py --check
  "$1" vectors/feed/generate_feed.py --check
}

have cc || install gcc libc6-dev || left_out+=("everything: no C compiler, which SQLite needs (Debian: gcc)")
softhsm_module >/dev/null || install softhsm2 || true
if ! softhsm_module >/dev/null; then
  left_out+=("the PKCS#11 vault: no SoftHSM2 (Debian: softhsm2)")
fi

have_postgresql || install postgresql || true
if ! have_postgresql; then
  left_out+=("the service on PostgreSQL: no PostgreSQL server (Debian: postgresql)")
fi

# A clock that tests move for years, before the C library.
have_faketime() { compgen -G '/usr/lib/*/faketime/libfaketime.so.1' >/dev/null; }
have_faketime || install faketime || true
if ! have_faketime; then
  left_out+=("the years of a device that only receives, which are skipped: no libfaketime (Debian: faketime)")
fi

# The kernel's keyring gives keys to a login session, and this script may run outside of one.
have keyctl || install keyutils || true
in_session=()
if have keyctl && keyctl session - true >/dev/null 2>&1; then
  in_session=(keyctl session -)
else
  left_out+=("the kernel's keyring: no keyctl, or a kernel without keyrings (Debian: keyutils)")
fi

# The vectors of the MLS working group are no part of the project, and no package has them: they are found beside
# it, or where MLS_VECTORS says. Without them the last lines say so, which is no failure in CI either.
elsewhere=()
if [ -z "${MLS_VECTORS:-}" ] && [ -d ../shared/mls-vectors ]; then
  MLS_VECTORS=$(cd ../shared/mls-vectors && pwd)
fi
if [ -d "${MLS_VECTORS:-}" ]; then
  export MLS_VECTORS
else
  unset MLS_VECTORS
  elsewhere+=("the working group's vectors: MLS_VECTORS names no folder that has them")
fi

# The demo, as a script would run it, is among these tests: every fact has to hold.
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"${in_session[@]}" cargo test --workspace --all-features --locked 2>&1 | tee "$log"

# Two devices that pair, killed at random moments and restarted; a thousand times: cargo xtask crash.
# Built with the features of the tests, so that nothing is built twice.
cargo build --workspace --all-features --bin xtask --locked
"${CARGO_TARGET_DIR:-target}/debug/xtask" crash --runs 50
"${CARGO_TARGET_DIR:-target}/debug/xtask" crash --runs 50 --vault sealed --anchor leaf

# The vectors, by an implementation of their own. The Rust tests above do not need it.
if have python3 && python3 -c 'import cryptography' 2>/dev/null; then
  check_vectors python3
elif install python3-cryptography && /usr/bin/python3 -c 'import cryptography' 2>/dev/null; then
  check_vectors /usr/bin/python3
else
  left_out+=("the check of the vectors by Python: no package cryptography (Debian: python3-cryptography)")
fi

# Every vector against the JSON schema that other implementers read them by.
if have python3 && python3 -c 'import jsonschema' 2>/dev/null; then
  python3 vectors/schema/check.py
elif install python3-jsonschema && /usr/bin/python3 -c 'import jsonschema' 2>/dev/null; then
  /usr/bin/python3 vectors/schema/check.py
else
  left_out+=("the check of the vectors' schema: no package jsonschema (Debian: python3-jsonschema)")
fi

awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed\n", passed, failed }' "$log"
[ "${#elsewhere[@]}" = 0 ] || printf 'left out: %s\n' "${elsewhere[@]}"
if [ "${#left_out[@]}" -gt 0 ]; then
  printf 'left out: %s\n' "${left_out[@]}"
  [ "${CI:-}" != true ]
elif [ "${#elsewhere[@]}" = 0 ]; then
  echo "nothing was left out"
fi
