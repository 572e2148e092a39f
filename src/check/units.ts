import { isKeyUnit } from '../image/host-keys.js'
import { type Root, resolveLinks, statLink } from '../machine/files.js'
import { readEnabled, UNIT_DIRECTORIES } from '../machine/unit-files.js'
import { printable, printableList } from '../text/printable.js'
import type { Findings } from './finding.js'
import { findNode, type Node } from './memory.js'
import type { StackedFile } from './stacked.js'
import { verifyUnits } from './verify.js'

/** The types of units that have files: systemd.unit(5). */
const UNIT =
  /^[A-Za-z0-9:_.\\@-]{1,255}\.(?:service|socket|device|mount|automount|swap|target|path|timer|slice)$/

/** What starts a unit: nothing; nothing but another unit of its name; a link or another unit. */
export type UnitState = 'enabled' | 'started by another unit' | 'not enabled' | 'nothing starts it' | 'masked'

/** A unit that an image brings. */
export type BroughtUnit = {
  name: string
  path: string
  state: UnitState
  /** What starts it: `multi-user.target.wants`, `x.timer`. */
  by: string[]
  /** The targets of its section [Install]. */
  install: string[]
}

export type UnitsInput = {
  /** The tree that the image becomes. */
  tree: Node
  root: Root
  /** Whether there is a root to compare with. */
  hasRoot: boolean
  /** Whether the image is a whole system: it has units that are not for this machine. */
  isWhole: boolean
  find: (path: string) => StackedFile | undefined
  /** The users that there will be. */
  users: ReadonlySet<string>
}

type File = { name: string; path: string; text: string; settings: Setting[]; isMasked: boolean }
type Setting = { section: string; key: string; value: string }

/**
 * Looks at the units of an image that the root does not have: what starts them, whether what they run is
 * there, and what systemd-analyze(1) says about them.
 */
export function checkUnits(input: UnitsInput, findings: Findings): BroughtUnit[] {
  const { tree, root, isWhole } = input
  const placeInRoot = (name: string): string | undefined =>
    UNIT_DIRECTORIES.map((directory) => `${directory}/${name}`).find(
      (path) => statLink(root, resolveLinks(root, path)) !== undefined,
    )
  const rootUnits = (name: string): boolean => placeInRoot(name) !== undefined
  const files = new Map<string, File>()
  const started = new Map<string, Set<string>>()
  const start = (name: string, by: string): void =>
    void started.set(name, (started.get(name) ?? new Set()).add(by))
  const dropIns: { unit: string; name: string; path: string; text: string }[] = []
  for (const name of readEnabled(root)) start(name, 'a link of the root')
  for (const directory of UNIT_DIRECTORIES) {
    for (const [name, node] of findNode(tree, directory)?.children ?? []) {
      const path = `${directory}/${name}`
      const links = /^(.+)\.(?:wants|requires|upholds)$/.exec(name)
      const changes = /^(.+)\.d$/.exec(name)
      if (node.children && links)
        for (const [wanted, entry] of node.children) {
          if (entry.target !== undefined) start(wanted, name)
          else if (entry.size > 0) addCopy(`${path}/${wanted}`, findings)
        }
      else if (node.children && changes) {
        for (const [file, child] of node.children)
          if (file.endsWith('.conf') && child.more?.text)
            dropIns.push({
              ...{ unit: changes[1] as string, name: file, path: `${path}/${file}` },
              text: child.more.text.toString('utf8'),
            })
      } else if (!node.children && UNIT.test(name) && !files.has(name) && !isKeyUnit(name)) {
        const text = (node.target === undefined ? node : resolved(tree, path, node))?.more?.text?.toString(
          'utf8',
        )
        const isMasked = node.target === '/dev/null' || (node.isFile() && node.size === 0)
        if (node.target !== undefined && !isMasked) {
          // Another name, or the link that `systemctl link` makes.
          const other = node.target.slice(node.target.lastIndexOf('/') + 1)
          if (other !== name) {
            start(other, `its name ${name}`)
            continue
          }
          if (text === undefined) continue
        }
        files.set(name, { name, path, text: text ?? '', settings: parse(text ?? ''), isMasked })
      }
    }
  }
  for (const file of files.values())
    for (const { section, key, value } of file.settings)
      if (
        section === 'Unit' &&
        /^(?:Wants|Requires|BindsTo|Upholds|Requisite|On(?:Success|Failure))$/.test(key)
      )
        for (const name of value.split(/\s+/)) if (name) start(name, file.name)

  const own = [...files.values()].filter(({ name }) => !rootUnits(name))
  const brought = [...files.values()].map((file): BroughtUnit => {
    const by = startersOf(file.name, files, started)
    const install = file.settings
      .filter(
        ({ section, key }) =>
          section === 'Install' && /^(?:WantedBy|RequiredBy|UpheldBy|Alias|Also)$/.test(key),
      )
      .flatMap(({ value }) => value.split(/\s+/))
      .filter(Boolean)
    return { name: file.name, path: file.path, state: stateOf(file, by, install), by, install }
  })
  for (const unit of brought) {
    const { name, path, state, by, install } = unit
    const isOwn = own.some((file) => file.name === name)
    if (state === 'masked') {
      const { level, text } = describeMask(unit, placeInRoot(name), input)
      findings.add(level, 'units', 'unit-masked', path, text)
    } else if (!isOwn) {
      findings.add('notice', 'units', 'unit-of-the-root', path, 'the root has a unit of that name, too')
    } else if (state === 'enabled') {
      findings.add('notice', 'units', 'unit-enabled', path, `started by ${printableList(by)}`)
    } else if (state === 'started by another unit') {
      findings.add('notice', 'units', 'unit-started', path, `started by ${printableList(by)}`)
    } else if (state === 'not enabled') {
      const where = printableList(install, 200)
      findings.add(
        isWhole ? 'notice' : 'warning',
        'units',
        'unit-not-enabled',
        path,
        `nothing starts it: its [Install] names ${where}, but the image has no such link${exampleOf(files.get(name))}`,
      )
    } else if (/\.(?:service|socket|timer|path|mount|automount|swap)$/.test(name)) {
      findings.add(
        isWhole ? 'notice' : 'warning',
        'units',
        'unit-unused',
        path,
        'nothing starts it: no link, no [Install], no other unit of the image (a bus name or a udev rule may)',
      )
    }
  }
  for (const { unit, path } of dropIns)
    if (rootUnits(unit) && !files.has(unit))
      findings.add('notice', 'units', 'drop-in', path, `changes the root's ${printable(unit)}`)
  const idle = new Set(brought.filter(({ by }) => by.length === 0).map(({ name }) => name))
  for (const file of own) if (!file.isMasked) checkPrograms(file, !idle.has(file.name), input, findings)
  verifyUnits(
    own.filter(({ isMasked }) => !isMasked),
    dropIns.filter(({ unit }) => own.some(({ name }) => name === unit)),
    findings,
  )
  return brought
}

