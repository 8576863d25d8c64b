import type { Test } from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gitClient } from '../git-client.js'
import { git, initBare } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { missingForDulwich, startDulwich } from './dulwich.js'
import { missingForGitea, startGitea, type GiteaServer } from './gitea.js'
import { missingForNginx, startNginx } from './nginx.js'
import { missingForNodeGitServer, startNodeGitServer } from './node-git-server.js'
import { urlFor } from './smoke.js'
import type { UpstreamServer } from './upstream-server.js'

/** A server with repositories that are pushed to it: one for all, and one that alice alone may read if it knows users. */
export interface Stage {
  readonly server: UpstreamServer
  /** Paths below the server's URL, and so below refstream's. */
  readonly open: string
  readonly secret: string | undefined
}

export interface StageKind {
  /** Returns what is missing here, if anything is. */
  missing(): string | undefined
  /** Can it serve shallow clones that fetch later, and partial ones? */
  readonly servesPartial: boolean
  /** One that does not may never answer an ls-refs. */
  readonly speaksV2: boolean
  start(t: Test): Promise<Stage>
}

export const users = { alice: 'password of alice', bob: 'password of bob' } as const
export type User = keyof typeof users

/** Returns the URL of a repository, for a user or for nobody. */
export function urlOf(base: string, path: string, user?: User, password?: string): string {
  const url = `${base}/${path}`
  return user ? urlFor(url, user, password ?? users[user]) : url
}

type StartServer = (
  t: Test,
  root: string,
  access: { users: typeof users; readers: Record<string, User[]> },
) => Promise<UpstreamServer>

/** Serves bare repositories that are made on disk. */
const onDisk =
  (start: StartServer, knowsUsers: boolean) =>
  async (t: Test): Promise<Stage> => {
    const root = tempDir(t)
    const [open, secret] = ['team/open.git', 'team/secret.git']
    for (const name of [open, secret]) {
      const repository = initBare(root, name)
      for (const key of ['allowFilter', 'allowAnySHA1InWant'])
        git(repository, 'config', `uploadpack.${key}`, 'true')
    }
    const server = await start(t, root, { users, readers: { [secret]: ['alice'] } })
    return fill(t, { server, open, secret: knowsUsers ? secret : undefined })
  }

export async function startGiteaStage(t: Test): Promise<Stage & { server: GiteaServer }> {
  const server = await startGitea(t)
  const { api } = server
  await Promise.all([
    ...Object.entries(users).map(([name, password]) => api.createUser(name, password)),
    api.createOrganisation('Team'),
  ])
  for (const name of ['Open', 'Secret']) {
    await api.createRepository({ owner: 'Team', name, private: name === 'Secret' })
    await api.addCollaborator({ owner: 'Team', name }, 'alice')
  }
  await api.addCollaborator({ owner: 'Team', name: 'Open' }, 'bob')
  return { ...(await fill(t, { server, open: 'Team/Open.git', secret: 'Team/Secret.git' })), server }
}

/** Pushes commits, branches and tags to each repository. */
async function fill(t: Test, stage: Stage): Promise<Stage> {
  for (const path of [stage.open, stage.secret]) {
    if (path !== undefined) await pushHistory(t, urlOf(stage.server.url, path, 'alice'), path)
  }
  return stage
}

async function pushHistory(t: Test, url: string, text: string): Promise<void> {
  const place = tempDir(t)
  git(place, 'init', '--quiet', '-b', 'main')
  for (const number of [1, 2, 3]) {
    writeFileSync(join(place, `file-${number}`), `${text} ${number}\n`.repeat(1000))
    git(place, 'add', '.')
    git(place, 'commit', '--quiet', '-m', `commit ${number}`)
  }
  git(place, 'branch', 'topic/one', 'HEAD~1')
  git(place, 'tag', '-a', '-m', 'version 1', 'v1', 'HEAD~1')
  git(place, 'tag', 'light')
  await gitClient(2)(place, 'push', '--quiet', url, 'main', 'topic/one', 'v1', 'light')
}

export const stageKinds = {
  nginx: { missing: missingForNginx, servesPartial: true, speaksV2: true, start: onDisk(startNginx, true) },
  dulwich: {
    missing: missingForDulwich,
    servesPartial: false,
    speaksV2: false,
    start: onDisk(startDulwich, false),
  },
  'node-git-server': {
    missing: missingForNodeGitServer,
    servesPartial: true,
    speaksV2: false,
    start: onDisk(startNodeGitServer, true),
  },
  Gitea: { missing: missingForGitea, servesPartial: true, speaksV2: true, start: startGiteaStage },
} satisfies Record<string, StageKind>
