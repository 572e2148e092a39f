import { existsSync, renameSync, rmSync } from 'node:fs'

/** How the names begin of what is set aside. (There is no hyphen in the name of a tree or an index.) */
const ASIDE = /^old\d+-/

/**
 * Takes its name from a directory, whose name says that it is whole; whoever uses its files still has them.
 * Returns where it is now: beside its place, as `old0-NAME` or with the next number that is free.
 */
export function setAside(directory: string, name: string): string {
  for (let number = 0; ; number++) {
    const place = `${directory}/old${number}-${name}`
    if (existsSync(place)) continue
    renameSync(`${directory}/${name}`, place)
    return place
  }
}

/**
 * Removes such a directory. It loses its name first: if the power is cut half-way, what is left must not
 * count as whole. The next removal in `directory` takes it as well.
 */
export function removeWhole(directory: string, name: string): void {
  const place = ASIDE.test(name) ? `${directory}/${name}` : setAside(directory, name)
  rmSync(place, { recursive: true })
}
