/** A path without the slashes at its end. (`/\/+$/` looks at each row of slashes again from each of its slashes.) */
export function withoutTrailingSlashes(path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end--
  return path.slice(0, end)
}
