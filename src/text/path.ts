/** A path without trailing slashes. (Not `/\/+$/`, which takes quadratic time on a long run of slashes.) */
export function withoutTrailingSlashes(path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end--
  return path.slice(0, end)
}
