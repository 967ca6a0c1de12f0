#!/usr/bin/env bash
# Installs what the build and the tests need, and writes what it found to build/setup.mk for the Makefile:
#   Emscripten >= 3.1.69, stb_image.h 2.30, a C compiler with sanitizers, a clang with libFuzzer, Chromium,
#   and the npm development dependencies. Only `make parity` and `make accuracy` need Python (scripts/parity/pyenv.sh).
# Runs again at no cost: what is there stays as it is. Installs system packages only through apt, as root or with sudo.
# One line per step done; everything else goes to build/setup.log.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p build
exec 9>build/setup.lock
if command -v flock >/dev/null; then flock 9; fi # two makes at once: the second waits, and then finds everything done

emcc_min=3.1.69 # the first with relaxed SIMD intrinsics in Debian
stb_sha256=594c2fe35d49488b4382dbfaec8f98366defca819d916ac95becf3e75f4200b3 # stb_image.h 2.30 of Debian 13
node_min=20.16 # as package.json says
log=build/setup.log
: > "$log"
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_MODE=a

say() { echo "setup: $*"; }
fail() {
  [ -s "$log" ] && tail -n 15 "$log" >&2
  echo "setup: $* (log: $log)" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
logged() { echo "+ $*" >>"$log"; "$@" >>"$log" 2>&1 </dev/null 9>&-; }
# Networks fail now and then: three tries, further apart each time.
retry() { local try; for try in 1 2 3; do logged "$@" && return 0; sleep $((try * 3)); done; return 1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; } # version $1 >= version $2

# ---- apt ----

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo -n)
have_apt() { have apt-get && { [ "$(id -u)" = 0 ] || { have sudo && sudo -n true 2>/dev/null; }; }; }
apt_get() {
  retry "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
    -o Acquire::Retries=3 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"
}
# A source that is unreachable must not stop the others: the install that follows says what is missing.
apt_updated=
apt_update() { [ -n "$apt_updated" ] || { apt_get update || true; apt_updated=yes; }; }
candidate() { LC_ALL=C apt-cache policy "$1" 2>/dev/null | awk '$1 == "Candidate:" && $2 != "(none)" { print $2 }'; }

# One line "repository sources-file:entry" for the Debian archive that this system already uses (not the security one).
debian_source() {
  apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(IDENTIFIER)|$(CODENAME)|$(REPO_URI) $(SOURCESENTRY)' 2>>"$log" |
    sed -n 's/^Debian|Debian|Packages|[a-z]*|//p' | head -n 1
}
known_suite() { apt-get indextargets --format '$(CODENAME)' 2>>"$log" | grep -qx "$1"; }

# The value of Signed-By in the existing source's entry, in either of the two formats; empty when it has none.
signed_by() { # $1: file:number
  local file=${1%:*} entry=${1##*:}
  case $file in
    *.sources) awk -v RS= -v n="$entry" 'NR == n' "$file" | sed -n 's/^Signed-By:[[:space:]]*//Ip' ;;
    *) sed -n 's/^deb[[:space:]]*\[[^]]*signed-by=\([^] ]*\).*/\1/p' "$file" ;;
  esac | head -n 1
}

write_as_root() { "${as_root[@]}" tee "$1" >/dev/null && "${as_root[@]}" chmod 644 "$1"; }

# Debian 12 has neither a new enough Emscripten nor a sound stb_image: take these two from Debian 13, and nothing else
# (priority 100 is below every installed release's 500).
add_trixie() {
  known_suite trixie && return 0
  local found uri key
  found=$(debian_source)
  [ -n "$found" ] || return 1
  uri=${found%% *}
  key=$(signed_by "${found#* }")
  { printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\n' "$uri"
    if [ -n "$key" ]; then printf 'Signed-By: %s\n' "$key"; fi
  } | write_as_root /etc/apt/sources.list.d/tesserae-trixie.sources
  printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' | write_as_root /etc/apt/preferences.d/tesserae-trixie
  apt_updated=
  apt_update
  known_suite trixie
}

# ---- what is there ----

emcc_version() { have "$1" && "$1" --version 2>/dev/null </dev/null | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | head -n 1; }
emcc_ok() { local v; v=$(emcc_version "${EMCC:-emcc}") && at_least "$v" "$emcc_min"; }

stb_dir=
find_stb() {
  local dir
  for dir in ${STB_DIR:-} /usr/include/stb /usr/local/include/stb /usr/include /usr/local/include; do
    if [ -f "$dir/stb_image.h" ]; then stb_dir=$dir; return 0; fi
  done
  return 1
}
stb_ok() { find_stb && [ "$(sha256sum < "$stb_dir/stb_image.h")" = "$stb_sha256  -" ]; }

# Does $1 build and run a program with the given -fsanitize? libFuzzer brings its own main.
probe() {
  have "$1" || return 1
  local source='int main(void) { return 0; }'
  case $2 in fuzzer*)
    source='#include <stddef.h>
