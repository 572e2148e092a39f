/**
 * Shell commands, for a mount namespace of its own: the working directory becomes the root file system $root,
 * with the kernel's file systems and a new /run. What is written there is kept in $work, an empty directory,
 * and gone with the namespace.
 */
export const THROWAWAY_ROOT = `mount -t tmpfs tmpfs "$work"
mkdir "$work/upper" "$work/work" "$work/root"
mount -t overlay overlay -o "lowerdir=$root,upperdir=$work/upper,workdir=$work/work" "$work/root"
cd "$work/root"
mount --rbind /dev dev
mount --rbind /sys sys
mount -t proc proc proc
mount -t tmpfs tmpfs run`
