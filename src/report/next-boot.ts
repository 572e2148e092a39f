import type { DataRoots } from '../engine/places.js'
import type { TreeFacts } from '../image/kept.js'
import type { Root } from '../machine/files.js'
import { readAndDecide } from '../read.js'
import { readRecords } from '../trial/records.js'
import { type BootReport, EMPTY_REPORT, reportDecision, reportRecord } from './boot-report.js'
import { findRecordsHome } from './records-home.js'

/** What is known from the disk: what the next boot does, and which stack has booted well. */
export type Disk = {
  next: BootReport
  /** What this boot was asked and the next one need not be: `rescue on the kernel command line`. */
  once: string | undefined
  /** The last stack that has booted well; null if there is none. */
  good: BootReport | null
  /** All stacks that are on record: good ones, and those that were tried and did not boot well. */
  recorded: { kept: BootReport[]; bad: BootReport[] }
  /** Where the engines are; null if only root can tell. */
  dataRoots: DataRoots | null
  /** What is known of the trees that were looked at for the decision, by their names. */
  trees: ReadonlyMap<string, TreeFacts>
}

/** Whether this user sees what engines have: of a running machine, only root does. */
export function canSee({ prefix }: Root): boolean {
  return prefix !== '' || process.getuid?.() === 0
}

/** What others are told. */
export const NOT_SEEN = 'only root can see what the engine has'

/** Decides as the next boot will, and reads the records. Of a running machine, only root can. */
export function readDisk(root: Root, environment: NodeJS.ProcessEnv): Disk {
  if (!canSee(root)) {
    const next: BootReport = { ...EMPTY_REPORT, root: 'undecided', why: NOT_SEEN }
    return {
      next,
      once: undefined,
      good: null,
      recorded: { kept: [], bad: [] },
      dataRoots: null,
      trees: new Map(),
    }
  }
  const { facts, decision } = readAndDecide(root, environment)
  const next = reportDecision(facts, decision)
  const home = findRecordsHome(root, facts)
  const { good, tried } = readRecords(root, home)
  const { attempts } = facts.machine.configuration
  const extensions = (facts.engines ?? []).flatMap(({ extensions }) => extensions)
  return {
    next: { ...next, dataRoot: next.dataRoot ?? home },
    once: facts.machine.commandLine.once,
    good: good[0] ? reportRecord(good[0], home) : null,
    dataRoots: facts.dataRoots,
    trees: new Map(extensions.map(({ tree, facts }) => [tree, facts])),
    recorded: {
      kept: good.map((stack) => reportRecord(stack, home)),
      bad: tried
        .filter((trial) => trial.attempts >= attempts)
        .map(({ stack }) => ({ ...reportRecord(stack, home), safety: next.safety })),
    },
  }
}
