import type { Reason } from './table.js'

/** Differences that are meant, or that no rule for images can mend. */
export const REASONS: readonly Reason[] = [
  {
    form: 'image',
    text: /^\/var\/(?:log|cache)\/.*: f /,
    why: "an image's logs and caches are not copied; the service makes its own",
  },
  {
    form: 'unpacked',
    text: /^tmpfiles\.d: /,
    why: 'a script of the package makes the user, and never ran',
  },
]
