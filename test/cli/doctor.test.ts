import t from 'tap'
import { execFile } from 'node:child_process'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { git, initBare, makeRepository } from '../support/repositories.js'
import { cleanEnvironment, program, startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

function doctor(...args: string[]): Promise<{ code: number; lines: string[]; stderr: string }> {
  return new Promise((resolve) => {
    const child = execFile(
      process.execPath,
      [program, 'doctor', ...args],
      { env: cleanEnvironment },
      (_error, stdout, stderr) => {
        resolve({ code: child.exitCode ?? -1, lines: stdout.trimEnd().split('\n'), stderr })
      },
    )
  })
}

t.test('a line for everything', async (t) => {
  const root = tempDir(t)
  const deep = makeRepository(root, 'deep.git')
  for (const name of ['a', 'b', 'c']) git(deep, 'update-ref', `refs/heads/${name}/x`, 'main')
  initBare(root, 'hidden.git', { exported: false })
  initBare(root, 'mirrors/m.git')
  initBare(root, 'plain.git')
  const sidecar = await startSidecar(t, root)
  const admin = ['--admin', sidecar.adminUrl.replace('http://', '')]
  const rules = ['--freshness', 'mirrors/*=lease', '--max-ref-directories', '5']
  const { code, lines, stderr } = await doctor('--root', root, ...admin, ...rules)
  t.same([code, stderr], [0, ''])
  const unleased = 'changes without a lease are seen after 10 s at the latest'
  t.match(lines, [
    /^git: \/.*\/git, version 2\.[\d.]+$/,
    `sidecar: ready at ${sidecar.adminUrl}`,
    `deep.git: lease, too many directories under refs/; ${unleased}`,
    'hidden.git: observe, on a local filesystem; not exported (no git-daemon-export-ok)',
    `mirrors/m.git: lease, by the rule for mirrors/*; ${unleased}`,
    'plain.git: observe, on a local filesystem',
  ])
  t.equal(lines.length, 6)

  await sidecar.stop()
  const some = await doctor('--root', root, ...admin, '--export-all', 'true', 'hidden', 'nothing.git')
  t.equal(some.code, 1)
  t.match(some.lines.slice(1), [
    /^sidecar: none answers at http:.*ECONNREFUSED/,
    'hidden: observe, on a local filesystem',
    'nothing.git: no repository',
  ])
})

t.test('rules that are for no repository', async (t) => {
  const root = tempDir(t)
  initBare(root, 'a.git')
  const admin = ['--admin', `unix:${join(root, 'no.sock')}`]
  const rules = ['--access', 'a=read:ci, b/**=push:x+y, **=read:*', '--freshness', 'c=lease, auto']
  const { code, lines } = await doctor('--root', root, ...admin, ...rules)
  t.equal(code, 0)
  t.match(lines.slice(3), [
    /^--access: the rule b\/\*\*=push:x\+y matches no repository; .*/,
    /^--freshness: the rule c=lease matches no repository; .*/,
  ])
  t.equal(lines.length, 5)
  t.equal(
    (await doctor('--root', root, ...admin, ...rules, 'a.git')).lines.length,
    3,
    'some of many tell nothing',
  )
})

t.test('what is wrong', async (t) => {
  const root = tempDir(t)
  const old = join(tempDir(t), 'git')
  writeFileSync(old, '#!/bin/sh\n[ "$1" = --version ] && { echo git version 2.20.1; exit; }\nexec git "$@"\n')
  chmodSync(old, 0o755)
  const admin = ['--admin', `unix:${join(root, 'no.sock')}`]
  t.match(await doctor('--root', root, ...admin, '--git', old), {
    code: 1,
    lines: [/version 2\.20\.1, is not supported: 2\.39 is the oldest/, /none answers at unix:/],
  })
  t.match(await doctor('--root', join(root, 'nothing')), { code: 2, stderr: /^refstream: --root: .*\n$/ })
})
