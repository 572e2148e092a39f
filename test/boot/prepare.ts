/**
 * `tsx test/boot/prepare.ts NAME`: makes what all machines are made of, so that it is there when the first one is
 * booted. NAME is a release, for its root filesystem, or `uml`, for the kernel.
 */
import { debian, RELEASES } from './rootfs.js'
import { umlKernel } from './uml-kernel.js'

const [name] = process.argv.slice(2)
const release = RELEASES.find((each) => each === name)
if (release) debian(release)
else if (name === 'uml') umlKernel()
else throw new Error(`nothing is called ${name}; uml or one of ${RELEASES.join(', ')}`)
