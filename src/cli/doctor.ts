import { preflight } from '../assembly/preflight.js'
import { defaultCacheDir } from '../config/cache-dir.js'
import type { Settings } from '../config/options.js'
import { Git } from '../git/process/git.js'
import { inspectInstallation, oldestGit, type Installation } from '../git/process/installation.js'
import { inspect, type Inspected } from '../service/inspection.js'
import { adminUrl, askAdmin } from './admin-client.js'
import { describeIdleRules } from './idle-rules.js'
import { checkCache } from './doctor/cache.js'
import { checkCertificates } from './doctor/certificates.js'
import { fine, printed, wrong, type Finding } from './doctor/finding.js'
import { listWithGit } from './doctor/listing.js'
import { unservedReason, findUnserved } from './doctor/unserved.js'
import { readSettings, type Flags } from './setting-flags.js'

/**
 * `refstream doctor`: prints a line for each check. The exit code is 0 if nothing needs a repair, also with warnings; 1 if
 * something does; 2 if these settings cannot be used at all, as for `serve`.
 */
export async function doctor(
  paths: readonly string[],
  flags: Flags,
  mistakes: readonly string[],
): Promise<void> {
  const settings = await readSettings(flags, mistakes)
  const { root, program, disks, mounts, helpers } = await preflight(settings, process.env)
  const git = new Git({ path: program, environment: process.env, mounts })
  if (!root) {
    report(judgeGit(git, await inspectInstallation(git)))
    report(await checkSidecar(settings))
    report(await checkCacheDir(settings, settings.upstream ?? []))
    for (const finding of checkCertificates(settings)) report(finding)
    await reportFleet(settings)
    return helpers.close()
  }
  const top = root.latest ?? root.path
  const { freshness: rules, maxRefDirectories: directoriesMax } = settings
  const options = { root, git, rules, directoriesMax, disks, mounts }
  const { installation, repositories } = await inspect(options, paths)
  report(judgeGit(git, installation))
  report(await checkSidecar(settings))
  report(await checkCacheDir(settings, top))
  for (const finding of checkCertificates(settings)) report(finding)
  await reportFleet(settings)

  const found = new Set<string>()
  const reported = new Set<string>()
  /** Paths on filesystems that do not answer, which must not be read. */
  const hung = new Set<string>()
  for await (const repository of repositories) {
    const { path, unanswered } = repository
    if (repository.found) found.add(path)
    reported.add(path)
    if (unanswered) {
      hung.add(path)
      report(wrong(`${path || '.'}: the filesystem at ${unanswered.join(', ')} does not answer`))
    } else report(await checkRepository(repository, top, git, installation, settings))
  }
  helpers.close()
  if (paths.length > 0) return
  for (const { path, reason } of findUnserved(top, new Set([...found, ...hung]))) {
    if (!reported.has(path)) report(wrong(`${path || '.'}: ${reason}`))
  }
  if (found.size === 0) report(wrong(`no repository below ${top}`))
  for (const line of describeIdleRules(settings, [...found])) report(fine(line))
}

const checkCacheDir = (settings: Settings, origin: Parameters<typeof defaultCacheDir>[0]): Promise<Finding> =>
  checkCache(settings.cacheDir ?? defaultCacheDir(origin, process.env), settings)

/** Loads what fleets need only where there is one. */
async function reportFleet(settings: Settings): Promise<void> {
  if (!settings.fleet) return
  const { checkFleet } = await import('./doctor/fleet.js')
  for (const finding of await checkFleet(settings)) report(finding)
}

function report(finding: Finding): void {
  process.stdout.write(`${printed(finding)}\n`)
  if (finding.wrong) process.exitCode = 1
}

function judgeGit({ path }: Git, { version, supported }: Installation): Finding {
  if (supported) return fine(`git: ${path}, version ${version}`)
  return wrong(`git: ${path}, version ${version}, is not supported: ${oldestGit} is the oldest that is`)
}

async function checkSidecar({ admin: addresses }: Settings): Promise<Finding> {
  const admin = adminUrl(addresses)
  const ready = await askAdmin(admin, 'GET', '/readyz').catch((error: unknown) => error as Error)
  if (ready instanceof Error) return fine(`sidecar: no sidecar answers at ${admin} (${ready.message})`)
  if (ready.status === 200) return fine(`sidecar: ready at ${admin}`)
  return wrong(`sidecar: not ready at ${admin}: ${String(ready.body).trim()}`)
}

/** Time limit for Git to list a repository's refs in seconds, unless that of a fill is shorter. */
const listingMaxSeconds = 30

async function checkRepository(
  { path, found, refused }: Inspected,
  root: string,
  git: Git,
  { version }: Installation,
  settings: Settings,
): Promise<Finding> {
  if (!found) return wrong(`${path || '.'}: ${unservedReason(root, path, refused)}`)
  const withinMs = Math.min(settings.fillTimeoutSeconds, listingMaxSeconds) * 1000
  const { works, complaint } = await listWithGit(git, found.repository, version, withinMs)
  if (!works) return wrong(`${path || '.'}: ${complaint}`)
  const exportAll = settings.exportAll ?? process.env['GIT_HTTP_EXPORT_ALL'] !== undefined
  const line = describe(
    path,
    { ...found, exported: found.exported || exportAll },
    settings.unleasedMaxAgeSeconds,
  )
  return complaint === '' ? fine(line) : wrong(`${line}; Git says: ${complaint}`)
}

function describe(
  path: string,
  { gitDir, exported, decision }: NonNullable<Inspected['found']>,
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
  const hidden = exported
    ? ''
    : `; not exported, so not served: touch ${gitDir}/git-daemon-export-ok, or serve with --export-all`
  return `${path || '.'}: ${decision.mode}, ${why}${unleased}${hidden}`
}
