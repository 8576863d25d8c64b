import t from 'tap'
import { hashSync } from 'bcryptjs'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DecisionCache } from '../../../src/access/decision-cache.js'
import { Htpasswd, type PasswordDecision } from '../../../src/access/passwords/htpasswd.js'
import { PasswordChecks } from '../../../src/access/passwords/password-checks.js'
import { tempDir } from '../../support/temp-dir.js'

t.test('a bounded number of passwords is checked, shared fairly among addresses', async (t) => {
  const file = join(tempDir(t), 'h')
  writeFileSync(file, `alice:${hashSync('a', 4)}\n`)
  const htpasswd = Htpasswd.read(file)
  let count = 0
  const checks = new PasswordChecks(20, () => count++)
  t.teardown(() => checks.close())
  const decisions = new DecisionCache<PasswordDecision>({ forMs: 60_000, max: 100 })
  const check = (password: string, group: string, user = 'alice') =>
    htpasswd.check(user, password, group, checks, decisions).catch((error: unknown) => (error as Error).name)

  const storm = Array.from({ length: 100 }, (_, index) => check(`wrong ${index}`, 'attacker'))
  t.equal(await check('a', 'other'), true, 'a flood from one address leaves places for others')
  const results = await Promise.all(storm)
  t.same(new Set(results), new Set([false, 'Overloaded']))
  t.ok(count < 20, `${count} were checked`)
  const before = count
  t.same(await Promise.all([check('a', 'x'), check('a', 'y'), check('wrong 0', 'x')]), [true, true, false])
  t.equal(count, before, 'cached decisions are not checked again')
  t.same(await Promise.all([check('b', 'x'), check('b', 'y'), check('b', 'z', 'unknown')]), [
    false,
    false,
    false,
  ])
  t.equal(count, before + 2, 'equal checks are shared; an unknown name costs a check too')
})

t.test('hashes with a cost that is too low or too high are refused', async (t) => {
  const file = join(tempDir(t), 'h')
  for (const cost of ['03', '15']) {
    writeFileSync(file, `alice:${hashSync('a', 4).replace('$04$', `$${cost}$`)}\n`)
    t.throws(() => Htpasswd.read(file), { message: new RegExp(`:1: the cost is ${cost};`) })
  }
})

t.test('a changed password is not accepted from the cache', async (t) => {
  const file = join(tempDir(t), 'h')
  const checks = new PasswordChecks(20)
  t.teardown(() => checks.close())
  const decisions = new DecisionCache<PasswordDecision>({ forMs: 60_000, max: 100, timeIndependent: true })
  const check = (password: string): Promise<boolean> =>
    Htpasswd.read(file).check('alice', password, 'x', checks, decisions)
  writeFileSync(file, `alice:${hashSync('old', 4)}\n`)
  t.same([await check('old'), await check('new')], [true, false])
  writeFileSync(file, `alice:${hashSync('new', 4)}\n`)
  t.same([await check('old'), await check('new')], [false, true])
})

t.test('without users, every password is wrong', async (t) => {
  const file = join(tempDir(t), 'h')
  writeFileSync(file, '# none\n')
  const checks = new PasswordChecks(20)
  const decisions = new DecisionCache<PasswordDecision>({ forMs: 0, max: 1 })
  t.equal(await Htpasswd.read(file).check('alice', '', 'x', checks, decisions), false)
})
