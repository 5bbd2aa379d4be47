#!/bin/sh
# Makes the root of Pinrail's image: image-root.sh ROOT, where ROOT/usr/bin/pinrail is.
#
# Copies the shared libraries that the binary names from this Debian, each with the record of its package, by which
# scanners tell what is inside and what is wrong with it; certificates; and the user.
set -eu
root="$1"
user=65532

packages=""
take() { # take FILE: copies a file to where it is, and remembers its package
  mkdir -p "$root$(dirname "$1")"
  cp -L "$1" "$root$1"
  real="$(readlink -f "$1")"
  for name in "$1" "$real" "${1#/usr}" "${real#/usr}"; do
    package="$(dpkg-query --search "$name" 2>/dev/null | head -n 1 | cut -d : -f 1)" && [ -n "$package" ] && break
  done
  [ -n "$package" ] || { echo "no package has $1" >&2; exit 1; }
  packages="$packages $package"
}

libraries="$(ldd "$root/usr/bin/pinrail" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p')"
[ -n "$libraries" ] || { echo "ldd names no library of the binary" >&2; exit 1; }
for library in $libraries; do
  take "$library"
done
# glibc finds the resolver by this name when it first asks for a host.
for library in libnss_dns.so.2 libnss_files.so.2 libresolv.so.2; do
  file="$(ldconfig -p | sed -n "s/.*$library .*=> //p" | head -n 1)"
  [ -z "$file" ] || take "$file"
done
# No package has this file: its scripts put it together.
install -D -m 644 /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
packages="$packages ca-certificates"

mkdir -p "$root/etc" "$root/tmp" "$root/var/lib/dpkg/status.d"
for package in $(printf '%s\n' $packages | sort -u); do
  dpkg-query --status "$package" >"$root/var/lib/dpkg/status.d/$package"
  if [ -r "/usr/share/doc/$package/copyright" ]; then
    install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
  fi
done
cp /etc/os-release "$root/etc/os-release"
echo "hosts: files dns" >"$root/etc/nsswitch.conf"
echo "pinrail:x:$user:$user:Pinrail:/data:/nonexistent" >"$root/etc/passwd"
echo "pinrail:x:$user:" >"$root/etc/group"
chmod 1777 "$root/tmp"
