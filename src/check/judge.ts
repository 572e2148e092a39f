import { judgeFit, KERNEL_VERSION_LABEL } from '../image/compatibility.js'
import { makeList, readContents } from '../image/contents.js'
import { ESSENTIAL } from '../image/essential.js'
import type { ImageFiles } from '../image/files.js'
import { type Filled, fillTree, systemOf } from '../image/fill.js'
import { hasKernel } from '../image/kernel.js'
import type { Rank } from '../image/labels.js'
import { findEssentialLibraries } from '../image/libraries.js'
import { replacedFinder, shadowFinder } from '../image/replaced.js'
import { resolveLinks, statLink } from '../machine/files.js'
import { printable, printableList } from '../text/printable.js'
import type { Compared } from './base.js'
import { type CheckDocument, countLevels } from './document.js'
import { Findings } from './finding.js'
import { checkLabels } from './labels.js'
import { findNode, inMemory, type Node, newDirectory, walk } from './memory.js'
import { checkModules } from './modules.js'
import { checkPrivileges } from './privileges.js'
import { stackedFinder } from './stacked.js'
import { measure, type Subject } from './subject.js'
import { checkUnits } from './units.js'
import { checkUsers } from './users.js'

/** Where the image and its tree are in memory. */
const [IMAGE, TREE] = ['/image', '/tree']

/**
 * Says what an image would be as an extension: what becomes of its files, by the rules that prepare it
 * (image/fill.ts) and that a boot stacks it by, and what its author should know about it. Of one that could
 * not be prepared nothing else is known.
 */
export function judgeImage(subject: Subject, compared: Compared): CheckDocument {
  const { root, host } = compared
  const findings = new Findings()
  const rank = subject.labels ? checkLabels(subject.labels, findings) : undefined
  if (!subject.labels) {
    const why = `a ${subject.format} has no labels: whether it is an extension, and where its files go, is not known`
    findings.add('notice', 'labels', 'no-labels', undefined, why)
  }
  if (subject.unmeant !== undefined)
    findings.add(
      'warning',
      'labels',
      'container-started',
      undefined,
      `this container is not an extension: ${subject.unmeant}`,
    )
  const labels = subject.labels ?? new Map<string, string>()

  const size = measure(subject.top)
  if (size.files === 0) findings.add('warning', 'files', 'empty', undefined, 'it has no files')
  checkRecipe(subject, findings)
  const top = newDirectory()
  top.children?.set('image', subject.top).set('tree', newDirectory())
  const files = inMemory(top)
  let filled: Filled
  try {
    filled = fill(files, compared, subject)
  } catch (error) {
    const why = `it cannot be prepared, so it would be left out: ${(error as Error).message}`
    findings.add('error', 'files', 'left-out', undefined, why)
    return documentOf(subject, compared, size, findings, NOTHING)
  }
  const tree = findNode(top, TREE) as Node
  const system = systemOf(files, IMAGE)
  checkMachine({ subject, labels, files, compared, filled, system }, findings)
  const isAbove = checkPlace(files, tree, rank, filled, system, compared, findings)
  checkFiles(filled, findings)
  const { users, groups, names } = checkUsers(subject.top, tree, filled, compared, findings)
  const state = checkState(filled, compared, findings)
  const units = checkUnits(
    {
      ...{ tree, root, hasRoot: host !== undefined, isWhole: system !== undefined },
      ...{ find: stackedFinder(tree, root, isAbove), users: names },
    },
    findings,
  )
  const modules = checkModules(tree, compared, labels, findings)
  const privileges = checkPrivileges(tree, root, findings)
  if (!subject.hasCapabilities)
    findings.add(
      'notice',
      'privileges',
      'capabilities-unread',
      undefined,
      'file capabilities were not looked at: there is no getcap(8) here',
    )

  return documentOf(subject, compared, size, findings, {
    ...{ system, users, groups, state, units, modules, privileges },
    ...{ position: rank ? (isAbove ? 'above' : 'below') : null, facts: filled.facts },
  })
}

/** What is found out about an image once it is prepared. Unchecked text. */
type Judged = Pick<
  CheckDocument,
  'position' | 'users' | 'groups' | 'state' | 'units' | 'modules' | 'privileges'
> & {
  system: string | undefined
  facts: Pick<Filled['facts'], 'files' | 'directories' | 'bytes' | 'copied'>
}

const NOTHING: Judged = {
  ...{ system: undefined, position: null, facts: { files: 0, directories: 0, bytes: 0, copied: 0 } },
  ...{ users: [], groups: [], state: [], units: [], modules: [], privileges: [] },
}

