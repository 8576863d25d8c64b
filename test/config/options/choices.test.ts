import t from 'tap'
import { choicesOf } from '../../../src/config/options/choices.js'
import { options, type Option } from '../../../src/config/options/options.js'

t.test('settings that are one of some words have these as choices; each is allowed', async (t) => {
  const found = (options as readonly Option[]).filter((option) => option.value && choicesOf(option))
  const names = new Set(found.map(({ name }) => name))
  for (const name of ['upstream-credentials', 'splice', 'log-level']) t.ok(names.has(name), name)
  t.notOk(names.has('freshness'), 'a list of rules is not one word')
  for (const option of found) {
    for (const choice of choicesOf(option) ?? []) {
      t.ok(option.schema.safeParse(choice).success, `${option.name}=${choice}`)
      t.ok(option.allowed.includes(choice), `${option.name} says that ${choice} is allowed`)
    }
  }
})
