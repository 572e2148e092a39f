import { HELD, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { UnitFile } from '../text/unit-syntax.js'
import { DOCUMENTATION } from './layer.js'

/** The services that engines run as: Docker's, and balenaEngine's two names. */
const ENGINES = ['docker.service', 'balena.service', 'balena-engine.service']
const SOCKETS = ['docker.socket', 'balena.socket', 'balena-engine.socket']

/**
 * The service that has the engine hold the images that are stacked, or let go of those that were. An engine that
 * starts pulls it in, whenever that is; neither waits for the other's success.
 */
export function holdUnits(): UnitFile[] {
  const name = 'hostext-hold.service'
  return [
    {
      path: `normal/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Hold the images of host extensions
Documentation=${DOCUMENTATION}
After=${[...ENGINES, ...SOCKETS].join(' ')}
ConditionPathExists=${RUN_DIRECTORY}/${HELD}

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/lib/hostext/hostext.cjs hold
StandardOutput=journal
`,
    },
    ...ENGINES.map((engine) => ({ path: `normal/${engine}.wants/${name}`, link: `../${name}` })),
  ]
}
