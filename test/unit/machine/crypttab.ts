import t from 'tap'
import { readCrypttab } from '../../../src/machine/crypttab.js'

t.same(
  readCrypttab(
    '# comment\n\ndata UUID=1-2 none luks\nswap /dev/sdb2 /dev/urandom swap\nno /dev/sdc - noauto\nhalf\n',
  ),
  [
    { name: 'data', source: 'UUID=1-2', device: '/dev/disk/by-uuid/1-2' },
    { name: 'swap', source: '/dev/sdb2', device: '/dev/sdb2' },
  ],
)
