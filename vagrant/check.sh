#!/bin/bash
# check.sh [COMMAND…]    check this folder, as root: is the Vagrantfile valid, and does provision.sh make a fresh Debian ready?
#
# The provisioning runs for real: in a Debian root made by mmdebstrap, on a copy of the last commit, twice. Then COMMAND runs in there
# (default: the tests of fork and of pivot_root). Nothing stays. Needs: git, mmdebstrap; vagrant for the first part.
#
# From the machine, at run time: Debian's mirror and apt's proxies; npm's registry; the authorities that it trusts; the addresses of
# /etc/resolv.conf and /etc/hosts; http_proxy, https_proxy, no_proxy.
set -euo pipefail

suite=${SUITE:-trixie}
here=$(dirname "$(realpath "$0")")
repository=$(git -C "$here" rev-parse --show-toplevel)
# $* is for a shell inside.
command=${*:-npx vitest run chapters/01-processes/tests/fork.test.ts chapters/02-namespaces/tests/pivot-root.test.ts}

main() {
  [ "$(id -u)" = 0 ] || fail "not root: type sudo $0"
  validate
  command -v mmdebstrap >/dev/null || fail "no mmdebstrap: type apt-get install mmdebstrap"
  root=$(mktemp -d /tmp/workshop-root-XXXXXX)
  trap 'rm -rf --one-file-system "$root"' EXIT
  make_root
  say "the last commit is copied to /workshop in it"
  mkdir "$root/workshop"
  git -C "$repository" archive HEAD | tar -x -C "$root/workshop"
  inside 'bash /workshop/vagrant/provision.sh /workshop'
  say "provision.sh again: nothing may be left to do"
  inside 'bash /workshop/vagrant/provision.sh /workshop' | tee "$root/tmp/second"
  if grep -qE 'Debian packages|installing' "$root/tmp/second"; then fail "the second run installed something"; fi
  say "inside: $command"
  inside "cd /workshop && $command"
  say "passed: $(inside 'cat /etc/debian_version'), Node $(inside 'node -v')"
}

# With vagrant-libvirt its options are checked too: libvirt's own test driver stands in for a hypervisor. Without any provider Vagrant
# refuses to look, unless told to leave the provider out.
validate() {
  if ! command -v vagrant >/dev/null; then fail "no vagrant: type apt-get install vagrant vagrant-libvirt"; fi
  local options=(--ignore-provider) state
  if dpkg-query -W vagrant-libvirt >/dev/null 2>&1; then options=(); fi
  say "vagrant validate ${options[*]}"
  state=$(mktemp -d)
  (cd "$here" && VAGRANT_DOTFILE_PATH=$state LIBVIRT_DEFAULT_URI=test:///default vagrant validate "${options[@]}")
  rm -rf "$state"
}

make_root() {
  local mirror options=()
  # shellcheck disable=SC2016 # apt-get puts these in
  mirror=${MIRROR:-$(apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' | sed -n 's/^Debian //p' | grep -v security | head -1)}
  while IFS= read -r line; do options+=(--aptopt="$line"); done < <(apt-config dump | grep -E '^Acquire::https?::Proxy' || true)
  say "a fresh Debian ($suite) in $root"
  mmdebstrap --quiet --variant=apt --include=mount --mode=root "${options[@]}" "$suite" "$root" ${mirror:+"$mirror"}
  cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/machine-authorities.crt"
  fi
}

# Runs a command with the new root as its root: in namespaces of its own, pivoted into it, so that the machine has no mount of it.
inside() {
  local registry
  registry=$(npm --prefix / config get registry 2>/dev/null || true)
  # shellcheck disable=SC2016 # the inner shell puts these in
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
    npm_config_registry="$registry" npm_config_cafile=/etc/machine-authorities.crt \
    unshare --mount --pid --fork --kill-child --propagation private bash -euc '
      mount --bind "$0" "$0"
      cd "$0"
      mount -t proc proc proc
      mount --rbind /sys sys
      mount --rbind /dev dev
      pivot_root . .
      umount -l .
      exec bash -euc "$1"' "$root" "$1"
}

say() { echo "check: $*"; }

fail() {
  echo "check: $*" >&2
  exit 1
}

main
