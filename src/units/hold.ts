import { HELD, RUN_DIRECTORY } from '../machine/run-directory.js'
import type { UnitFile } from '../text/unit-syntax.js'
import { DOCUMENTATION } from './layer.js'

/** The services of the engines: Docker's, and the two names of balenaEngine's. */
const ENGINES = ['docker.service', 'balena.service', 'balena-engine.service']
const SOCKETS = ['docker.socket', 'balena.socket', 'balena-engine.socket']

/**
 * The service that makes the engine hold the stacked images and removes the holders of others. The engine's
 * own service pulls it in, whenever that starts. Neither needs the other to succeed.
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
