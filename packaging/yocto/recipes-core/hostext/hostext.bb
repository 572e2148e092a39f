SUMMARY = "Host extensions: container images stacked over the root at boot"
DESCRIPTION = "A host extension is a container image with a label. At boot its files become part of the root file \
system, and the root is read-only and locked."
LICENSE = "Apache-2.0 & MIT & BSD-3-Clause"
LIC_FILES_CHKSUM = "file://usr/lib/hostext/LICENSE;md5=3b83ef96387f14655fc854ddc3c6bd57"

def hostext_version(d):
    import json
    with open(d.getVar('HOSTEXT_CHECKOUT') + '/package.json') as file:
        return json.load(file)['version']

PV = "${@hostext_version(d)}"

# What `node build.mjs release` has made, without a runtime.
FILESEXTRAPATHS:prepend := "${HOSTEXT_RELEASE}:"
SRC_URI = "file://hostext-${PV}-all.tar.xz;subdir=hostext-${PV}"
S = "${UNPACKDIR}/hostext-${PV}"

inherit features_check
# Units and the generator are in /usr/lib/systemd.
REQUIRED_DISTRO_FEATURES = "systemd usrmerge"

do_configure[noexec] = "1"
do_compile[noexec] = "1"

do_install() {
    cp -R --no-dereference --preserve=mode,links "${S}/." "${D}"
    # They keep apt and dpkg from the locked root.
    [ "${IMAGE_PKGTYPE}" = deb ] || rm -rf "${D}/etc/dpkg" "${D}/etc/apt"
    # It is a program of bash, and images are made without dracut.
    rm -rf "${D}/usr/lib/dracut"
    chown -R root:root "${D}"
}

# The directories in which the root is mounted are empty.
FILES:${PN} += " \
    /usr/bin/hostext \
    /usr/lib/hostext \
    /usr/lib/systemd \
    /usr/lib/tmpfiles.d \
    /usr/share/bash-completion \
    /usr/share/fish \
    /usr/share/zsh \
    /etc \
"

# The scripts of both passes use more than busybox has of these.
RDEPENDS:${PN} = " \
    hostext-runtime \
    coreutils \
    diffutils \
    grep \
    kmod \
    sed \
    systemd \
    tar \
    udev \
    util-linux-flock \
    util-linux-logger \
    util-linux-mount \
    util-linux-mountpoint \
    util-linux-umount \
"
RRECOMMENDS:${PN} = "kernel-module-overlay"
