#!/bin/sh
# Installs pykbroker into the virtual environment .venv beside this file.
#
#   sh install.sh          to run it
#   sh install.sh test     to run its tests: editable, with what they need
#   sh install.sh dev      the same, with the tools of its developers
#
# PYTHON names the interpreter, python3 by default.
set -eu
cd "$(dirname "$0")"
python=${PYTHON:-python3}

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "pykbroker needs Python 3.11 or newer; name one: PYTHON=python3.12 sh install.sh" >&2
  exit 1
fi
# Debian and Ubuntu keep this part of Python in a package of its own.
if ! "$python" -c 'import ensurepip' 2>/dev/null && command -v apt-get >/dev/null; then
  echo "installing Debian's package python3-venv, which makes virtual environments" >&2
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -qq
  $as_root apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
fi

"$python" -m venv .venv
if [ $# -eq 0 ]; then
  .venv/bin/pip install -q --disable-pip-version-check .
else
  .venv/bin/pip install -q --disable-pip-version-check -e ".[$1]"
fi
