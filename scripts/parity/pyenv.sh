#!/usr/bin/env bash
# Makes the Python environment of the reference checks (scripts/parity/requirements.txt), and prints its interpreter's
# path.
#   python=$(scripts/parity/pyenv.sh) && "$python" scripts/parity/parity.py
#   python=$(scripts/parity/pyenv.sh hub)     the one of hub*.py and from_python.py (hub_requirements.txt)
# The environment is outside the checkout, in ${TESSERAE_CACHE:-~/.cache/tesserae}/venv, because PyTorch is large and
# changes seldom.
# Takes no time when every pin is met. `make test` and `make demo` need no Python.
set -euo pipefail
cd "$(dirname "$0")/../.."
cache=${TESSERAE_CACHE:-$HOME/.cache/tesserae}
kind=${1:+$1_}
venv=$cache/${1:+$1}${1:+env}
[ -n "${1:-}" ] || venv=$cache/venv
requirements=scripts/parity/${kind}requirements.txt
log=$cache/${kind}pyenv.log

say() { echo "pyenv: $*" >&2; }
fail() {
  [ ! -s "$log" ] || tail -n 15 "$log" >&2
  say "$* (log: $log)"
  exit 1
}

# Are the installed versions the pinned ones? A local part (2.13.0+cpu) does not count.
met() {
  [ -x "$venv/bin/python" ] || return 1
  "$venv/bin/python" - "$requirements" <<'END'
import sys
from importlib.metadata import PackageNotFoundError, version
for line in open(sys.argv[1]):
    name, equals, wanted = line.split("#")[0].strip().partition("==")
    if equals:
        try:
            if version(name).split("+")[0] != wanted:
                sys.exit(f"pyenv: {name} is {version(name)}, pinned {wanted}")
        except PackageNotFoundError:
            sys.exit(f"pyenv: {name} is not installed yet")
END
}

mkdir -p "$cache"
exec 9>"$cache/pyenv.lock"
if command -v flock >/dev/null; then flock 9; fi
if ! met 2>/dev/null; then
  : > "$log"
  command -v python3 >/dev/null || fail "install Python 3.11 or newer"
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "Python is $(python3 -V), but 3.11 or newer is needed"
  pip() {
    "$venv/bin/python" -m pip --disable-pip-version-check install --no-input --retries 5 "$@" >>"$log" 2>&1 </dev/null
  }
  if [ ! -x "$venv/bin/python" ]; then
    say "making $venv"
    python3 -m venv "$venv" >>"$log" 2>&1 || fail "python3 -m venv failed; on Debian install python3-venv"
  fi
  say "installing PyTorch (a minute or more)"
  # shellcheck disable=SC2046 # torch, and the torchvision that belongs to it
  pip $(grep '^torch' "$requirements") || fail "PyTorch could not be installed"
  pip $([ -n "${1:-}" ] || echo --no-deps) -r "$requirements" ||
    fail "the packages of $requirements could not be installed"
  met || fail "the environment still differs from $requirements"
  say "ready"
fi
echo "$venv/bin/python"
