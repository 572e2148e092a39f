import { RUN_DIRECTORY } from '../machine/run-directory.js'
import type { Plan } from '../stack/plan.js'
import { type UnitFile, unitName } from '../text/unit-syntax.js'
import { dropIn } from './drop-in.js'
import { DOCUMENTATION } from './layer.js'

/**
 * Units that keep package managers from the locked root. There they would fail half-way, and the base root
 * would believe what they have recorded.
 */
export function packageUnits({ packages }: Pick<Plan, 'packages'>): UnitFile[] {
  return [
    ...packages.databases.flatMap(readOnly),
    ...packages.automatic.map((unit) =>
      dropIn(
        unit,
        `[Unit]
# No package can be changed on the locked root.
ConditionPathExists=!${RUN_DIRECTORY}
`,
      ),
    ),
  ]
}

/** Late, because the system may have a unit of its own for that directory. */
function readOnly(path: string): UnitFile[] {
  const name = unitName(path, 'mount')
  return [
    {
      path: `late/${name}`,
      text: `# Written by hostext-generator.
[Unit]
Description=Package database, read-only like the root: ${path}
Documentation=${DOCUMENTATION}
ConditionPathIsDirectory=${path}
# Where it is a link, it leads into /usr.
ConditionPathIsSymbolicLink=!${path}

[Mount]
What=${path}
Where=${path}
Type=none
Options=bind,ro
`,
    },
    { path: `normal/local-fs.target.wants/${name}`, link: `../../generator.late/${name}` },
  ]
}
