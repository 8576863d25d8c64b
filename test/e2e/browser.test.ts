import t, { type Test } from 'tap'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { chromiumName, openPage } from '../support/chromium.js'
import { git, makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'
import { skipReason } from '../support/upstreams/programs.js'

const chromium = chromiumName()
const page = `<!doctype html><link rel="icon" href="data:,">${['/buffer.js', '/git.js', '/http.js', '/fs.js']
  .map((path) => `<script src="${path}"></script>`)
  .join('')}<script>
const fs = new LightningFS('clone')
const options = (dir) => ({ fs, http: GitHttp, dir })
const outcome = (work) => work.then((value) => value ?? 'done', (error) => error.name + ': ' + error.message)
</script>`

const sourceOf = (file: string): string => readFileSync(`node_modules/${file}`, 'utf8')

/** Returns a script that defines `Buffer`, which isomorphic-git needs and whose package has CommonJS modules only. */
function bufferScript(): string {
  const define = (name: string): string =>
    `modules['${name}'] = (module, exports, require) => {${sourceOf(`${name}/index.js`)}\n}\n`
  return `{const modules = {}
    const require = (name) => {
      const module = { exports: {} }
      modules[name](module, module.exports, require)
      return module.exports
    }
    ${['base64-js', 'ieee754', 'buffer'].map(define).join('')}
    globalThis.Buffer = require('buffer').Buffer}`
}

/** Serves a page with isomorphic-git. @returns its origin: another one than that of refstream, since its port is another */
async function servePage(t: Test): Promise<string> {
  const scripts: Readonly<Record<string, string>> = {
    '/buffer.js': bufferScript(),
    '/git.js': sourceOf('isomorphic-git/index.umd.min.js'),
    '/http.js': sourceOf('isomorphic-git/http/web/index.umd.js'),
    '/fs.js': sourceOf('@isomorphic-git/lightning-fs/dist/lightning-fs.min.js'),
  }
  const server = createServer(({ url = '' }, response) => {
    const script = scripts[url]
    response.setHeader('Content-Type', `text/${script ? 'javascript' : 'html'}; charset=utf-8`)
    response.end(script ?? page)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

t.test(
  'isomorphic-git in a browser clones from another origin if that is listed',
  { skip: skipReason('a browser', chromium === undefined ? 'Chromium is not installed' : undefined) },
  async (t) => {
    const root = tempDir(t)
    const repository = makeRepository(root, 'a.git')
    const commit = git(repository, 'rev-parse', 'HEAD')
    const origin = await servePage(t)
    const listed = await startSidecar(t, root, { args: ['--cors-origins', `https://x.example,${origin}`] })
    const other = await startSidecar(t, root, { args: ['--cors-origins', 'https://x.example'] })
    const browser = await openPage(t, chromium!, origin)
    await browser.until('its scripts have run', 'typeof outcome === "function"')
    /** Clones, and returns the id of its commit, or why it failed. */
    const cloned = (url: string, dir: string): Promise<string> =>
      browser.evaluate(`{
        const at = options('${dir}')
        outcome(git.clone({ ...at, url: '${url}' }).then(() => git.resolveRef({ ...at, ref: 'HEAD' })))
      }`)
    t.equal(await cloned(`${listed.url}/a.git`, '/a'), commit)
    t.same(browser.faults, [])
    const preflights = await listed.metric('refstream_requests_total', { outcome: 'preflight' })
    t.ok(preflights > 0, 'its POST needed a preflight')

    const listing = `git.listServerRefs({ http: GitHttp, url: '${listed.url}/a.git', prefix: 'refs/heads/main' })`
    t.equal(
      await browser.evaluate(`outcome(${listing}.then(([{ oid }]) => oid))`),
      git(repository, 'rev-parse', 'main'),
    )
    t.equal(await listed.metric('refstream_requests_total', { kind: 'ls-refs', outcome: 'filled' }), 1)

    t.match(await cloned(`${listed.url}/b.git`, '/b'), /^HttpError: .*404/, 'a page reads errors')
    t.match(
      await cloned(`${other.url}/a.git`, '/c'),
      /^TypeError: Failed to fetch/,
      'of a listed origin only',
    )
  },
)