function documentOf(
  { format, name, layers, architecture, labels }: Subject,
  compared: Compared,
  image: CheckDocument['size']['image'],
  findings: Findings,
  { system, position, facts, users, groups, state, units, modules, privileges }: Judged,
): CheckDocument {
  const all = findings.sorted()
  const { files, directories, bytes, copied } = facts
  return {
    subject: {
      ...{ format, name: printable(name, 200), layers },
      architecture: architecture === undefined ? null : printable(architecture, 40),
      system: system === undefined ? null : printable(system || 'a system without a name', 80),
    },
    root: compared.name === undefined ? null : { name: compared.name },
    position,
    labels:
      labels === undefined
        ? null
        : Object.fromEntries([...labels].map(([label, value]) => [printable(label), printable(value)])),
    size: { image, tree: { files, directories, bytes, copied } },
    findings: all.map(({ level, group, code, path, text }) => ({
      ...{ level, group, code, text },
      path: path === undefined ? null : printable(path, 1000),
    })),
    users,
    groups,
    state: state.map((path) => printable(path, 1000)),
    units: units.map((unit) => ({
      name: unit.name,
      path: printable(unit.path, 1000),
      state: unit.state,
      by: unit.by.slice(0, 50).map((by) => printable(by)),
      install: unit.install.slice(0, 50).map((target) => printable(target)),
    })),
    modules,
    privileges: privileges.map((program) => ({ ...program, path: printable(program.path, 1000) })),
    summary: countLevels(all),
  }
}

/** Somebody may have meant the image that is made here, or has copied more into it than belongs there. */
function checkRecipe({ top, format }: Subject, findings: Findings): void {
  const recipe = ['Dockerfile', 'Containerfile'].find((name) => top.children?.get(name)?.isFile())
  if (recipe === undefined) return
  const text =
    format === 'directory'
      ? 'this is what an image is made of: to look at the image, give its name with the tag'
      : 'it becomes a file of the root: "COPY . /" takes the recipe, too'
  findings.add('warning', 'files', 'recipe', `/${recipe}`, text)
}

function fill(files: ImageFiles, { root, base, remembered, name }: Compared, _: Subject): Filled {
  return fillTree({
    ...{ root, base, remembered, files },
    ...{ view: IMAGE, layers: [IMAGE], out: TREE, key: 'KEY', chain: 'KEY' },
    // Without a root nothing needs libraries.
    libraries: () =>
      name === undefined ? { names: [], files: [], links: [], shadows: [] } : findEssentialLibraries(root),
  })
}

type Machine = {
  subject: Subject
  labels: ReadonlyMap<string, string>
  files: ImageFiles
  compared: Compared
  filled: Filled
  system: string | undefined
}

/** Whether the image is for this machine. */
function checkMachine(
  { subject, labels, files, compared, filled, system }: Machine,
  findings: Findings,
): void {
  const { host, architecture, base } = compared
  if (system !== undefined && host === undefined)
    findings.add(
      'notice',
      'machine',
      'whole-system',
      undefined,
      `it is a whole system (${printable(system || 'without a name', 80)}): its programs want the libraries of that system`,
    )
  if (!host) return
  const { facts } = filled
  if (facts.foreign !== undefined) {
    const what = `it is a whole system (${printable(facts.foreign, 80)}), and this one is ${printable(base.os || 'unnamed', 80)}`
    if (host.skipsForeign)
      findings.add('error', 'machine', 'left-out', undefined, `${what}: ForeignSystem=skip`)
    else
      findings.add(
        'warning',
        'machine',
        'foreign-system',
        undefined,
        `${what}: its programs may want other libraries than the root's`,
      )
  } else if (system !== undefined) {
    findings.add(
      'notice',
      'machine',
      'whole-system',
      undefined,
      `it is a whole system, the same as the root (${printable(system, 80)})`,
    )
  }
  const own = subject.architecture
  if (own !== undefined && architecture !== undefined && own !== architecture)
    findings.add(
      'error',
      'machine',
      'architecture',
      undefined,
      `it is for ${printable(own, 40)}, and the root for ${architecture}: its programs do not run`,
    )
  const list = makeList(files.entries)
  const modules =
    host.kernel !== undefined && readContents(TREE, host.kernel.release, list).indexes.includes('modules')
  const hash = (path: string, most: number): { sha256: string; size: number } | undefined => {
    const node = files.find(path) as Node
    return node.size > most ? undefined : { sha256: node.more?.sha256 ?? '', size: node.size }
  }
  const judged = new Map(labels)
  const version = judged.get(KERNEL_VERSION_LABEL)
  // The root of a machine that does not run: what counts are the kernels that it has.
  if (!host.kernel && version) {
    judged.delete(KERNEL_VERSION_LABEL)
    if (!compared.kernels.some((release) => release.split('-', 1)[0] === version))
      findings.add(
        'warning',
        'machine',
        'kernel-version',
        KERNEL_VERSION_LABEL,
        `it is for kernel ${printable(version, 80)}, and the root has ${printableList(compared.kernels) || 'none'}`,
      )
  }
  const fit = judgeFit(judged, { modules, kernel: (id) => hasKernel(TREE, list, id, hash) }, host)
  if ('unfit' in fit)
    findings.add('error', 'machine', 'left-out', undefined, `it would be left out: ${fit.unfit}`)
  // What is wrong with the label itself was said with the labels.
  else
    for (const warning of fit.warnings)
      if (!warning.includes('the label is ignored'))
        findings.add('warning', 'machine', 'label-value', undefined, warning)
}

