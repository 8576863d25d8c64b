import t from 'tap'
import { readFileSync } from 'node:fs'
import { environmentName, flagText, optionGroups, options } from '../../../src/config/options/options.js'

t.test('docs/settings.md has every setting, and no other', async (t) => {
  const page = readFileSync('docs/settings.md', 'utf8')
  for (const option of options) {
    const help = option.help.replaceAll('*', '\\*')
    const row = `| \`${flagText(option)}\` | ${option.defaultText} | ${help} |`
    t.ok(page.includes(row), row)
  }
  t.equal(page.match(/^\| `--/gm)?.length, options.length)
})

t.test('settings of a group stand together, in the order of the headings', async (t) => {
  const groups = options.map(({ group }) => group)
  t.same(
    groups.filter((group, index) => group !== groups[index - 1]),
    optionGroups,
  )
})

t.test('each setting has one name in each place', async (t) => {
  t.equal(new Set(options.map(({ name }) => name)).size, options.length)
  for (const option of options) {
    const kebab = option.key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    t.equal(option.name, kebab)
    t.match(environmentName(option), /^REFSTREAM_[A-Z][A-Z\d_]+$/)
  }
})

t.test('the allowed values name the bounds of numbers', async (t) => {
  const numbers = options.filter(
    (option) => 'value' in option && ['SECONDS', 'NUMBER'].includes(option.value),
  )
  t.ok(numbers.length > 20)
  for (const { name, allowed, schema } of numbers) {
    const accepts = (value: number): boolean => schema.safeParse(String(value)).success
    t.equal(accepts(0), !/greater than 0|or more/.test(allowed), `--${name}: 0`)
    const most = /at most (\d+)/.exec(allowed)?.[1]
    if (most === undefined) t.ok(accepts(100_000_000), `--${name}: no upper bound`)
    else t.same([accepts(Number(most)), accepts(Number(most) + 1)], [true, false], `--${name}: ${most}`)
  }
})