/** What a mask does. `own`: where the root has a unit of that name. */
function describeMask(
  { name, path }: BroughtUnit,
  own: string | undefined,
  { hasRoot, isWhole }: UnitsInput,
): { level: 'warning' | 'notice'; text: string } {
  if (own === undefined) {
    const elsewhere =
      isWhole && path.startsWith('/etc/')
        ? 'it stays on where the root has it'
        : "the root's, too, where it has one"
    return { level: 'notice', text: `turns off ${name}${hasRoot ? '' : `; ${elsewhere}`}` }
  }
  const placeOf = (path: string): number =>
    UNIT_DIRECTORIES.findIndex((place) => path.startsWith(`${place}/`))
  if (placeOf(path) > placeOf(own))
    return { level: 'notice', text: `turns off nothing: ${own} of the root counts` }
  const where = path === own ? ' where the image is above the root' : ''
  return { level: 'warning', text: `turns off the root's ${name}${where}` }
}

/** The link that `systemctl enable` would make, where nothing of an image can run. */
function exampleOf(file: File | undefined): string {
  const wanting = file?.settings.find(
    ({ section, key }) => section === 'Install' && /^(?:Wanted|Required|Upheld)By$/.test(key),
  )
  const target = wanting?.value.split(/\s+/, 1)[0]
  if (!file || !wanting || !target) return ''
  const directory = { WantedBy: 'wants', RequiredBy: 'requires', UpheldBy: 'upholds' }[wanting.key]
  const place = `${file.path.slice(0, file.path.lastIndexOf('/'))}/${printable(target, 100)}.${directory}`
  return `: ${place}/${file.name} -> ../${file.name}`
}

/** systemd reads links there and nothing else: process_deps() in its src/core/load-dropin.c. */
function addCopy(path: string, findings: Findings): void {
  findings.add(
    'error',
    'units',
    'not-a-link',
    path,
    'it is a file, and systemd takes only links here: put the unit into the directory above, and a link to it here',
  )
}

/** What a link leads to in the tree. */
function resolved(tree: Node, path: string, { target = '' }: Node): Node | undefined {
  const directory = path.slice(0, path.lastIndexOf('/'))
  const name = target.startsWith('/') ? target : `${directory}/${target}`
  return findNode(tree, resolveIn(name))
}

function resolveIn(path: string): string {
  const parts: string[] = []
  for (const part of path.split('/'))
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  return `/${parts.join('/')}`
}

/**
 * What starts a unit: links and other units, an instance of a template, a socket, timer or path of its name.
 */
