# Fetches what is compiled, inside the root file system where that happens. apt checks the signatures. These
# are the versions that go together: compile.sh and node.patch are for them.
set -eu

NODE='24.21.0+dfsg+~cs24.13.4-1'

# Debian 12 has older ones. A mirror's copy of forky may be past its Valid-Until date.
cat >/etc/apt/sources.list.d/newer.list <<'END'
deb-src http://deb.debian.org/debian trixie main
deb-src http://deb.debian.org/debian forky main
deb-src http://deb.debian.org/debian sid main
deb http://deb.debian.org/debian forky main
END
apt-get --option Acquire::Check-Valid-Until=false --quiet update

cd /build
# With Debian's patches.
apt-get --quiet --only-source source "nodejs=$NODE" libuv1=1.50.0-2 c-ares=1.34.8-1
mv nodejs-*/ nodejs
mv libuv1-*/ libuv
mv c-ares-*/ cares

# As upstream has them: Debian's patches are for shared libraries.
upstream() {
	apt-get --quiet --only-source --download-only --tar-only source "$2"
	mkdir "$1"
	tar -C "$1" --strip-components=1 -xf "${2%%=*}_"*.orig.tar.*
}
upstream ada ada-url=3.4.4-1
upstream brotli brotli=1.2.0-4
upstream hdr libhdr-histogram=0.11.8-4
upstream nghttp2 nghttp2=1.70.0-1
upstream simdutf simdutf=8.2.0-1

# Compiled already, for static linking, and gyp. Neither library needs anything that glibc 2.36 does not have.
apt-get --quiet download gyp=0.16.2-3 libllhttp-dev=9.4.3+~cs12.11.9-2 libsimdjson-dev=4.6.11-1
for package in *.deb; do dpkg -x "$package" /build/forky; done
