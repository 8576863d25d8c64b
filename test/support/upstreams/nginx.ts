/**
 * nginx with fcgiwrap and `git http-backend`, as git-http-backend(1) describes it. Debian: nginx-light, fcgiwrap.
 *
 * It speaks protocol v0, v1 and v2. Passwords are checked by nginx: a user who may not read a repository gets a 403 after the
 * password was right, and a 401 otherwise.
 */
import type { Test } from 'tap'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gitEnvironment } from '../repositories.js'
import { tempDir } from '../temp-dir.js'
import { outputOf, serverPath } from './programs.js'
import { startProcess } from './server-process.js'
import { behindProxy, type UpstreamAccess, type UpstreamServer } from './upstream-server.js'

/** Returns what is missing here, if anything is. */
export function missingForNginx(): string | undefined {
  if (outputOf('nginx', '-v') === undefined) return 'nginx is not installed (Debian: nginx-light)'
  // It has no option that prints its version; -h exits with 0.
  if (outputOf('fcgiwrap', '-h') === undefined) return 'fcgiwrap is not installed'
  return undefined
}

/** Serves all repositories below a directory, read and write. */
export async function startNginx(
  t: Test,
  root: string,
  access: UpstreamAccess = {},
): Promise<UpstreamServer> {
  const place = tempDir(t)
  const [socketPath, fcgiSocket] = [join(place, 'http.sock'), join(place, 'fcgi.sock')]
  const backend = join(outputOf('git', '--exec-path') ?? '', 'git-http-backend')
  writeFileSync(
    join(place, 'nginx.conf'),
    configuration({ place, socketPath, fcgiSocket, backend, root, access }),
  )
  // nginx checks a password after the marker {PLAIN} as it stands (ngx_http_auth_basic_module).
  const passwords = Object.entries(access.users ?? {}).map(
    ([user, password]) => `${user}:{PLAIN}${password}\n`,
  )
  writeFileSync(join(place, 'passwords'), passwords.join(''))

  const environment = { ...gitEnvironment, PATH: serverPath }
  const fcgiwrap = startProcess(t, 'fcgiwrap', ['-c', '4', '-s', `unix:${fcgiSocket}`], { environment })
  await fcgiwrap.listensOn({ socketPath: fcgiSocket })
  const options = ['-p', place, '-c', 'nginx.conf', '-e', 'stderr']
  const nginx = startProcess(t, 'nginx', options, { environment })
  await nginx.listensOn({ socketPath })
  const version = outputOf('nginx', '-v')?.replace(/^.*: /, '') ?? ''
  return behindProxy(t, `${version} with fcgiwrap`, { socketPath }, [nginx, fcgiwrap])
}

interface Places {
  readonly place: string
  readonly socketPath: string
  readonly fcgiSocket: string
  readonly backend: string
  readonly root: string
  readonly access: UpstreamAccess
}

/** A pattern of a repository's path. Git finds it without `.git` too. */
const patternOf = (path: string): string => `${escaped(path.replace(/\.git$/, ''))}(\\.git)?`
const escaped = (text: string): string => text.replaceAll(/[.+*?()[\]{}^$|\\]/g, '\\$&')

function configuration({ place, socketPath, fcgiSocket, backend, root, access }: Places): string {
  const readers = Object.entries(access.readers ?? {})
  const asks = readers.map(([path]) => `"~^/${patternOf(path)}/" "Git";`)
  const pushes = access.users ? ['"~ git-receive-pack$" "Git";', '"~/git-receive-pack " "Git";'] : []
  const allowed = readers.flatMap(([path, users]) => [
    ...users.map((user) => `"~^${escaped(user)} /${patternOf(path)}/" "";`),
    `"~ /${patternOf(path)}/" 1;`,
  ])
  return `
daemon off;
worker_processes 1;
pid ${place}/nginx.pid;
# Its worker reads a directory that belongs to root alone.
${process.getuid?.() === 0 ? 'user root;' : ''}
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path ${place}/body;
  fastcgi_temp_path ${place}/fastcgi;
  proxy_temp_path ${place}/proxy;
  scgi_temp_path ${place}/scgi;
  uwsgi_temp_path ${place}/uwsgi;
  client_max_body_size 0;
  map "$uri $arg_service" $realm { default off; ${[...asks, ...pushes].join(' ')} }
  map "$remote_user $uri" $forbidden { default ""; ${allowed.join(' ')} }
  server {
    listen unix:${socketPath};
    location / {
      auth_basic $realm;
      auth_basic_user_file ${place}/passwords;
      # Goes on at the named location after the password was checked; an "if" here would come before that.
      try_files /nothing @git;
    }
    location @git {
      if ($forbidden) { return 403; }
      fastcgi_pass unix:${fcgiSocket};
      fastcgi_buffering off;
      fastcgi_param SCRIPT_FILENAME ${backend};
      fastcgi_param GIT_PROJECT_ROOT ${root};
      fastcgi_param GIT_HTTP_EXPORT_ALL 1;
      fastcgi_param PATH_INFO $uri;
      fastcgi_param QUERY_STRING $query_string;
      fastcgi_param REQUEST_METHOD $request_method;
      fastcgi_param CONTENT_TYPE $content_type;
      fastcgi_param CONTENT_LENGTH $content_length;
      # git-http-backend(1): a push needs a user or http.receivepack.
      fastcgi_param REMOTE_USER ${access.users ? '$remote_user' : 'anonymous'};
      fastcgi_param REMOTE_ADDR $remote_addr;
    }
  }
}
`
}
