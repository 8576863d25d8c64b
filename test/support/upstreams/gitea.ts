/**
 * Gitea, a Git forge: private repositories, tokens, organisations, hooks of its own. `make gitea` builds it once into
 * ~/.cache/refstream-test/ (gitea-build.mjs), or REFSTREAM_GITEA is the path of a binary of 1.26 or later; a binary without
 * the directories `options/` and `templates/` beside it must have them built in, as those that Gitea releases have.
 *
 * It runs without mail, SSH and cron, with SQLite, and listens on a Unix socket, which the proxy in front is bound to.
 *
 * What is worth knowing of it (1.26.0):
 * - It speaks v0, v1 and v2. A v2 capability advertisement begins with the line `# service=git-upload-pack` too, which
 *   `git http-backend` leaves out.
 * - Each answer has a Set-Cookie with a new session (`i_like_gitea`). An `info/refs` has a Content-Length.
 * - A private repository is a 401 without a credential or with a wrong one, and a 404 for a user who may not read it.
 * - A wrong password is a 401 for a public repository too, and then without WWW-Authenticate.
 * - A renamed owner or repository is a 307 whose Location has no host, for `info/refs` and for POST.
 * - URLs with and without `.git` are the same repository; owner and name ignore case. On disk: lower case and `.git`.
 * - Its Git has a configuration of its own, in data/home/.gitconfig below the work path.
 * - A Git process that fails during a POST ends a response that is whole as far as HTTP can tell.
 */
import type { Test } from 'tap'
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { tempDir } from '../temp-dir.js'
import { startCountingProxy } from './counting-proxy.js'
import { GiteaApi } from './gitea-api.js'
import { outputOf } from './programs.js'
import { startProcess } from './server-process.js'
import type { UpstreamServer } from './upstream-server.js'

export interface GiteaServer extends UpstreamServer {
  readonly api: GiteaApi
  /** Holds OWNER/NAME.git, both in lower case. */
  readonly repositoriesRoot: string
  /** The home of its Git processes, which has their .gitconfig. */
  readonly gitHome: string
}

const { giteaPlace } = (await import(new URL('gitea-build.mjs', import.meta.url).href)) as {
  giteaPlace: string
}
const binary = process.env['REFSTREAM_GITEA'] ?? join(giteaPlace, 'gitea')

/** Returns what is missing here, if anything is. */
export function missingForGitea(): string | undefined {
  return existsSync(binary)
    ? undefined
    : `there is no ${binary} (make gitea builds it; or set REFSTREAM_GITEA)`
}

const administrator = { name: 'root-admin', password: 'password of the administrator' }

/** Starts it without a repository and with one user, an administrator whom the API uses. Takes about two seconds. */
export async function startGitea(t: Test): Promise<GiteaServer> {
  const place = tempDir(t)
  const socketPath = join(place, 'http.sock')
  const proxy = await startCountingProxy(t, { socketPath })
  const repositoriesRoot = join(place, 'repositories')
  mkdirSync(repositoriesRoot)
  const file = join(place, 'app.ini')
  writeFileSync(file, configuration({ place, socketPath, repositoriesRoot, url: proxy.url }))

  const environment = { PATH: process.env['PATH'], HOME: place, GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' }
  const gitea = startProcess(t, binary, ['web', '--config', file], { environment })
  await gitea.listensOn({ socketPath })
  const { name, password } = administrator
  const user = ['--username', name, '--password', password, '--email', 'admin@example.com', '--admin']
  const create = ['admin', 'user', 'create', ...user, '--must-change-password=false']
  await promisify(execFile)(binary, ['--config', file, ...create], { env: environment })

  const stop = async (): Promise<void> => {
    await proxy.close()
    await gitea.stop()
  }
  return {
    name: outputOf(binary, '--version')?.replace(/ built.*/, '') ?? 'gitea',
    url: proxy.url,
    api: new GiteaApi(socketPath, name, password),
    repositoriesRoot,
    gitHome: join(place, 'data/home'),
    requests: () => proxy.requests,
    stop,
  }
}

interface Places {
  readonly place: string
  readonly socketPath: string
  readonly repositoriesRoot: string
  readonly url: string
}

function configuration({ place, socketPath, repositoriesRoot, url }: Places): string {
  const beside = dirname(binary)
  const assets = existsSync(join(beside, 'templates')) ? `STATIC_ROOT_PATH = ${beside}` : ''
  return `
RUN_USER = ${userInfo().username}
RUN_MODE = prod
WORK_PATH = ${place}
; CI machines run tests as root.
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
PROTOCOL = http+unix
HTTP_ADDR = ${socketPath}
ROOT_URL = ${url}/
DISABLE_SSH = true
OFFLINE_MODE = true
LFS_START_SERVER = true
${assets}
[database]
DB_TYPE = sqlite3
[repository]
ROOT = ${repositoriesRoot}
DEFAULT_BRANCH = main
[security]
INSTALL_LOCK = true
; Far fewer rounds than its default, which costs a tenth of a second for each request with a password.
PASSWORD_HASH_ALGO = pbkdf2$1000$50
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[indexer]
ISSUE_INDEXER_TYPE = db
[mailer]
ENABLED = false
[cron]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
`
}
