/**
 * What the parts of one boot leave for each other in /run: docs/design.md, "The run directory", has all of it, who writes it and
 * who reads it. The scripts in generators/steps/ name the same files.
 */

/** The directory with our mount points, one a layer, and the units this boot has set aside. */
export const RUN_DIRECTORY = '/run/hostext'
/**
 * What this boot decided, in the words of the log; where it exists, the boot is decided. Beside the directory and
 * not in it, so that the stub needs no mkdir(1) on the many boots that have nothing to stack.
 */
export const DECISION = '/run/hostext.decision'
/** Where it exists, the file systems of the engine's data have been mounted, and the boot is to be decided. */
export const COLLECTED = `${RUN_DIRECTORY}/collected`
/** Where it exists, the plain root has been booted after all. */
export const FALLBACK = `${RUN_DIRECTORY}/fallback`
/** Where it exists, the stack of this boot is marked good. */
export const MARKED_GOOD = `${RUN_DIRECTORY}/good`
/** What mount(8) has to say goes here: the journal is not there yet. */
export const MOUNT_LOG = `${RUN_DIRECTORY}/mount.log`
/** What the tools that make the indexes have to say, apart: names of images' files are in it. */
export const INDEX_LOG = `${RUN_DIRECTORY}/index.log`
/** The record of the stack on trial, to be copied to the disk. */
export const RECORD_FILE = 'trial'
/** What a rollback says. */
export const ROLLBACK_FILE = 'rollback'
/** What this boot has stacked, as far as the engine has to know it. */
export const HELD = 'held'

/** The mount type and source of our root overlay, which tell it from any other: findmnt(8). */
export const ROOT_SOURCE = 'hostext'
