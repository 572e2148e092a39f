import { type Container, type HostConfig, isImageId } from '../engine/engine.js'

/** The OCI runtime with which balenaOS "starts" its extensions; it runs no program. */
const EXTENSION_RUNTIME = 'extension'

/**
 * Why a flagged container was not meant to be an extension; undefined if it was.
 *
 * A container inherits the labels of its image. If labels alone counted, the author of any image that
 * somebody runs would be root of that machine at its next boot. So an extension is a container that was
 * created and never started: running or building an image, or trying to, does not leave one.
 */
export function findUnmeant(
  { start, isBuildStep, image }: Pick<Container, 'start' | 'isBuildStep' | 'image'>,
  { runtime, isTemporary, isUnlogged }: HostConfig,
): string | undefined {
  if (runtime === EXTENSION_RUNTIME) return undefined
  const rule = 'an extension must be created and never started, unless hostext.conf has Started=yes'
  if (start === 'done') return `it has been started, but ${rule}`
  if (start === 'tried') return `an attempt to start it failed, but ${rule}`
  // If the engine is killed before it starts the command of a RUN line, that container stays, too. The
  // classic builder makes all of its containers without a log, from images that have no name yet
  // (builder/dockerfile/internals.go in moby).
  if (isBuildStep) return `it is a step of an image build, but ${rule}`
  if (isUnlogged && isImageId(image))
    return 'it looks like a step of an image build: it was created from an image ID, with the log driver none; if it is an extension, create it again from the name of the image'
  if (isTemporary) return `it was created to be run once (--rm), but ${rule}`
  return undefined
}
