# Compiles Node for glibc 2.36, inside a root file system of Debian 12 in which fetch.sh has put the sources.
# The program is /build/nodejs/out/Release/node. It can be started again after an error.
set -eu

# The date of the source package. No path of the build machine can get into the program: all are in /build.
SOURCE_DATE_EPOCH=$(cd /build/nodejs && dpkg-parsechangelog --show-field Timestamp)
export SOURCE_DATE_EPOCH

# For precompiled headers.
PATH=/build/bin:$PATH
export CC=clang-19 CXX=clang++-19 AR=llvm-ar-19
# What nothing calls is left out at the end. Exceptions are not caught (packaging/runtime/unwind-tables.mjs).
flags='-Os -fno-pie -ffunction-sections -fdata-sections -fno-asynchronous-unwind-tables -fno-unwind-tables'

# Only archives are there, so that nothing is linked with a shared library of these.
mkdir -p /deps/include /deps/lib
library() {
	directory=$1
	shift
	CFLAGS="$flags" CXXFLAGS="$flags -std=c++20 -fno-exceptions -fno-rtti" LDFLAGS=-no-pie \
		cmake -S "/build/$directory" -B "/build/$directory-out" -G Ninja -DCMAKE_BUILD_TYPE=None \
		-DCMAKE_INSTALL_PREFIX=/deps -DCMAKE_INSTALL_LIBDIR=lib -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
		-DCMAKE_AR=/usr/bin/llvm-ar-19 -DCMAKE_RANLIB=/usr/bin/llvm-ranlib-19 "$@"
	ninja -j "$JOBS" -C "/build/$directory-out" install
}
library libuv -DLIBUV_BUILD_SHARED=OFF
library cares -DCARES_STATIC=ON -DCARES_SHARED=OFF -DCARES_BUILD_TOOLS=OFF
library ada -DADA_TESTING=OFF -DADA_TOOLS=OFF -DADA_BENCHMARKS=OFF
library brotli -DBROTLI_DISABLE_TESTS=ON -DBROTLI_BUILD_TOOLS=OFF
library simdutf -DSIMDUTF_TESTS=OFF -DSIMDUTF_TOOLS=OFF -DSIMDUTF_BENCHMARKS=OFF -DSIMDUTF_ICONV=OFF
library hdr -DHDR_LOG_REQUIRED=DISABLED -DHDR_HISTOGRAM_BUILD_PROGRAMS=OFF -DHDR_HISTOGRAM_BUILD_SHARED=OFF
library nghttp2 -DENABLE_LIB_ONLY=ON -DBUILD_STATIC_LIBS=ON
cp -r /build/forky/usr/include/. /usr/include/sha2.h /deps/include
cp /build/forky/usr/lib/*/libllhttp.a /deps/lib
cp /build/forky/usr/lib/*/libsimdjson_static.a /deps/lib/libsimdjson.a
# (Of gtest, Node itself uses a macro.)
for name in gtest md z zstd; do cp /usr/lib/*-linux-gnu/lib$name.a /deps/lib; done

# gyp of Debian 12 is too old.
export PYTHONPATH=/build/forky/usr/lib/python3/dist-packages
cd /build/nodejs
# A package of Debian 12 has it elsewhere, and without OpenSSL nothing reads it.
mkdir -p deps/openssl
touch deps/openssl/nodejs-openssl.cnf
# Node's own warnings are not for us. Without NDEBUG, Abseil would look for deadlocks at each lock
# (packaging/runtime/deadlock-checks.mjs). The last option: a symbol by which GCC 13 and later make sure that
# the streams of the C++ library are initialised. libsimdjson refers to it, and does not use them.
if [ ! -e out/Release/build.ninja ]; then
	shared() {
		for name; do
			echo "--shared-$name --shared-$name-includes=/deps/include --shared-$name-libpath=/deps/lib"
		done
	}
	# shellcheck disable=SC2046 # These are words.
	CFLAGS="$flags -DNDEBUG -Wno-everything -I/deps/include" \
		CXXFLAGS="$flags -DNDEBUG -Wno-everything -I/deps/include" \
		LDFLAGS="--ld-path=/usr/bin/ld.lld-19 -no-pie -static-libstdc++ -static-libgcc -L/deps/lib -lmd \
-Wl,--gc-sections,--icf=safe,-O2,--as-needed,--strip-all,--build-id=none,--defsym=_ZSt21ios_base_library_initv=0" \
		./configure --ninja --dest-os=linux --prefix=/usr \
		--v8-lite-mode --v8-disable-maglev --v8-disable-object-print \
		--without-npm --without-corepack --without-amaro --without-intl --without-ssl --without-inspector \
		--without-sqlite --without-report --disable-single-executable-application \
		$(shared ada zlib zstd cares http-parser nghttp2 brotli simdjson simdutf hdr-histogram gtest libuv) \
		--shared-brotli-libname=brotlidec,brotlienc,brotlicommon \
		--shared-hdr-histogram-libname=hdr_histogram_static
fi
ninja -j "$JOBS" -C out/Release node
