/**
 * The kinds of files for which a root has one index: `modules` (depmod(8)), `libraries` (ldconfig(8)),
 * `hardware` (systemd-hwdb(8)).
 */
export type Index = 'modules' | 'libraries' | 'hardware'
