# The runtime of hostext: meta-oe's Node.js, without what hostext does not use.
require recipes-devtools/nodejs/nodejs_${HOSTEXT_NODEJS}.bb

# Its patches are beside it, and not beside this recipe.
HOSTEXT_NODEJS_RECIPE = "recipes-devtools/nodejs/nodejs_${HOSTEXT_NODEJS}.bb"
FILESEXTRAPATHS:prepend := "${@os.path.dirname(bb.utils.which(d.getVar('BBPATH'), d.getVar('HOSTEXT_NODEJS_RECIPE')))}/nodejs:"

SUMMARY = "Host extensions: a small Node.js as their runtime"
PV = "${HOSTEXT_NODEJS}"

# No ICU, and the libraries of Node.js linked in: nothing else in the image is asked for but OpenSSL.
PACKAGECONFIG = ""
ARCHFLAGS:append = " --without-npm --without-corepack --without-inspector --without-sqlite --without-amaro"
PTEST_ENABLED = "0"

do_install() {
    install -D -m 0755 "${B}/out/Release/node" "${D}/usr/lib/hostext/node"
}

PACKAGES = "${PN}-dbg ${PN}"
FILES:${PN} = "/usr/lib/hostext"
BBCLASSEXTEND = ""
