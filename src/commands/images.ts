/**
 * What reads and hashes whole images. It is a bundle of its own, which neither the generator nor the other
 * verbs need to load: see build.mjs. The runtime compiles it to machine code: generators/command.
 */
export { showCheck } from './check.js'
export { prepare } from './prepare.js'
