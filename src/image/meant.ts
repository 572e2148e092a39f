import type { Container, HostConfig } from '../engine/container.js'

/** The OCI runtime by which balenaOS "starts" its extensions; no program runs. */
const EXTENSION_RUNTIME = 'extension'

/**
 * Why a flagged container was not meant to be an extension, or undefined if somebody meant it.
 *
 * A container inherits the labels of its image. If they alone counted, whoever makes an image that is merely run
 * somewhere would be root of that machine at its next boot. So it takes a container that was created and never
 * started, which nobody makes by running an image, building one, or trying to.
 */
export function findUnmeant(
  { start, isBuildStep }: Pick<Container, 'start' | 'isBuildStep'>,
  { runtime, isTemporary }: HostConfig,
): string | undefined {
  if (runtime === EXTENSION_RUNTIME) return undefined
  const rule = 'an extension must be created and never started, unless hostext.conf has Started=yes'
  if (start === 'done') return `it has been started, but ${rule}`
  if (start === 'tried') return `an attempt to start it failed, but ${rule}`
  if (isBuildStep) return `it is a step of an image build, but ${rule}`
  if (isTemporary) return `it was created to be run once (--rm), but ${rule}`
  return undefined
}
