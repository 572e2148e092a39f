/**
 * `tsx test/boot/prepare.ts NAME`: makes what all machines are made from, before the first one boots. NAME is
 * a release, for its root file system, or `uml`, for the kernel.
 */
import { debian, RELEASES } from './rootfs.js'
import { umlKernel } from './uml-kernel.js'

const [name] = process.argv.slice(2)
const release = RELEASES.find((each) => each === name)
if (release) debian(release)
else if (name === 'uml') umlKernel()
else throw new Error(`nothing is called ${name}; uml or one of ${RELEASES.join(', ')}`)
