import t from 'tap'
import { findUnread } from '../../../src/engine/unread.js'
import { makeTree } from '../../support/tree.js'

const find = (files: Record<string, string>) => findUnread({ prefix: makeTree(t, files) })

t.test('what has something there', async (t) => {
  t.same(find({}), [])
  t.same(find({ 'var/lib/lxc/x/config': '', 'var/lib/incus/containers': '', 'var/lib/lxd': '-> lxc' }), [
    { name: 'LXC', path: '/var/lib/lxc' },
  ])
  t.same(find({ 'var/lib/machines': '-> /nowhere' }), [])
})

t.test("users' own engines", async (t) => {
  const users: Record<string, string> = {
    'home/ann/.local/share/docker/containers/x/y': '',
    'home/bob/x': '',
  }
  t.same(find(users), [{ name: 'rootless Docker', path: '/home/ann/.local/share/docker/containers' }])
  const many = Object.fromEntries(Array.from({ length: 250 }, (_, user) => [`home/0${user}/x`, '']))
  t.same(find({ ...users, ...many }), [], 'not of a server with hundreds of them')
})

t.test('Podman’s storage with another driver, wherever it is', async (t) => {
  const prefix = makeTree(t, { 'data/containers/vfs-containers/x': '', 'var/lib/lxc/x/config': '' })
  t.same(findUnread({ prefix }, ['/data/containers']), [
    { name: 'Podman with the vfs driver', path: '/data/containers/vfs-containers' },
    { name: 'LXC', path: '/var/lib/lxc' },
  ])
})
