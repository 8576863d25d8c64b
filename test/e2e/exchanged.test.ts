import t from 'tap'
import type { Test } from 'tap'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/eventually.js'
import { makeGitWrapper, type GitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { git, initBare, makeCommit } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

/** Ways to exchange the repository at a path, and back: shell lines, with `$at` for the temporary directory. */
const exchanges: Record<string, { readonly there: string; readonly back: string }> = {
  'two repositories trade names': swap('$at/root/g/a.git', '$at/root/g/b.git'),
  'their parents do': swap('$at/root/g', '$at/root/h'),
  'a link that leads out of the root takes its place': {
    there: 'mv "$at/root/g/a.git" "$at/aside"; ln -s "$at/outside/a.git" "$at/root/g/a.git"',
    back: 'rm "$at/root/g/a.git"; mv "$at/aside" "$at/root/g/a.git"',
  },
  'it goes, and a copy comes': {
    there: 'mv "$at/root/g/a.git" "$at/aside"; cp -a "$at/root/g/b.git" "$at/root/g/a.git"',
    back: 'rm -r "$at/root/g/a.git"; mv "$at/aside" "$at/root/g/a.git"',
  },
}
const mounts = {
  'another is mounted over it': {
    there: 'mount --bind "$at/root/g/b.git" "$at/root/g/a.git"',
    // What goes on after an answer may use the mount for a moment; nothing keeps it.
    back: 'for try in $(seq 100); do umount "$at/root/g/a.git" && exit 0; sleep 0.05; done; exit 1',
  },
}

function swap(one: string, other: string): { readonly there: string; readonly back: string } {
  const lines = `mv "${one}" "$at/swap"; mv "${other}" "${one}"; mv "$at/swap" "${other}"`
  return { there: lines, back: lines }
}

function mayMount(t: Test): boolean {
  const directory = tempDir(t)
  for (const name of ['one', 'two']) mkdirSync(join(directory, name))
  try {
    execFileSync('mount', ['--bind', join(directory, 'one'), join(directory, 'two')], { stdio: 'pipe' })
    execFileSync('umount', [join(directory, 'two')])
    return true
  } catch {
    return false
  }
}

/** Repositories with one branch, named after their place: `in-g-a`, `in-g-b`, `in-h-a` in the root, `in-outside-a`. */
function makeRepositories(at: string): void {
  for (const name of ['root/g/a.git', 'root/g/b.git', 'root/h/a.git', 'root/h/b.git', 'outside/a.git']) {
    const path = initBare(at, name)
    const branch = `in-${name.replace('root/', '').replace('/', '-').replace('.git', '')}`
    git(path, 'update-ref', `refs/heads/${branch}`, makeCommit(path, name))
    if (!name.endsWith('g/a.git')) git(path, 'config', 'http.receivepack', 'true')
  }
}

interface World {
  readonly wrapper: GitWrapper
  readonly read: (version: number, service?: string) => Promise<string>
  readonly sidecar: Awaited<ReturnType<typeof startSidecar>>
  readonly restart: () => Promise<World>
}

async function makeWorld(t: Test, at: string, cacheDir = join(at, 'cache')): Promise<World> {
  const wrapper = makeGitWrapper(t)
  const sidecar = await startSidecar(t, join(at, 'root'), { cacheDir, args: ['--git', wrapper.path] })
  const read = async (version: number, service = 'git-upload-pack'): Promise<string> => {
    const headers = { 'git-protocol': `version=${version}` }
    const { status, body } = await ask(infoRefs(sidecar.url, 'g/a.git', service), { headers })
    const branches = [...body.toString('latin1').matchAll(/refs\/heads\/(in-[a-z-]+)/g)]
    return `${status} ${branches.map(([, name]) => name).join()}`
  }
  const restart = async (): Promise<World> => {
    await sidecar.stop('SIGKILL')
    return makeWorld(t, at, cacheDir)
  }
  return { wrapper, read, sidecar, restart }
}

for (const [what, { there, back }] of Object.entries({ ...exchanges, ...(mayMount(t) ? mounts : {}) })) {
  const during = (at: string): string =>
    `at='${at}'; ${there.replaceAll('\n', ' ')}; git "$@"; code=$?; ${back}; exit $code\n`

  t.test(`${what} while Git runs: the answer is that of the observed repository`, async (t) => {
    const at = realpathSync(tempDir(t))
    makeRepositories(at)
    const { wrapper, read, sidecar, restart } = await makeWorld(t, at)
    for (const version of [0, 1]) {
      wrapper.plan(during(at))
      t.equal(await read(version), '200 in-g-a', `v${version}`)
      t.equal(await read(version), '200 in-g-a', `v${version}, again`)
      wrapper.plan(undefined)
      t.equal(await read(version), '200 in-g-a', `v${version}, undisturbed`)
    }
    wrapper.plan(during(at), 'http-backend')
    t.equal(
      await read(0, 'git-receive-pack'),
      '403 ',
      'its own configuration decides, not that of the other one',
    )
    await eventually('all is where it was', () => existsSync(join(at, 'root/g/a.git/refs/heads/in-g-a')))
    const ls = '0014command=ls-refs\n00010000'
    const answer = await ask(`${sidecar.url}/g/a.git/git-upload-pack`, {
      method: 'POST',
      headers: { 'git-protocol': 'version=2', 'content-type': 'application/x-git-upload-pack-request' },
      body: ls,
    })
    t.match(answer.body.toString(), /in-g-a\n/)
    const after = await restart()
    t.equal(await after.read(0), '200 in-g-a', 'after a restart as well')
  })

  t.test(`${what} between two requests: each gets the current repository`, async (t) => {
    const at = realpathSync(tempDir(t))
    makeRepositories(at)
    const { read } = await makeWorld(t, at)
    const run = (lines: string): void => {
      execFileSync('sh', ['-c', `at='${at}'; ${lines}`])
    }
    t.teardown(() => {
      try {
        if (back.includes('umount')) run(back)
      } catch {
        // It is not mounted.
      }
    })
    for (let round = 0; round < 3; round++) {
      t.equal(await read(0), '200 in-g-a')
      run(there)
      t.match(await read(0), /^(404 |200 in-(g-b|h-a))$/)
      t.match(await read(0), /^(404 |200 in-(g-b|h-a))$/)
      run(back)
    }
  })
}

t.test('a repository that is not served stays so while another one has its name', async (t) => {
  const at = realpathSync(tempDir(t))
  makeRepositories(at)
  git(join(at, 'root/g/a.git'), 'config', 'http.uploadpack', 'false')
  const { wrapper, read } = await makeWorld(t, at)
  const { there, back } = exchanges['two repositories trade names']!
  // While Git reads the setting, a repository that is served has the name.
  writeFileSync(join(wrapper.path, '../exchange'), `at='${at}'; ${there}\n`)
  writeFileSync(join(wrapper.path, '../back'), `at='${at}'; ${back}\n`)
  wrapper.planAny('config', '. "$dir/exchange"; git "$@"; code=$?; . "$dir/back"; exit $code')
  t.equal(await read(0), '403 ')
  t.equal(await read(2), '403 ')
})

t.test('readers never get another repository’s refs while names are exchanged repeatedly', async (t) => {
  const at = realpathSync(tempDir(t))
  makeRepositories(at)
  const { read, restart } = await makeWorld(t, at)
  const { there } = exchanges['two repositories trade names']!
  let [answers, trading] = [0, true]
  const readers = Array.from({ length: 8 }, async () => {
    while (trading) {
      // Between two renames there is no repository, or it is exchanged.
      t.match(await read(0), /^(200 in-g-[ab]|404 |503 )$/)
      answers++
    }
  })
  for (let swaps = 0; swaps < 30 || answers < 60; swaps++) {
    execFileSync('sh', ['-c', `at='${at}'; ${there}`])
    await new Promise(setImmediate)
  }
  // An even number of times: every repository has its own name again.
  trading = false
  await Promise.all(readers)
  const expected = git(join(at, 'root/g/a.git'), 'for-each-ref', '--format=%(refname:lstrip=2)')
  t.equal(await read(0), `200 ${expected}`)
  t.equal(await (await restart()).read(0), `200 ${expected}`)
})
