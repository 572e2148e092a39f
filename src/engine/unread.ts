import { listDirectory, type Root, statLink } from '../machine/files.js'
import { isBelow } from '../machine/mountinfo.js'
import { GRAPHROOT } from './storage-conf.js'

/** Something that has containers or images and that hostext does not read: what it is, and where. */
export type Unread = { name: string; path: string }

/** containerd is an engine of its own only where Docker does not use it. */
export const CONTAINERD_ALONE = 'containerd'

/** Where other engines keep what they have; what a path has there says that the engine was used. */
export const OTHERS: Unread[] = [
  { name: CONTAINERD_ALONE, path: '/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots' },
  { name: 'Podman with the vfs driver', path: '/var/lib/containers/storage/vfs-containers' },
  { name: 'Podman with the btrfs driver', path: '/var/lib/containers/storage/btrfs-containers' },
  { name: 'Podman with the zfs driver', path: '/var/lib/containers/storage/zfs-containers' },
  { name: 'k3s', path: '/var/lib/rancher/k3s/agent/containerd' },
  { name: 'RKE2', path: '/var/lib/rancher/rke2/agent/containerd' },
  { name: 'MicroK8s', path: '/var/snap/microk8s/common/var/lib/containerd' },
  { name: 'Kubernetes', path: '/var/lib/kubelet/pods' },
  { name: 'nerdctl', path: '/var/lib/nerdctl' },
  { name: 'LXC', path: '/var/lib/lxc' },
  { name: 'LXD', path: '/var/lib/lxd/containers' },
  { name: 'LXD', path: '/var/snap/lxd/common/lxd/containers' },
  { name: 'Incus', path: '/var/lib/incus/containers' },
  { name: 'systemd-nspawn', path: '/var/lib/machines' },
]

/** What a user's own engine keeps below the user's home directory. */
export const ROOTLESS: Unread[] = [
  { name: 'rootless Docker', path: '.local/share/docker/containers' },
  { name: 'rootless Podman', path: '.local/share/containers/storage/overlay-containers' },
]

/** More homes than this are those of a server with a directory service; nobody keeps extensions there. */
const MOST_HOMES = 200

/**
 * Finds what is there and not empty; `podman`: where Podman keeps its storage. What cannot be read counts as
 * absent.
 */
export function findUnread(root: Root, podman: readonly string[] = [GRAPHROOT]): Unread[] {
  const others = OTHERS.flatMap(({ name, path }) =>
    isBelow(path, GRAPHROOT)
      ? podman.map((graphroot) => ({ name, path: graphroot + path.slice(GRAPHROOT.length) }))
      : { name, path },
  )
  const homes = list(root, '/home').slice(0, MOST_HOMES)
  const rootless = homes.flatMap((home) =>
    ROOTLESS.map(({ name, path }) => ({ name, path: `/home/${home}/${path}` })),
  )
  return [...others, ...rootless].filter(
    ({ path }) => statLink(root, path)?.isDirectory() && list(root, path).length > 0,
  )
}

function list(root: Root, path: string): string[] {
  try {
    return listDirectory(root, path)
  } catch {
    return []
  }
}
