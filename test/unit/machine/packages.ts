import t from 'tap'
import { readPackages } from '../../../src/machine/packages.js'
import { makeTree, type Tree } from '../../support/tree.js'

const read = (tree: Tree) => readPackages({ prefix: makeTree(t, tree) })

t.test('managers by their programs, wherever /var is', async (t) => {
  t.same(read({ 'usr/bin/rpm': '', 'usr/bin/dpkg': '', 'usr/bin/pacman': '-> elsewhere' }), {
    databases: ['/var/lib/rpm', '/var/lib/pacman'],
    automatic: [],
  })
  t.same(read({ 'var/lib/rpm/x': '' }).databases, [])
})

t.test('units that the system has', async (t) => {
  const units = 'usr/lib/systemd/system'
  const tree = { [`${units}/apt-daily-upgrade.timer`]: '', [`${units}/apt-daily.service`]: '' }
  t.same(read(tree), { databases: [], automatic: ['apt-daily-upgrade.timer'] })
})
