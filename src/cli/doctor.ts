import { oldestGit } from '../git/installation.js'
import { findGround } from '../assembly/ground.js'
import { inspect, type Inspected } from '../service/inspection.js'
import { adminUrl, askAdmin } from './admin-client.js'
import { tellIdleRules } from './idle-rules.js'
import { readSettings, type Flags } from './setting-flags.js'

/** `refstream doctor`: a line for each thing that was looked at; exit code 1 if something is wrong. */
export async function doctor(paths: readonly string[], flags: Flags): Promise<void> {
  const settings = await readSettings(flags)
  const { root, git } = findGround(settings, process.env)
  const wrong = (line: string): void => {
    say(line)
    process.exitCode = 1
  }
  const { freshness: rules, maxRefDirectories: directoriesMax, unleasedMaxAgeSeconds } = settings
  const { installation, repositories } = await inspect({ root, git, rules, directoriesMax }, paths)
  const { version, supported } = installation
  if (supported) say(`git: ${git.path}, version ${version}`)
  else wrong(`git: ${git.path}, version ${version}, is not supported: ${oldestGit} is the oldest that is`)

  const admin = adminUrl(settings.admin)
  const ready = await askAdmin(admin, 'GET', '/readyz').catch((error: unknown) => error as Error)
  if (ready instanceof Error) say(`sidecar: none answers at ${admin} (${ready.message})`)
  else if (ready.status === 200) say(`sidecar: ready at ${admin}`)
  else wrong(`sidecar: not ready at ${admin}: ${String(ready.body).trim()}`)

  const present: string[] = []
  for await (const repository of repositories) {
    const { path, found } = repository
    if (found) present.push(path)
    if (!found) wrong(`${path}: no repository`)
    else {
      const exported = found.exported || settings.exportAll === true
      say(describe(path, { ...found, exported }, unleasedMaxAgeSeconds))
    }
  }
  if (paths.length === 0) for (const line of tellIdleRules(settings, present)) say(line)
}

const say = (line: string): boolean => process.stdout.write(`${line}\n`)

function describe(
  path: string,
  { exported, decision }: NonNullable<Inspected['found']>,
  maxAgeSeconds: number,
): string {
  const why = {
    configured: `by the rule for ${decision.detail}`,
    local: 'on a local filesystem',
    network: `on a network filesystem, ${decision.detail}`,
    directories: 'too many directories under refs/',
  }[decision.reason]
  const unleased =
    decision.mode === 'lease'
      ? `; changes without a lease are seen after ${maxAgeSeconds} s at the latest`
      : ''
  const hidden = exported ? '' : '; not exported (no git-daemon-export-ok)'
  return `${path || '.'}: ${decision.mode}, ${why}${unleased}${hidden}`
}
