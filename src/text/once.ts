/** A function that computes something of a text, only once for each. Throws what `compute` throws. */
export function once<Result>(compute: (text: string) => Result): (text: string) => Result {
  const known = new Map<string, Result>()
  return (text) => {
    if (!known.has(text)) known.set(text, compute(text))
    return known.get(text) as Result
  }
}
