import t from 'tap'
import {
  forNextBoot,
  readCommandLine,
  splitArguments,
  splitCommandLine,
} from '../../../src/machine/kernel-command-line.js'

t.test('words are split with the kernel’s quoting rules', async (t) => {
  for (const [text, words] of [
    ['root=/dev/sda1 ro  quiet\n', ['root=/dev/sda1', 'ro', 'quiet']],
    ['a="b c" d', ['a=b c', 'd']],
    ['"a=b c" d', ['a=b c', 'd']],
    ['a="emergency" b', ['a=emergency', 'b']],
    ['a=x"y z"', ['a=x"y z"']],
    ['a="never closed b', ['a=never closed b']],
    ['', []],
    [' \t\n', []],
  ] as const) {
    t.same(splitCommandLine(text), words, JSON.stringify(text))
  }
})

t.test('the arguments of a container’s PID 1 end with NUL, its name is none of them', async (t) => {
  t.same(splitArguments('/usr/lib/systemd/systemd\0balena.nohostext\0a b\0'), ['balena.nohostext', 'a b'])
  t.same(splitArguments('/sbin/init\0'), [])
})

const OFF = [
  ...['', '=1', '=yes', '=true', '=on', '=YES', '=anything'].flatMap((value) => [
    `balena.nohostext${value}`,
    `mobynit.no_overlays${value}`,
  ]),
  'mobynit.no-overlays',
  ...['emergency', 'rescue', 'single', 's', 'S', '1', '-b'],
  'systemd.unit=rescue.target',
  'systemd.unit=emergency.target',
  'balena.nohostext=0 balena.nohostext',
  'systemd.unit="rescue.target"',
]
const ON = [
  ...['=0', '=no', '=false', '=off', '=OFF', '=n', '=f'].map((value) => `balena.nohostext${value}`),
  'mobynit.no_overlays=0',
  'foo.emergency=1',
  'emergency=1',
  'foo="a emergency b"',
  'xemergency',
  'balena.nohostextra',
  'my.balena.nohostext',
  'balena.nohostext balena.nohostext=0',
  'systemd.unit=multi-user.target',
  'rd.systemd.unit=emergency.target',
  'single_user',
  '10',
]
t.test('turned off', async (t) => {
  for (const line of OFF) t.type(readCommandLine(splitCommandLine(`ro ${line} quiet`)).off, 'string', line)
  t.equal(readCommandLine(['emergency']).off, 'emergency on the kernel command line')
})
t.test('not turned off', async (t) => {
  for (const line of ON) t.equal(readCommandLine(splitCommandLine(`ro ${line} quiet`)).off, undefined, line)
})

t.test('the unit the boot is meant for', async (t) => {
  const target = (line: string) => readCommandLine(splitCommandLine(line)).target
  t.equal(target('ro quiet'), 'default.target')
  t.equal(target('3'), 'multi-user.target')
  t.equal(target('5'), 'graphical.target')
  t.equal(target('3 systemd.unit=kiosk.target'), 'kiosk.target', 'the last one wins')
  t.equal(target('systemd.unit='), 'default.target')
})

t.test('a unit name that is none, and a generator that wants the target', async (t) => {
  for (const name of [
    '../../etc/passwd',
    'a/b.target',
    'target',
    `${'x'.repeat(300)}.target`,
    'a b.target',
    'kiosk.service',
    'kiosk@1.target',
  ]) {
    const result = readCommandLine([`systemd.unit=${name}`])
    t.equal(result.target, 'default.target', name)
    t.match(result.otherTarget, 'not a plain target')
  }
  for (const word of ['systemd.run', 'systemd.wants'])
    t.equal(readCommandLine([`${word}=x`]).otherTarget, `${word}= on the kernel command line`)
  for (const name of ['emergency', 'rescue'])
    t.match(readCommandLine([`systemd.unit=${name}.service`]).off, `systemd.unit=${name}.service`)
})

t.test('a word that every object has for a key asks for nothing', async (t) => {
  for (const word of ['constructor', 'toString', '__proto__', 'hasOwnProperty'])
    t.same(readCommandLine([word]), { target: 'default.target' }, word)
  t.notMatch(readCommandLine(['systemd.unit=a\u001b[31m']).otherTarget, '\u001b')
})

t.test('ro and rw: the last counts', async (t) => {
  t.equal(readCommandLine(['ro', 'rw']).root, 'rw')
  t.equal(readCommandLine(['rw', 'ro']).root, 'ro')
  t.equal(readCommandLine(['quiet']).root, undefined)
})

t.test('the ABI of the kernel', async (t) => {
  t.equal(readCommandLine(['balena_kernel_abi=a', 'balena-kernel-abi=b']).kernelAbi, 'b')
  t.equal(readCommandLine(['balena_kernel_abi=', 'x_balena_kernel_abi=c', 'quiet']).kernelAbi, undefined)
})

t.test('extensions to be left out', async (t) => {
  const skip = (line: string) => readCommandLine(splitCommandLine(line)).skip
  t.same(skip('hostext.skip=wifi'), ['wifi'])
  t.same(skip('ro hostext.skip=wifi,gpu quiet hostext.skip=,lte,'), ['wifi', 'gpu', 'lte'], 'they add up')
  t.same(skip('hostext.skip="a b"'), ['a b'], 'no container has such a name; it is said')
  for (const line of ['hostext.skip', 'hostext.skip=', 'xhostext.skip=wifi', 'rd.hostext.skip=wifi'])
    t.equal(skip(line), undefined, line)
})

t.test('what is for one boot', async (t) => {
  const next = (line: string) => forNextBoot(readCommandLine(splitCommandLine(line)))
  for (const [line, once] of [
    ['balena.nohostext', 'balena.nohostext on the kernel command line'],
    ['systemd.run=/bin/x', 'systemd.run= on the kernel command line'],
    ['emergency', 'emergency on the kernel command line'],
  ] as const)
    t.same(next(`rw ${line}`), { target: 'default.target', root: 'rw', once }, line)
  t.same(next('rw systemd.unit=a.target'), { target: 'a.target', root: 'rw' }, 'what lasts')
})

t.test('the hash of the image', async (t) => {
  const verity = (line: string) => readCommandLine(splitCommandLine(line)).verity
  t.same(verity('ro usrhash=12ab roothash=34cd'), ['usrhash=12ab', 'roothash=34cd'])
  t.equal(verity('ro roothash= systemd.roothash=1'), undefined)
})

t.test('what the boot mounts and starts in addition', async (t) => {
  const read = (text: string) => readCommandLine(splitCommandLine(text))
  t.same(read('systemd.mount-extra=a:/b systemd.mount_extra="c:/d e"').mountExtra, ['a:/b', 'c:/d e'])
  t.equal(read('systemd.volatile=yes systemd.volatile=state').volatileVar, true)
  for (const word of ['=no', '=overlay', '=yes', ''])
    t.equal(read(`systemd.volatile=state systemd.volatile${word}`).volatileVar, undefined, word)
  t.equal(read('systemd.gpt_auto=0').gptAuto, false)
  t.equal(read('systemd.gpt-auto=0 systemd.gpt-auto=1').gptAuto, undefined)
  t.same(read('systemd.debug_shell systemd.break=pre-udev').debugUnits, [
    'debug-shell.service',
    'breakpoint-pre-udev.service',
  ])
  t.equal(read('systemd.break').debugUnits?.length, 4)
  t.equal(read('systemd.debug-shell=no rd.systemd.debug_shell').debugUnits, undefined)
})
