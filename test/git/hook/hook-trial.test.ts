import t, { type Test } from 'tap'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { tryScript, type HookTrial } from '../../../src/git/hook/hook-trial.js'
import { tempDir } from '../../support/temp-dir.js'

/** What is made of a hook that prints this. */
function trial(t: Test, output: string, stderr = '', tokenFile?: string): Promise<HookTrial> {
  const commonDir = tempDir(t)
  mkdirSync(join(commonDir, 'refs'))
  const script = `printf %s '${output}'; printf %s '${stderr}' >&2`
  return tryScript({ script, tokenFile, hook: 'hook', commonDir })
}

t.test('a lease that was opened works', async (t) => {
  t.same(await trial(t, '{"id":"x"} 201'), { works: true, answered: true, reason: '' })
})

t.test('a response that is not a lease says why', async (t) => {
  t.same(await trial(t, '{"detail":"draining"} 503'), { works: false, answered: true, reason: 'draining' })
  for (const body of ['<html>', '{"detail":1}', '']) {
    t.same(await trial(t, `${body} 404`), { works: false, answered: true, reason: 'status 404' }, body)
  }
  t.same(await trial(t, ' 401'), {
    works: false,
    answered: true,
    reason: 'status 401; install it with --token-file',
  })
  t.match(await trial(t, ' 401', '', '/dev/null'), { reason: 'status 401' })
})

t.test('without a response, the last line of standard error says why', async (t) => {
  t.same(await trial(t, ' 000', 'bash: line 9: connect: refused\nbash: line 9: /dev/tcp/x/1: refused\n'), {
    works: false,
    answered: false,
    reason: '/dev/tcp/x/1: refused',
  })
  t.match(await trial(t, ''), { answered: false, reason: 'no answer in time' })
})

t.test('variables that point Git at a repository do not reach the hook', async (t) => {
  const before = process.env['GIT_DIR']
  process.env['GIT_DIR'] = '/elsewhere'
  t.teardown(() => {
    if (before === undefined) delete process.env['GIT_DIR']
    else process.env['GIT_DIR'] = before
  })
  const commonDir = tempDir(t)
  const script = '[ -z "${GIT_DIR-}" ] && printf " 201"'
  t.match(await tryScript({ script, tokenFile: undefined, hook: 'hook', commonDir }), { works: true })
})
