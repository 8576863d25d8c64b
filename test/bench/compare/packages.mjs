// What the comparison needs from Debian: installed where one may, else said to be missing.
import { spawnSync } from 'node:child_process'
import { existsSync, rmSync, writeFileSync } from 'node:fs'

const packages = { cc: 'gcc libc6-dev', nginx: 'nginx-light', fcgiwrap: 'fcgiwrap', varnishd: 'varnish' }
const policy = '/usr/sbin/policy-rc.d'

// Servers are installed there, and it is not in every user's PATH.
process.env.PATH += ':/usr/sbin'

export const isThere = (program) => spawnSync('sh', ['-c', `command -v ${program}`]).status === 0

/**
 * Programs that are missing in the end; with NO_INSTALL=1 nothing is installed. No service of a package is started: each
 * contender is started by us.
 */
export function install() {
  const missing = () => Object.keys(packages).filter((program) => !isThere(program))
  const wanted = missing().flatMap((program) => packages[program].split(' '))
  if (wanted.length === 0) return []
  if (process.getuid() !== 0 || !isThere('apt-get') || process.env.NO_INSTALL) {
    console.error(`not installed: ${wanted.join(', ')} (root and apt-get are needed for that)`)
    return missing()
  }
  // Debian asks this program whether a package may start its services.
  const ours = !existsSync(policy)
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
    const apt = (...args) => spawnSync('apt-get', ['-qq', ...args], { env, stdio: ['ignore', 2, 2] })
    apt('update')
    apt('install', '-y', '--no-install-recommends', ...wanted)
  } finally {
    if (ours) rmSync(policy)
  }
  return missing()
}