/**
 * What the image would do to the root's own files, or they to its. Returns whether it goes above the root.
 * Without labels it is looked at as the most frequent kind, which does.
 */
function checkPlace(
  files: ImageFiles,
  tree: Node,
  rank: Rank | undefined,
  { facts }: Filled,
  system: string | undefined,
  { root, host, essential, places, state }: Compared,
  findings: Findings,
): boolean {
  const list = makeList(files.entries)
  const add = (path: string, isThere: boolean): void =>
    findings.add(
      system === undefined ? 'warning' : 'notice',
      'root files',
      'essential',
      path,
      isThere
        ? "the machine needs the root's to boot: the image goes below the root and only adds files"
        : 'a machine that has it needs its own to boot: there the image goes below the root and only adds files',
    )
  const isAdditive = rank?.kind === 'overlay'
  const found: string[] = []
  let hidesAny = false
  if (!isAdditive && host) {
    replacedFinder(root, essential)(TREE, list, files, (path) => void found.push(path))
    if (facts.replaced !== undefined) found.push(facts.replaced)
    for (const path of new Set(found)) add(path, true)
  } else if (!isAdditive) {
    const path = shadowFinder(root, ESSENTIAL)(TREE, list, files)
    if (path !== undefined) add(path, false)
    hidesAny = path !== undefined
  }
  const isAbove = !isAdditive && found.length === 0 && !hidesAny
  if (host) {
    const top = tree.children ?? new Map<string, Node>()
    for (const place of places)
      if (top.has(place.split('/', 2)[1] as string) && (findNode(tree, place)?.children?.size ?? 0) > 0)
        findings.add(
          'warning',
          'root files',
          'covered',
          place,
          'its files below it are not visible: something of the machine is mounted there',
        )
    for (const place of ['/var', '/home', '/root', '/srv'])
      if (!state.includes(place) && top.has(place.slice(1)))
        findings.add(
          'warning',
          'state',
          'no-state',
          place,
          'its files below it are read-only: this machine keeps no state there',
        )
    countCommon(tree, root, isAbove, findings)
  }
  return isAbove
}

/** The most examples in a line. */
const EXAMPLES = 5

/** Files that the image and the root both have. */
function countCommon(tree: Node, root: Compared['root'], isAbove: boolean, findings: Findings): void {
  const common: string[] = []
  walk(tree, (path, node) => {
    if (node.children) return
    const stat = statLink(root, path)
    if (!stat || stat.isDirectory()) return
    common.push(path)
    if (!isAbove && node.more?.isOwn)
      findings.add(
        'warning',
        'root files',
        'own-hidden',
        path,
        "the root's own file hides it: a second image with it, FROM scratch, can be above the root",
      )
  })
  if (common.length === 0) return
  const text = isAbove
    ? `it replaces ${common.length} of the root's files: ${exampleOf(common)}`
    : `${common.length} of its files ${common.length === 1 ? 'is' : 'are'} hidden by the root's: ${exampleOf(common)}`
  findings.add('notice', 'root files', isAbove ? 'replaces' : 'hidden', undefined, text)
}

function exampleOf(paths: readonly string[]): string {
  return `${printableList(paths.slice(0, EXAMPLES))}${paths.length > EXAMPLES ? ', …' : ''}`
}

/** What the rules of images drop, move or do not take: the notes that `hostext status` shows. */
function checkFiles({ notes }: Filled, findings: Findings): void {
  for (const { kind, path, text } of notes) {
    const level = kind === 'not taken' && path !== undefined ? 'warning' : 'notice'
    findings.add(
      level,
      'files',
      kind.replaceAll(' ', '-'),
      path,
      kind === 'as in the root' ? text : `${kind}: ${text}`.replace(/^moved: /, 'moved '),
    )
  }
}

/** What is copied to the state. */
function checkState({ made }: Filled, { root, host }: Compared, findings: Findings): string[] {
  const paths = made.state.map(({ path }) => path)
  const leaves = paths.filter((path, index) => !paths[index + 1]?.startsWith(`${path}/`))
  for (const path of leaves) {
    const isThere = host !== undefined && statLink(root, resolveLinks(root, path)) !== undefined
    const text = isThere
      ? 'the machine has it already: it stays as it is'
      : 'copied to the state once, where nothing is there yet'
    findings.add('notice', 'state', isThere ? 'state-kept' : 'state-copied', path, text)
  }
  return paths
}
