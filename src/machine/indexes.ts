/**
 * What a root has one index for that knows all files of a kind: `modules` (depmod(8)), `libraries`
 * (ldconfig(8)), `hardware` (systemd-hwdb(8)).
 */
export type Index = 'modules' | 'libraries' | 'hardware'
