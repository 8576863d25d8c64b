import { request } from 'node:http'
import { text } from 'node:stream/consumers'
import type { IncomingMessage } from 'node:http'

export interface RepositoryName {
  /** A user or an organisation. */
  readonly owner: string
  readonly name: string
}

export interface Token {
  readonly name: string
  /** What the client sends in the place of a password. */
  readonly secret: string
}

type Json = Record<string, unknown>

const pathOf = ({ owner, name }: RepositoryName): string => `/repos/${owner}/${name}`

/** Gitea's REST API, called as an administrator over its own socket, so that the proxy in front does not count it. */
export class GiteaApi {
  readonly #socketPath: string
  readonly #authorization: string

  constructor(socketPath: string, user: string, password: string) {
    this.#socketPath = socketPath
    this.#authorization = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
  }

  async createUser(username: string, password: string): Promise<void> {
    const email = `${username.toLowerCase()}@example.com`
    await this.call('POST', '/admin/users', { username, password, email, must_change_password: false })
  }

  /** Makes an access token of a user that may read and write repositories. */
  async createToken(user: string, name = 'test', scopes = ['write:repository']): Promise<Token> {
    const { sha1 } = (await this.call('POST', `/users/${user}/tokens`, { name, scopes })) as { sha1: string }
    return { name, secret: sha1 }
  }

  async revokeToken(user: string, { name }: Token): Promise<void> {
    await this.call('DELETE', `/users/${user}/tokens/${encodeURIComponent(name)}`)
  }

  async createOrganisation(name: string): Promise<void> {
    await this.call('POST', '/orgs', { username: name })
  }

  /** Afterwards Gitea redirects the old name to the new one. */
  async renameOrganisation(from: string, to: string): Promise<void> {
    await this.call('POST', `/orgs/${from}/rename`, { new_name: to })
  }

  /** Makes an empty repository whose HEAD is refs/heads/main. */
  async createRepository(repository: RepositoryName & { readonly private?: boolean }): Promise<void> {
    const body = { name: repository.name, private: repository.private ?? false, default_branch: 'main' }
    await this.call('POST', `/admin/users/${repository.owner}/repos`, body)
  }

  async deleteRepository(repository: RepositoryName): Promise<void> {
    await this.call('DELETE', pathOf(repository))
  }

  async setVisibility(repository: RepositoryName, visibility: 'public' | 'private'): Promise<void> {
    await this.call('PATCH', pathOf(repository), { private: visibility === 'private' })
  }

  async addCollaborator(
    repository: RepositoryName,
    user: string,
    permission: 'read' | 'write' = 'write',
  ): Promise<void> {
    await this.call('PUT', `${pathOf(repository)}/collaborators/${user}`, { permission })
  }

  async removeCollaborator(repository: RepositoryName, user: string): Promise<void> {
    await this.call('DELETE', `${pathOf(repository)}/collaborators/${user}`)
  }

  /** Makes a branch at HEAD, as the web interface does: without a push. */
  async createBranch(repository: RepositoryName, name: string): Promise<void> {
    await this.call('POST', `${pathOf(repository)}/branches`, { new_branch_name: name })
  }

  /** From now on Gitea's pre-receive hook refuses pushes to this branch. */
  async protectBranch(repository: RepositoryName, branch: string): Promise<void> {
    const body = { rule_name: branch, enable_push: false }
    await this.call('POST', `${pathOf(repository)}/branch_protections`, body)
  }

  /** Gitea then posts to this URL after each push; it must be on a loopback address. */
  async createWebhook(repository: RepositoryName, url: string, secret: string): Promise<void> {
    const config = { url, secret, content_type: 'json' }
    const body = { type: 'gitea', active: true, events: ['push', 'create', 'delete'], config }
    await this.call('POST', `${pathOf(repository)}/hooks`, body)
  }

  /** Resolves with branch → commit, from Gitea's database, where its post-receive hook and a queue behind it write them. */
  async branches(repository: RepositoryName): Promise<Record<string, string>> {
    const branches = (await this.call('GET', `${pathOf(repository)}/branches?limit=50`)) as
      { name: string; commit: { id: string } }[] | null
    return Object.fromEntries((branches ?? []).map(({ name, commit }) => [name, commit.id]))
  }

  /** Resolves with the names of the users who have pushed, which Gitea's post-receive hook writes down. */
  async pushers(repository: RepositoryName): Promise<string[]> {
    const feed = (await this.call('GET', `${pathOf(repository)}/activities/feeds`)) as {
      op_type: string
      act_user: { login: string }
    }[]
    // Each follower of the repository has an own copy.
    const pushes = feed.filter(({ op_type }) => op_type === 'commit_repo')
    return [...new Set(pushes.map(({ act_user }) => act_user.login))]
  }

  /** Calls the API. @throws if the status is not 2xx */
  async call(method: string, path: string, body?: Json): Promise<unknown> {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request({
        socketPath: this.#socketPath,
        method,
        path: `/api/v1${path}`,
        headers: { Host: 'gitea', Authorization: this.#authorization, 'Content-Type': 'application/json' },
      })
        .on('response', resolve)
        .on('error', reject)
        .end(body && JSON.stringify(body))
    })
    const answer = await text(response)
    const { statusCode = 0 } = response
    if (statusCode < 200 || statusCode > 299) throw new Error(`${method} ${path}: ${statusCode} ${answer}`)
    return answer === '' ? undefined : (JSON.parse(answer) as unknown)
  }
}
