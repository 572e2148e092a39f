import { dataRoot, type ExtensionSource } from './engine.js'
import { FEATURE, program } from './extensions.js'
import { kernelModules } from './modules.js'
import type { Release } from './rootfs.js'

const COPY_TREE = `FROM scratch\n${FEATURE}\nCOPY tree /\n`

/**
 * Extensions whose files have no effect until an index of all extensions and the root is rebuilt: modules
 * (modules.dep, modules.alias), libraries (ld.so.cache), hardware (hwdb.bin), users (sysusers). The machine
 * needs `devices: ['edu']`, for which has-kernel-module has a driver and has-hwdb an entry.
 *
 * What shows that they work: /sys/module/feature_first/parameters/bound is 1,
 * …/feature_second/parameters/answer is 42, feature-index prints "from the library", the device with PCI ID
 * 1234:11e8 has the property HOSTEXT_FEATURE=found, and /run/feature-user/name says "feature".
 */
export function indexesDataRoot(release: Release): string {
  const modules = kernelModules(release)
  return dataRoot(`indexes-${release}`, [
    { name: 'has-kernel-module', dockerfile: COPY_TREE, tree: modules.feature_first },
    {
      name: 'has-second-module',
      dockerfile: COPY_TREE,
      tree: modules.feature_second,
      files: { 'tree/usr/lib/modules-load.d/feature-second.conf': 'feature_second\n' },
    },
    hasLibraries(),
    {
      name: 'has-hwdb',
      dockerfile: COPY_TREE,
      files: {
        'tree/usr/lib/udev/hwdb.d/61-feature.hwdb': 'pci:v00001234d000011E8*\n HOSTEXT_FEATURE=found\n',
      },
    },
    hasSysusers,
  ])
}

/** The extension with the library alone. */
export function librariesDataRoot(): string {
  return dataRoot('libraries', [hasLibraries()])
}

const hasLibraries = (): ExtensionSource => ({
  name: 'has-libraries',
  dockerfile: COPY_TREE,
  tree: program('feature-index', 'opt/feature/lib'),
  files: { 'tree/etc/ld.so.conf.d/feature.conf': '/opt/feature/lib\n' },
})

const hasSysusers: ExtensionSource = {
  name: 'has-sysusers',
  dockerfile: COPY_TREE,
  files: {
    'tree/usr/lib/sysusers.d/feature.conf': 'u feature - "Feature" /nonexistent\n',
    'tree/usr/lib/systemd/system/feature-user.service': `[Service]
Type=oneshot
RemainAfterExit=yes
User=feature
RuntimeDirectory=feature-user
ExecStart=/bin/sh -c "id -un >/run/feature-user/name"
`,
    'tree/usr/lib/systemd/system/multi-user.target.wants/feature-user.service': '->../feature-user.service',
  },
}
