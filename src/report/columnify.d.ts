declare module 'columnify' {
  type Options = {
    columns: string[]
    config: Record<string, { maxWidth: number }>
    columnSplitter: string
  }
  export default function columnify(rows: Record<string, string | undefined>[], options: Options): string
}
