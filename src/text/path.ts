/** A path without trailing slashes. (Not `/\/+$/`, which takes quadratic time on a long run of slashes.) */
export function withoutTrailingSlashes(path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end--
  return path.slice(0, end)
}

/** An absolute path as systemd has it: no `//`, no `.`, no slash at the end. Others as they are. */
export function simplifyPath(path: string): string {
  if (!path.startsWith('/')) return path
  return `/${path
    .split('/')
    .filter((name) => name !== '' && name !== '.')
    .join('/')}`
}
