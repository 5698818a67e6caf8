#!/usr/bin/env bash
# Creates a virtual environment with everything for development, and checks it.
#
#   tools/setup.sh
#
# A second run takes seconds. An interrupted run resumes or, if pip was killed while
# writing, starts again. Nothing is compiled.
#
# Environment:
#   FDSR_VENV   path of the virtual environment (default: .venv in the checkout)
#   PYTHON      the Python 3.11 to create it with (default: python3.11, python3, python)
#
# constraints.txt pins all packages for Python 3.11. For another Python, or to restore
# faces only, use pip: docs/installing.md.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${FDSR_VENV:-$root/.venv}
constraints=$root/constraints.txt
python_minor=3.11
# Names of packages on Debian and Ubuntu; other systems have similar ones.
venv_packages="python$python_minor-venv"
opencv_packages='libgl1 libglib2.0-0'
started=$SECONDS

say() { printf 'setup: %s\n' "$*"; }

die() {
  printf 'setup: error: %s\n' "$1" >&2
  printf 'setup: remedy: %s\n' "$2" >&2
  exit 1
}

version_of() {
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# Prints the interpreter for the environment, or fails with a list of those found.
find_python() {
  local candidate version found=''
  local candidates=(python$python_minor python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if ! version=$(version_of "$candidate"); then
      found+="${found:+, }$candidate: missing or does not run"
    elif [[ $version == "$python_minor".* ]]; then
      printf '%s\n' "$candidate"
      return
    else
      found+="${found:+, }$candidate: Python $version"
    fi
  done
  die "the pinned stack needs Python $python_minor; found $found." \
    "install Python $python_minor, or name it: PYTHON=/path/to/python$python_minor $0; \
with Python 3.10 or 3.12, or 3.13 for restoring only, follow docs/installing.md."
}

# Several checkouts may share an environment: a lock serialises their set-ups.
take_lock() {
  command -v flock >/dev/null || return 0
  mkdir -p "$(dirname "$venv")" 2>/dev/null && [[ -w $(dirname "$venv") ]] ||
    die "$(dirname "$venv") cannot be written." \
      'set FDSR_VENV to a folder that you can write.'
  exec 9>"${venv%/}.lock"
  flock -n 9 && return 0
  say "another set-up is working on $venv; waiting for it."
  flock 9
}

is_empty() { [[ ! -e $1 || (-d $1 && -z $(ls -A "$1")) ]]; }

# `owned` marks an environment that this script may recreate; `busy` exists during writes
# and remains if they are killed.
make_venv() {
  local python
  python=$(find_python)
  local free_kib
  mkdir -p "$venv" || die "the folder $venv cannot be created: see the message above." \
    'set FDSR_VENV to a folder that you can write.'
  free_kib=$(df -Pk "$venv" | awk 'NR == 2 { print $4 }')
  if ((free_kib < 9 * 1024 * 1024)); then
    say "warning: $((free_kib / 1024)) MiB are free at $venv; with torch's GPU" \
      "libraries the environment takes 8 GiB. FDSR_VENV puts it elsewhere."
  fi
  say "creating $venv with $python ($(version_of "$python"))."
  touch "$owned" "$busy"
  "$python" -m venv "$venv" ||
    die "$python could not create a virtual environment in $venv" \
      "free disk space there if it is short; else, on Debian or Ubuntu: apt-get install \
$venv_packages"
  rm -f "$busy"
}

# Ensures a working environment in $venv.
prepare_venv() {
  local version=''
  [[ -z ${PYTHON:-} ]] || find_python >/dev/null
  if is_empty "$venv"; then
    make_venv
    return
  fi
  version=$(version_of "$py") || version='none that runs'
  if [[ $version == "$python_minor".* && ! -e $busy ]] &&
    "$py" -c 'import pip' 2>/dev/null; then
    return
  fi
  [[ -e $owned ]] || die \
    "$venv was not created by this script and has no working Python $python_minor with \
pip (Python: $version)." \
    'move it away, or set FDSR_VENV to a folder that does not exist yet.'
  find_python >/dev/null
  say "$venv is half-finished or broken (Python: $version); creating it again."
  find "$venv/" -mindepth 1 -delete
  make_venv
}

# Hash of everything that determines the installed packages.
stamp_key() {
  { echo 'layout 2'; version_of "$py"; cat "$constraints" "$root/setup.py"; } |
    sha256sum | cut -d' ' -f1
}

is_stamped() { [[ -e $stamp && $(<"$stamp") == "$(stamp_key)" ]]; }

# --no-compile: pip would byte-compile all files on one core; see compile_all.
install() {
  local what=$1 start=$SECONDS status=0
  shift
  say "installing $what."
  touch "$busy"
  "$py" -m pip install -qq --no-input --progress-bar off --no-compile \
    --constraint "$constraints" "$@" || status=$?
  rm -f "$busy"
  ((status == 0)) || die "pip could not install: $*" \
    'read its message above: without a network, connect and run this again; if the disk
is full, free space or set FDSR_VENV to a folder on another disk.'
  say "$what: $((SECONDS - start)) s"
}

# Byte-compiles the main packages on all cores. Python compiles the rest on first import.
compile_all() {
  local packages start=$SECONDS
  packages=$("$py" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  (cd "$packages" && "$py" -m compileall -qq -j 0 \
    torch mmengine mmcv mmagic numpy scipy sklearn pandas PIL) || true
  say "byte-compiling: $((SECONDS - start)) s"
}

# torch selects its GPU libraries. constraints.txt contains every other package, so that
# pip does not resolve versions.
install_all() {
  install pip pip
  install 'torch and torchvision' torch torchvision
  install "the packages of $(basename "$constraints")" --no-deps \
    --build-constraint "$constraints" --requirement "$constraints"
  "$py" -c 'import cv2' || die 'OpenCV cannot be imported: see the message above.' \
    "on Debian or Ubuntu: apt-get install $opencv_packages"
  compile_all
  link_checkout
}

# Links the environment to this checkout if necessary.
link_checkout() {
  local where
  where=$(cd / && "$py" -c 'import fdsr; print(fdsr.__path__[0])' 2>/dev/null) || true
  [[ $where == "$root/fdsr" ]] && [[ -e $stamp ]] && return
  install 'this checkout' --no-deps --no-build-isolation --editable "$root"
}

main() {
  [[ $venv == /* ]] || venv=$PWD/$venv
  py=$venv/bin/python
  owned=$venv/fdsr-setup.owned busy=$venv/fdsr-setup.busy stamp=$venv/fdsr-setup.stamp
  export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONNOUSERSITE=1
  unset PYTHONHOME PYTHONPATH
  take_lock
  prepare_venv
  if is_stamped; then
    link_checkout
    if "$py" "$root/tools/check_environment.py" --quick; then return; fi
    say 'something is missing; installing it.'
  fi
  rm -f "$stamp"
  install_all
  "$py" "$root/tools/check_environment.py" ||
    die "the environment in $venv is not complete: see MISSING above." \
      "follow the remedy above and run $0 again; if that does not help, \
rm -r '$venv' first."
  stamp_key >"$stamp.new"
  mv "$stamp.new" "$stamp"
  say "ready in $((SECONDS - started)) s: $venv"
}

main "$@"