int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n);
int LLVMFuzzerTestOneInput(const unsigned char *d, size_t n) { return d && n > 9; }' ;;
  esac
  echo "$source" > build/probe.c
  logged "$1" "-fsanitize=$2" build/probe.c -o build/probe && logged build/probe -runs=1
}
san_cc=
find_san_cc() {
  for san_cc in "${CC:-cc}" cc gcc clang clang-19; do probe "$san_cc" address,undefined && return 0; done
  san_cc=
  return 1
}
fuzz_cc=
find_fuzz_cc() {
  for fuzz_cc in clang clang-22 clang-21 clang-20 clang-19; do
    probe "$fuzz_cc" fuzzer,address,undefined && return 0
  done
  fuzz_cc=
  return 1
}
chromium_ok() {
  local name
  for name in ${TESSERAE_CHROMIUM:-} chromium chromium-browser google-chrome google-chrome-stable; do
    have "$name" && return 0
  done
  return 1
}

# ---- steps ----

have node && at_least "$(node -p process.versions.node)" "$node_min" || fail "install Node.js $node_min or newer"
have npm || fail "install npm (it comes with Node.js)"

packages=() # those still missing
if ! emcc_ok || ! stb_ok; then
  have_apt || fail "install Emscripten >= $emcc_min (emcc on the PATH) and stb_image.h 2.30 (STB_DIR=its folder)"
  emcc_ok || packages+=(emscripten)
  stb_ok || packages+=(libstb-dev)
  [ -n "$(candidate libstb-dev)" ] || apt_update
  suite=() # none where the system's own releases are new enough
  if ! at_least "$(candidate emscripten | sed 's/[~+-].*//')" "$emcc_min"; then
    add_trixie || fail "these package sources have no Emscripten >= $emcc_min:" \
      "install it yourself (emcc on the PATH), and libstb-dev"
    suite=(-t trixie)
  fi
  [ -z "${apt_updated:-}" ] && [ ${#suite[@]} -gt 0 ] && apt_update
  apt_get install --no-install-recommends "${suite[@]}" "${packages[@]}" ||
    fail "apt-get could not install ${packages[*]}"
  hash -r
  emcc_ok || fail "emcc is $(emcc_version "${EMCC:-emcc}" || echo missing), but $emcc_min or newer is needed"
fi
find_stb || fail "stb_image.h was not found: set STB_DIR to its folder"
stb_ok || {
  stb_has=$(sha256sum < "$stb_dir/stb_image.h" | cut -d' ' -f1)
  fail "$stb_dir/stb_image.h has sha256 $stb_has, but 2.30 of Debian 13 has $stb_sha256"
}
[ ${#packages[@]} = 0 ] || say "installed ${packages[*]}"

# The compilers found last time are trusted while they are there: probing takes a second.
if [ build/setup.mk -nt scripts/build/setup.sh ]; then
  san_cc=$(sed -n 's/^SAN_CC := //p' build/setup.mk)
  fuzz_cc=$(sed -n 's/^FUZZ_CC := //p' build/setup.mk)
fi
if [ -z "$san_cc" ] || ! have "$san_cc"; then
  find_san_cc || { have_apt && apt_update && apt_get install --no-install-recommends gcc libc6-dev && find_san_cc; } ||
    fail "install a C compiler that supports -fsanitize=address,undefined"
  say "native tests are compiled by $san_cc"
fi
if [ -z "$fuzz_cc" ] || ! have "$fuzz_cc"; then
  if ! find_fuzz_cc && have_apt; then
    # The runtime must be of the same release as the clang that came with Emscripten, and so must its own dependencies.
    apt_update
    suite=()
    if known_suite trixie; then suite=(-t trixie); fi
    apt_get install --no-install-recommends "${suite[@]}" clang-19 libclang-rt-19-dev || true
    find_fuzz_cc || true
  fi
  if [ -n "$fuzz_cc" ]; then
    say "fuzzers are compiled by $fuzz_cc"
  else
    say "no clang with libFuzzer: make fuzz will fail"
  fi
fi

if ! chromium_ok; then
  if have_apt; then apt_update; apt_get install --no-install-recommends chromium || true; fi
  hash -r
  if chromium_ok; then
    say "installed chromium"
  else
    say "no Chromium: the browser tests will fail (TESSERAE_CHROMIUM=its path)"
  fi
fi

lock_now=$(sha256sum < package-lock.json)
if [ "$(cat node_modules/.tesserae-lock 2>/dev/null || true)" != "$lock_now" ]; then
  # No dependency needs its install script. --force: the Node 24 for Linux on x64 is for the tests of relaxed SIMD, and
  # must not stop other systems, where those tests are skipped.
  force=()
  [ "$(uname -sm)" = "Linux x86_64" ] || force=(--force)
  retry npm ci --ignore-scripts --no-audit --no-fund "${force[@]}" || fail "npm ci failed"
  rm -f node_modules/.bin/node # npm scripts keep the Node that they were started with
  echo "$lock_now" > node_modules/.tesserae-lock
  say "installed the npm development dependencies"
fi

cat > build/setup.mk <<END
# Written by scripts/build/setup.sh.
EMCC := ${EMCC:-emcc}
STB_DIR := $stb_dir
SAN_CC := $san_cc
FUZZ_CC := $fuzz_cc
END
rm -f build/probe build/probe.c