function startersOf(
  name: string,
  files: ReadonlyMap<string, File>,
  started: ReadonlyMap<string, ReadonlySet<string>>,
): string[] {
  const by = new Set(started.get(name))
  const template = /^(.+@)\.(\w+)$/.exec(name)
  if (template) {
    for (const [other, starters] of started)
      if (other.startsWith(template[1] as string) && other.endsWith(`.${template[2]}`))
        for (const starter of starters) by.add(starter)
  }
  const stem = name.slice(0, name.lastIndexOf('.'))
  for (const type of ['socket', 'timer', 'path', 'automount']) {
    const trigger = files.get(`${stem}.${type}`) ?? files.get(`${stem.replace(/@$/, '')}.${type}`)
    if (trigger && trigger.name !== name) by.add(trigger.name)
  }
  for (const file of files.values())
    if (file.settings.some(({ key, value }) => (key === 'Unit' || key === 'Service') && value === name))
      by.add(file.name)
  return [...by]
}

function stateOf({ isMasked }: File, by: readonly string[], install: readonly string[]): UnitState {
  if (isMasked) return 'masked'
  if (by.some((name) => !UNIT.test(name))) return 'enabled'
  if (by.length > 0) return 'started by another unit'
  return install.length > 0 ? 'not enabled' : 'nothing starts it'
}

/** The settings of a unit file: systemd.syntax(7), as far as it matters here. */
function parse(text: string): Setting[] {
  let section = ''
  return text
    .replaceAll(/\\\n/g, ' ')
    .split('\n')
    .flatMap((line): Setting[] => {
      const header = /^\s*\[([^\]]+)\]\s*$/.exec(line)
      if (header) section = header[1] as string
      const setting = /^\s*(\w+)\s*=\s*(.*?)\s*$/.exec(line)
      return setting ? [{ section, key: setting[1] as string, value: setting[2] as string }] : []
    })
}

const EXEC = /^Exec(?:Condition|StartPre|Start|StartPost|Reload|Stop|StopPost)$/
/** Where systemd looks for a program without a path: systemd.exec(5), "Command lines". */
const PATH = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin']

/** Without these the unit does not start: systemd.service(5). */
const STARTS = /^Exec(?:Condition|StartPre|Start)$/

/**
 * Whether the programs that a unit runs are there, and the users that they run as. `isStarted`: whether
 * anything starts it.
 */
function checkPrograms(
  { path, settings }: File,
  isStarted: boolean,
  { find, hasRoot, users }: UnitsInput,
  findings: Findings,
): void {
  const said = new Set<string>()
  // What it starts with first: it counts more.
  const isLater = ({ key }: Setting): number => (STARTS.test(key) ? 0 : 1)
  for (const { section, key, value } of [...settings].sort((a, b) => isLater(a) - isLater(b))) {
    if (section !== 'Unit' && key === 'User' && /^[A-Za-z_][\w-]*$/.test(value)) {
      const isDynamic = settings.some(
        (other) => other.key === 'DynamicUser' && /^(?:1|yes|true|on)$/i.test(other.value),
      )
      if (!isDynamic && value !== 'root' && !users.has(value))
        findings.add(
          hasRoot ? 'error' : 'notice',
          'units',
          'unit-user',
          path,
          `it runs as the user ${value}, which neither the image ${hasRoot ? 'nor the root ' : ''}has${hasRoot ? '' : ' (a root may)'}`,
        )
    }
    if (!EXEC.test(key)) continue
    const command = /^[@:+!|-]*("[^"]*"|'[^']*'|\S+)/.exec(value)
    const prefix = /^[@:+!|-]*/.exec(value)?.[0] ?? ''
    const program = command?.[1]?.replace(/^(["'])(.*)\1$/, '$2')
    // Specifiers and variables are known only to systemd.
    if (program === undefined || /[%$]/.test(program) || said.has(program)) continue
    said.add(program)
    const places = program.startsWith('/') ? [program] : PATH.map((directory) => `${directory}/${program}`)
    const found = places.map(find).find((file) => file !== undefined)
    const shown = `${key}=: ${printable(program, 200)}`
    if (!found) {
      if (prefix.includes('-')) continue
      if (hasRoot)
        findings.add(
          isStarted ? (STARTS.test(key) ? 'error' : 'warning') : 'notice',
          'units',
          'program-missing',
          path,
          `${shown} is neither in the image nor in the root`,
        )
      else
        findings.add(
          'notice',
          'units',
          'program-elsewhere',
          path,
          `${shown} is not in the image: the root must have it`,
        )
    } else if (found.isImages && !(found.isFile && found.mode & 0o111)) {
      const why = found.isFile ? `not executable (chmod +x)` : 'not a file'
      findings.add('error', 'units', 'program-not-executable', path, `${shown} is ${why}`)
    }
  }
}
