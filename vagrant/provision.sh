#!/bin/bash
# provision.sh [FOLDER]    make a Debian or Ubuntu machine ready for the workshop in FOLDER (/vagrant), as root.
#
# Can be run again at any time: it does what is missing, and nothing else. It ends with `npm test` being possible.
set -euo pipefail

folder=${1:-/vagrant}
modules=/var/lib/workshop/node_modules

# nodejs and npm; the others are what the README names. workshop/setup.mjs knows them too, but needs Node to say so.
packages=(nodejs npm ca-certificates busybox-static iproute2 nftables libseccomp2 procps uidmap)

main() {
  [ "$(id -u)" = 0 ] || fail "not root: type sudo $0 $folder"
  [ -f "$folder/workshop/setup.mjs" ] || fail "$folder is not the workshop: give its folder as the argument"
  install_packages
  check_node
  keep_modules_local
  say "npm packages"
  (cd "$folder" && node workshop/setup.mjs --test)
  publish_pages
  say "ready: cd $folder && sudo npm start, or sudo npm test"
}

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do is_there "$name" || missing+=("$name"); done
  if [ ${#missing[@]} = 0 ]; then return; fi
  say "Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq update
  apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null
}

# Node may come from elsewhere, and bring npm along.
is_there() {
  case $1 in
    nodejs) command -v node >/dev/null ;;
    npm) command -v npm >/dev/null ;;
    *) dpkg-query -W -f '${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed ;;
  esac
}

check_node() {
  local version
  version=$(node -p 'process.versions.node')
  printf '20.16\n%s\n' "$version" | sort -CV || fail "Node $version is too old: 20.16 or newer is needed. Debian 13 has it; on Debian 12 install it from nodejs.org"
}

# A folder shared with the host is slow, often knows no symbolic links, and its node_modules may hold the programs of the
# host's system. The machine keeps its own, mounted over that of the folder.
keep_modules_local() {
  case $(findmnt -no FSTYPE -T "$folder") in
    vboxsf | *vmhgfs* | virtiofs | 9p | nfs*) ;;
    *) return ;;
  esac
  mountpoint -q "$folder/node_modules" && return
  say "node_modules: $modules, mounted over $folder/node_modules"
  mkdir -p "$modules" "$folder/node_modules"
  mount --bind "$modules" "$folder/node_modules"
}

# `npm start` serves its pages on 127.0.0.1 of this machine. A forwarded port arrives at the machine's outer address: a proxy of
# systemd's listens there, and passes on.
publish_pages() {
  if [ ! -d /run/systemd/system ]; then return; fi
  local address proxy=/lib/systemd/systemd-socket-proxyd units=/etc/systemd/system
  address=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
  if [ -z "$address" ] || [ ! -x "$proxy" ]; then return; fi
  if grep -qsx "ListenStream=$address:8080" $units/workshop-pages.socket; then return; fi
  say "pages: $address:8080 leads to 127.0.0.1:8080"
  cat >$units/workshop-pages.socket <<END
[Unit]
Description=The workshop's pages, for the host of this virtual machine
[Socket]
ListenStream=$address:8080
FreeBind=yes
[Install]
WantedBy=sockets.target
END
  cat >$units/workshop-pages.service <<END
[Unit]
Description=The workshop's pages, from 127.0.0.1
[Service]
ExecStart=$proxy 127.0.0.1:8080
DynamicUser=yes
END
  systemctl daemon-reload
  systemctl enable -q workshop-pages.socket
  systemctl restart workshop-pages.socket
}

say() { echo "provision: $*"; }

fail() {
  echo "provision: $*" >&2
  exit 1
}

main
