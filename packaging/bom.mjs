import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ComponentType, HashAlgorithm } from '@cyclonedx/cyclonedx-library/Enums'
import { Bom, Component, LicenseExpression, NamedLicense } from '@cyclonedx/cyclonedx-library/Models'
import { JSON as Json, JsonSerializer } from '@cyclonedx/cyclonedx-library/Serialize'
import { Spec1dot6 } from '@cyclonedx/cyclonedx-library/Spec'
import { NAMED, VERSIONED } from './node-parts.mjs'
import { fetchOfficial, OFFICIAL } from './runtime/official.mjs'

/**
 * The bill of materials of a release, as CycloneDX JSON: what is in the bundles, and what is in the runtime.
 * @param {object} release
 * @param {string} release.project The checkout.
 * @param {string} release.version
 * @param {number} release.time Seconds since 1970.
 * @param {string[]} release.packages The npm packages in the bundles.
 * @returns {string}
 */
export function billOfMaterials({ project, version, time, packages }) {
  const own = component(ComponentType.Application, 'hostext', version, 'Apache-2.0')
  const runtime = nodeComponent(project)
  const bom = new Bom()
  bom.metadata.timestamp = new Date(time * 1000)
  bom.metadata.component = own
  for (const each of [...packages.map((path) => npmComponent(project, path)), runtime]) {
    bom.components.add(each)
    own.dependencies.add(each.bomRef)
  }
  const serializer = new JsonSerializer(new Json.Normalize.Factory(Spec1dot6))
  return `${serializer.serialize(bom, { sortLists: true, space: 2 })}\n`
}

/** A package of npm that is in a bundle. `path`: below node_modules. */
function npmComponent(project, path) {
  const manifest = readFileSync(join(project, 'node_modules', path, 'package.json'), 'utf8')
  const { name, version, license } = JSON.parse(manifest)
  const found = component(ComponentType.Library, name, version, license)
  found.purl = `pkg:npm/${name.replace('@', '%40')}@${version}`
  return found
}

/** The runtime with its parts. Some of what they are in the official build is left out of it. */
function nodeComponent(project) {
  const official = fetchOfficial(process.arch, join(project, 'build'))
  const text = execFileSync(join(official, 'bin/node'), ['-p', 'JSON.stringify(process.versions)'], {
    encoding: 'utf8',
    env: {},
  })
  const { node, ...versions } = JSON.parse(text)
  const runtime = component(ComponentType.Framework, 'node', node, 'MIT')
  runtime.purl = `pkg:generic/node@${node}`
  runtime.description = 'the official build of Node.js, without what hostext does not use'
  for (const [arch, integrity] of Object.entries(OFFICIAL.integrity)) {
    const archive = component(ComponentType.File, `node-linux-${arch}`, node, 'MIT')
    archive.purl = `pkg:npm/node-linux-${arch}@${node}`
    archive.hashes.set(
      HashAlgorithm['SHA-512'],
      Buffer.from(integrity.replace('sha512-', ''), 'base64').toString('hex'),
    )
    runtime.components.add(archive)
  }
  for (const [name, version] of Object.entries(versions)) {
    if (!(name in VERSIONED)) throw new Error(`packaging/node-parts.mjs has no licence for ${name} of Node`)
    // An empty version: it is not in this build.
    if (VERSIONED[name] !== undefined && version !== '')
      runtime.components.add(component(ComponentType.Library, name, version, VERSIONED[name]))
  }
  for (const [name, license] of Object.entries(NAMED))
    runtime.components.add(component(ComponentType.Library, name, undefined, license))
  return runtime
}

function component(type, name, version, license) {
  const made = new Component(type, name, { version, bomRef: version ? `${name}@${version}` : name })
  made.licenses.add(license === 'public domain' ? new NamedLicense(license) : new LicenseExpression(license))
  return made
}
