#!/bin/bash
# A module of dracut(8): stacks known boots in the initrd. It is only in an initrd that asks for it:
# add_dracutmodules+=" hostext "

check() {
	return 255
}

depends() {
	echo systemd
}

install() {
	# (Dracut's own words. What runs is on the root file system.)
	inst_multiple chroot mount umount rm mv mkdir cat
	# shellcheck disable=SC2154 # set by dracut
	inst_simple "$moddir/hostext-initrd.service" "$systemdsystemunitdir/hostext-initrd.service"
	# shellcheck disable=SC2154
	systemctl -q --root "$initdir" add-wants initrd.target hostext-initrd.service
}
