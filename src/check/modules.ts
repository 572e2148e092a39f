import { KERNEL_VERSION_LABEL } from '../image/compatibility.js'
import { printable, printableList } from '../text/printable.js'
import type { Compared } from './base.js'
import type { Findings } from './finding.js'
import { findNode, type Node, walk } from './memory.js'

/** A kernel module, compressed or not: modprobe(8). */
const MODULE = /\.ko(?:\.(?:gz|xz|zst))?$/

/** Finds kernel modules, and says for which kernels they are and whether the machine has one of these. */
export function checkModules(
  tree: Node,
  { kernels, host }: Pick<Compared, 'kernels' | 'host'>,
  labels: ReadonlyMap<string, string>,
  findings: Findings,
): { release: string; count: number }[] {
  const found = new Map<string, { count: number; path: string }>()
  for (const directory of ['/usr/lib/modules', '/lib/modules']) {
    for (const [release, node] of findNode(tree, directory)?.children ?? []) {
      if (!node.children) continue
      let count = found.get(release)?.count ?? 0
      walk(node, (path) => {
        if (MODULE.test(path)) count++
      })
      found.set(release, { count, path: `${directory}/${release}` })
    }
  }
  for (const [release, { count, path }] of found) {
    const what = `${count} kernel module${count === 1 ? '' : 's'} for ${printable(release, 80)}`
    if (!host) {
      findings.add('notice', 'modules', 'modules', path, what)
    } else if (host.kernel?.release === release) {
      findings.add('notice', 'modules', 'modules', path, `${what}, which is running`)
    } else if (!host.kernel && kernels.includes(release)) {
      findings.add('notice', 'modules', 'modules', path, `${what}, whose modules the root has`)
    } else {
      const others = [...found.keys()].some((other) => kernels.includes(other))
      const here = host.kernel
        ? `${printable(host.kernel.release, 80)} is running`
        : `the root has ${printableList(kernels) || 'no kernel'}`
      findings.add(
        others ? 'notice' : 'warning',
        'modules',
        'modules-of-another-kernel',
        path,
        `${what}, but ${here}: they are not loaded`,
      )
    }
    if (count > 0 && !labels.has(KERNEL_VERSION_LABEL) && labels.size > 0)
      findings.add(
        'notice',
        'modules',
        'no-kernel-version',
        path,
        `${KERNEL_VERSION_LABEL}=${printable(release.split('-', 1)[0] as string, 40)} would leave it out on any other kernel`,
      )
  }
  return [...found].map(([release, { count }]) => ({ release: printable(release, 80), count }))
}
