import t from 'tap'
import { readdirSync, readFileSync } from 'node:fs'
import { ask } from '../../support/http-client.js'
import { startSidecar } from '../../support/sidecar.js'
import { tempDir } from '../../support/temp-dir.js'

const source = new URL('../../../src/admin/page/', import.meta.url)

t.test('the page and its files are served with a strict policy', async (t) => {
  const { adminUrl } = await startSidecar(t, tempDir(t))
  const files = readdirSync(source).filter((name) => /\.(css|js)$/.test(name))
  for (const path of ['', ...files.map((name) => `page/${name}`)]) {
    const { status, headers, body } = await ask(`${adminUrl}/${path}`)
    t.equal(status, 200, path)
    t.match(headers['content-security-policy'], /^default-src 'none'; script-src 'self';/)
    t.equal(headers['x-content-type-options'], 'nosniff')
    t.notMatch(body.toString(), /TOKEN"|https?:\/\/(?!www\.w3\.org\/2000\/svg)/, 'nothing from elsewhere')
  }
  t.equal((await ask(`${adminUrl}/`, { method: 'HEAD' })).body.length, 0)
  t.equal((await ask(`${adminUrl}/page/page.ts`)).status, 404)
})

t.test('no text becomes markup', async (t) => {
  for (const name of readdirSync(source).filter((each) => each.endsWith('.js'))) {
    const text = readFileSync(new URL(name, source), 'utf8')
    t.notMatch(text, /innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function/, name)
  }
})
