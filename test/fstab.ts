import t from 'tap'
import { parseFstab, unescapeOctal } from '../src/fstab.js'

t.same(
  parseFstab(`# comment
UUID=1 / ext4 rw,errors=remount-ro 0 1

/dev/sdb1\t/mnt/my\\040data/  ext4
LABEL=x none swap sw
  proc /proc proc hidepid=2 0 0
broken
`),
  [
    { source: 'UUID=1', mountPoint: '/', type: 'ext4', options: ['rw', 'errors=remount-ro'], passno: 1 },
    { source: '/dev/sdb1', mountPoint: '/mnt/my data', type: 'ext4', options: ['defaults'], passno: 0 },
    { source: 'LABEL=x', mountPoint: 'none', type: 'swap', options: ['sw'], passno: 0 },
    { source: 'proc', mountPoint: '/proc', type: 'proc', options: ['hidepid=2'], passno: 0 },
  ],
)
t.same(parseFstab(''), [])
t.equal(unescapeOctal('a\\040b\\134c\\011'), 'a b\\c\t')
t.equal(unescapeOctal('gr\\303\\266ße'), 'größe', 'escaped bytes of UTF-8')
t.equal(unescapeOctal('\\999 \\04'), '\\999 \\04', 'what is no escape stays')
