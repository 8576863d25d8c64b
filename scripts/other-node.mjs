// Node of another version, from the npm registry: node scripts/other-node.mjs VERSION prints the directory of its binary.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** The package `node` installs one of these by a script; installed by its own name, it needs none. */
const packageName = `node-${process.platform}-${process.arch}`

/**
 * Returns the directory that holds the binary of a Node, such as `24` or `22.18.0`, which it installs once.
 * @throws if the registry cannot be reached, or has no such version for this kind of machine
 */
export function directoryOfNode(version) {
  if (!/^\d+(\.\d+){0,2}$/.test(version)) throw new Error(`not a version of Node: ${version}`)
  const place = fileURLToPath(new URL(`../.run/node-${version}`, import.meta.url))
  const directory = `${place}/node_modules/${packageName}/bin`
  if (!existsSync(`${directory}/node`)) install(`${packageName}@${version}`, place)
  return directory
}

function install(wanted, place) {
  const options = ['--prefix', place, '--no-save', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status, stderr } = spawnSync('npm', ['install', ...options, wanted], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  if (status !== 0) throw new Error(`npm cannot install ${wanted}: ${stderr?.trim().split('\n')[0]}`)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    console.log(directoryOfNode(process.argv[2] ?? ''))
  } catch (error) {
    console.error(error.message)
    process.exitCode = 1
  }
}
