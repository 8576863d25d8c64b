import { resolve } from 'node:path'
import { preflight } from '../../assembly/preflight.js'
import { defaultCacheDir } from '../../config/values/cache-dir.js'
import type { Settings } from '../../config/options/options.js'
import type { MountTable } from '../../git/filesystem/mount-table.js'
import { Git } from '../../git/process/git.js'
import { inspectInstallation, oldestGit, type Installation } from '../../git/process/installation.js'
import { inspect, type Inspected } from '../../service/inspection.js'
import { adminUrl, askAdmin } from '../admin/client.js'
import { describeIdleRules } from '../doctor/idle-rules.js'
import { checkCache } from '../doctor/cache.js'
import { checkCertificates } from '../doctor/certificates.js'
import { printable } from '../live/printable.js'
import { fine, printed, warning, wrong, type Finding } from '../doctor/finding.js'
import { checkClock, type ClockReading } from '../doctor/clock.js'
import { checkCacheFilesystem, checkRoot } from '../doctor/filesystem.js'
import { listWithGit } from '../doctor/listing.js'
import { checkSecrets } from '../doctor/secrets.js'
import { unservedReason, findUnserved } from '../doctor/unserved.js'
import { readSettings, type Flags } from './setting-flags.js'

/** The settings, and what is the doctor's own. */
export type DoctorFlags = Flags & { readonly url?: URL }

/**
 * `refstream doctor`: prints a line for each check. The exit code is 0 if nothing needs a repair, also with warnings; 1 if
 * something does; 2 if these settings cannot be used at all, as for `serve`.
 */
export async function doctor(
  paths: readonly string[],
  flags: DoctorFlags,
  mistakes: readonly string[],
): Promise<void> {
  const settings = await readSettings(flags, mistakes)
  const { url } = flags
  const { root, program, disks, mounts, helpers } = await preflight(settings, process.env)
  const git = new Git({ path: program, environment: process.env, mounts })
  if (!root) {
    const installation = await inspectInstallation(git)
    await reportSurroundings(settings, { git, installation, mounts, paths, url })
    return helpers.close()
  }
  const top = root.latest ?? root.path
  const { freshness: rules, maxRefDirectories: directoriesMax } = settings
  const options = { root, git, rules, directoriesMax, disks, mounts }
  const { installation, repositories } = await inspect(options, paths)
  await reportSurroundings(settings, { git, installation, mounts, top, paths, url })

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

interface Surroundings {
  readonly git: Git
  readonly installation: Installation
  readonly mounts: MountTable
  /** The repositories root, free of links; left out: there is none. */
  readonly top?: string
  /** Repositories that the command line names. */
  readonly paths: readonly string[]
  /** Where clients find it; undefined: not given. */
  readonly url: URL | undefined
}

/** Reports all but the repositories on this machine. */
async function reportSurroundings(settings: Settings, surroundings: Surroundings): Promise<void> {
  const { git, installation, mounts, top, url } = surroundings
  const readings: ClockReading[] = []
  report(judgeGit(git, installation))
  report(await checkSidecar(settings))
  if (url) {
    const { checkProxy } = await import('../doctor/proxy.js')
    reportAll(await checkProxy(url, settings, (path) => askAdmin(adminUrl(settings.admin), 'GET', path)))
  }
  const cache = resolve(settings.cacheDir ?? defaultCacheDir(top ?? settings.upstream ?? [], process.env))
  report(await checkCache(cache, settings, readings))
  reportAll(checkCacheFilesystem(cache, mounts))
  if (top !== undefined) report(await checkRoot(top, mounts))
  reportAll(checkSecrets(settings))
  reportAll(checkCertificates(settings))
  // What fleets and upstreams need is loaded only where there are any.
  if (settings.fleet) reportAll(await (await import('../doctor/fleet.js')).checkFleet(settings, readings))
  if (settings.upstream) {
    const { checkUpstreams } = await import('../doctor/upstream.js')
    const options = { ...surroundings, gitVersion: installation.version, environment: process.env }
    const upstreams = await checkUpstreams(settings, options)
    reportAll(upstreams.findings)
    readings.push(...upstreams.readings)
  }
  reportAll(checkClock(readings))
}

function reportAll(findings: readonly Finding[]): void {
  for (const finding of findings) report(finding)
}

function report(finding: Finding): void {
  // It may quote other servers, and names of files.
  process.stdout.write(`${printable(printed(finding))}\n`)
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
  if (complaint !== '') return wrong(`${line}; Git says: ${complaint}`)
  return found.hidesConfig && found.decision.mode === 'observe'
    ? warning(`${line}; ${unsettledReason}`)
    : fine(line)
}

const unsettledReason =
  'each answer costs a Git process, since a configuration file is included in a way that only Git can follow, or too many are: ' +
  'see `git config --show-origin --get-all include.path`, and give absolute paths'

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
