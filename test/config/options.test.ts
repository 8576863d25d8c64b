import t from 'tap'
import { readFileSync } from 'node:fs'
import { environmentName, options } from '../../src/config/options.js'

t.test('the README’s table of settings says what the code says', async (t) => {
  const readme = readFileSync('README.md', 'utf8')
  for (const option of options) {
    const value = 'value' in option ? ` ${option.value}` : ''
    const row = `| \`--${option.name}${value}\` | ${option.defaultText} | ${option.help} |`
    t.ok(readme.includes(row), row)
  }
  t.equal(readme.match(/^\| `--/gm)?.length, options.length, 'and has no other')
})

t.test('each setting has one name in each place', async (t) => {
  t.equal(new Set(options.map(({ name }) => name)).size, options.length)
  for (const option of options) {
    const kebab = option.key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    t.equal(option.name, kebab)
    t.match(environmentName(option), /^REFSTREAM_[A-Z_]+$/)
  }
})
