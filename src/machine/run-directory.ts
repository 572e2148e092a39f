/**
 * What the parts of one boot leave for each other in /run: docs/design.md, "The run directory", has all of
 * it, who writes it and who reads it. The scripts in generators/steps/ name the same files.
 */

/**
 * The directory with our mount points, one for each extension, and the units that this boot has set aside.
 */
export const RUN_DIRECTORY = '/run/hostext'
/**
 * What this boot decided, in the same words as the log. If it exists, the boot is decided. It is beside the
 * directory and not in it, so that the stub needs no mkdir(1) in the many boots that have nothing to stack.
 */
export const DECISION = '/run/hostext.decision'
/** If it exists, the file systems of the engine's data are mounted, and the boot has yet to be decided. */
export const COLLECTED = `${RUN_DIRECTORY}/collected`
/** The mount units of other generators, as the first pass has seen them. */
export const GENERATED = `${RUN_DIRECTORY}/generated`
/** If it exists, the boot fell back to the plain root. */
export const FALLBACK = `${RUN_DIRECTORY}/fallback`
/** If it exists, the stack of this boot is marked good. */
export const MARKED_GOOD = `${RUN_DIRECTORY}/good`
/** The output of mount(8) goes here, because the journal does not run yet. */
export const MOUNT_LOG = `${RUN_DIRECTORY}/mount.log`
/**
 * The output of the tools that rebuild the indexes. A file of its own, because it contains file names from
 * images.
 */
export const INDEX_LOG = `${RUN_DIRECTORY}/index.log`
/** The record of the stack on trial, which is then copied to the disk. */
export const RECORD_FILE = 'trial'
/** The message of a rollback. */
export const ROLLBACK_FILE = 'rollback'

/** The source of our root overlay, which tells it from any other: findmnt(8). */
export const ROOT_SOURCE = 'hostext'

/** Why images could not be prepared in this boot: a line of JSON for each container. */
export const UNPREPARED = `${RUN_DIRECTORY}/unprepared`

/** Where the locked system can read the base root, for preparations and for `hostext plan`. */
export const BASE = '/usr/lib/hostext/base'
/** What this boot decided, for programs: JSON, {@link BootReport} in report/boot-report.ts. */
export const BOOT_REPORT = `${RUN_DIRECTORY}/boot.json`
/** What the indexes that this boot rebuilds are made from; absent if it rebuilds none. */
export const INDEX_KEY = `${RUN_DIRECTORY}/index.key`
/** If it exists, all of them were rebuilt. */
export const INDEX_MADE = `${RUN_DIRECTORY}/index.made`
