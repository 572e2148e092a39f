import t from 'tap'
import { segments } from '../boot/mapper.js'

t.test('a table has no gaps', async (t) => {
  t.same(segments(100, [], 'error'), ['0+100+linear'])
  t.same(
    segments(
      100,
      [
        { start: 40, count: 8 },
        { start: 16, count: 8 },
      ],
      'error',
    ),
    ['0+16+linear', '16+8+error', '24+16+linear', '40+8+error', '48+52+linear'],
  )
  t.same(segments(100, [{ start: 0, count: 100 }], 'unwritable'), ['0+100+unwritable'])
  t.same(
    segments(
      16,
      [
        { start: 0, count: 8 },
        { start: 8, count: 8 },
      ],
      'error',
    ),
    ['0+8+error', '8+8+error'],
  )
})

t.test('what is no part of the disk, or is twice', async (t) => {
  t.throws(() => segments(100, [{ start: 96, count: 8 }], 'error'), /104 of 100/)
  const twice = [
    { start: 8, count: 8 },
    { start: 12, count: 8 },
  ]
  t.throws(() => segments(100, twice, 'error'), /two extents/)
})
