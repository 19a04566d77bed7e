#!/bin/sh
# Makes what the emulated hosts boot, from Debian's packages: image.sh FOLDER
#
#   FOLDER/vmlinux          Debian's kernel, unpacked: unpacking is slow in an emulated processor
#   FOLDER/initramfs.cpio   perftest, the RDMA-CM examples, iproute2, the kernel's modules
#
# Nothing is installed: packages are downloaded with the machine's own apt sources (Debian 12 or
# later, x86-64) and unpacked there. What is there already is kept; remove FOLDER to start over.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
here=$(dirname "$(readlink -f "$0")")
mkdir -p "$1/debs/partial"
cd "$1"

PACKAGES="busybox-static dash ethtool ibverbs-providers iproute2 kmod perftest rdmacm-utils"

if [ ! -f root/complete ]; then
    kernel=$(apt-cache depends linux-image-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*-amd64\)$/\1/p' | head -n 1)
    [ -n "$kernel" ] || { echo "no package linux-image-amd64: try apt-get update" >&2; exit 1; }
    echo "image: downloading $kernel and $PACKAGES"
    # With an empty list of installed packages, apt finds all that these need.
    : >installed
    # shellcheck disable=SC2086 # the packages are words
    apt-get -qq -y --no-install-recommends --download-only \
        -o Dir::State::status="$PWD/installed" -o Dir::Cache::archives="$PWD/debs" \
        -o Debug::NoLocking=1 -o APT::Sandbox::User=root install $PACKAGES >/dev/null
    (cd debs && apt-get -qq -o APT::Sandbox::User=root download "$kernel" >/dev/null)
    rm -rf root
    mkdir root
    for package in debs/*.deb; do dpkg-deb -x "$package" root; done
    touch root/complete
    rm -f vmlinux initramfs.cpio
fi
[ -f vmlinux ] || python3 "$here/vmlinux.py" root/boot/vmlinuz-* vmlinux

made_by="$here/image.sh $here/initramfs.py $here/guest/init $here/guest/agent"
# shellcheck disable=SC2086 # these are words
if [ ! -f initramfs.cpio ] || [ -n "$(find $made_by -newer initramfs.cpio)" ]; then
    python3 "$here/initramfs.py" root "$here/guest" initramfs.cpio
fi
