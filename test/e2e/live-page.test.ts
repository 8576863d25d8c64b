import t, { type Test } from 'tap'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chromiumName, openPage } from '../support/chromium.js'
import { makeGitWrapper } from '../support/git-wrapper.js'
import { ask, infoRefs } from '../support/http-client.js'
import { makeRepository } from '../support/repositories.js'
import { startSidecar } from '../support/sidecar.js'
import { tempDir } from '../support/temp-dir.js'

const chromium = chromiumName()
if (chromium === undefined) {
  t.plan(0, 'there is no Chromium on this machine')
  process.exit()
}

const repositories = ['linux.git', 'team/api.git', 'team/web.git']
/** Its fills do not wait. */
const warm = 'tools/cli.git'
/** Where pictures go; undefined: none are made. */
const pictures = process.env['REFSTREAM_PICTURES']

/** Starts a sidecar whose fills wait until they are told to go on. */
async function setUp(t: Test, ...args: string[]) {
  const root = tempDir(t)
  for (const directory of ['team', 'tools']) mkdirSync(join(root, directory))
  for (const name of [...repositories, warm]) makeRepository(root, name)
  const wrapper = makeGitWrapper(t)
  wrapper.plan(
    'case "$(pwd -P)" in *web.git) echo "fatal: bad object refs/heads/main" >&2; exit 128;; *cli.git) ;; *) until [ -f "$dir/go" ]; do sleep 0.02; done;; esac',
  )
  const sidecar = await startSidecar(t, root, {
    args: ['--git', wrapper.path, '--fill-retries', '0', ...args],
  })
  return { ...sidecar, wrapper }
}

t.test('rows of fills appear and vanish during a storm', async (t) => {
  const { url, adminUrl, wrapper } = await setUp(t)
  const page = await openPage(t, chromium, `${adminUrl}/`)
  await page.until('it is connected', 'document.getElementById("state").textContent === "ready"')
  await page.until('there is no fill', 'document.querySelector("#fills tbody").textContent === "none"')
  const storm = repositories.flatMap((name) => Array.from({ length: 20 }, () => ask(infoRefs(url, name))))
  const rows = '[...document.querySelectorAll("#fills tbody tr")].map((row) => row.textContent)'
  await page.until(
    'two fills have twenty followers each',
    `${rows}.length === 2 && ${rows}.every((row) => row.endsWith("20"))`,
  )
  await page.until('Git’s own words', '/bad object/.test(document.getElementById("failures").textContent)')
  if (pictures !== undefined) {
    const points = 'document.querySelector("#rate-line polyline").getAttribute("points").split(" ").length'
    for (let second = 1; second < 16; second++) {
      const count = 20 + Math.round(15 * Math.sin(second))
      await Promise.all(Array.from({ length: count }, () => ask(infoRefs(url, warm))))
      await page.until('the next second', `${points} > ${second}`)
    }
    for (const [name, width, height, scheme] of [
      ['live-page', 1100, 900, 'light'],
      ['live-page-phone', 390, 900, 'dark'],
    ] as const) {
      await page.emulate(width, height, scheme, 'reduce')
      writeFileSync(join(pictures, `${name}.png`), await page.screenshot())
    }
  }
  await page.emulate(390, 760, 'dark')
  t.ok(
    await page.evaluate('document.documentElement.scrollWidth <= 390'),
    'a phone does not scroll to the side',
  )
  wrapper.signal('go')
  await Promise.all(storm)
  await page.until('they have vanished', 'document.querySelector("#fills tbody").textContent === "none"')

  await page.evaluate(
    'document.getElementById("path").value = "linux.git", document.getElementById("search").requestSubmit()',
  )
  const found = 'document.getElementById("found").textContent'
  await page.until('what is known of one', `${found} !== ""`)
  t.match(await page.evaluate(found), /linux\.git: mode observe, on a local filesystem.*is a hit/)
  t.same(page.faults, [], 'no error, and no violation of the policy')
})

t.test('the keyboard alone reaches everything, and a screen reader is told of changes only', async (t) => {
  const { adminUrl } = await setUp(t)
  const page = await openPage(t, chromium, `${adminUrl}/`)
  await page.emulate(1100, 820, 'light', 'reduce')
  await page.until('it is connected', 'document.getElementById("state").textContent === "ready"')
  const reached: unknown[] = []
  for (let press = 0; press < 6; press++) {
    await page.tab()
    reached.push(
      await page.evaluate(
        `(({ className, id, tagName, ...rest }) => id || className || tagName)(document.activeElement)`,
      ),
    )
    const outline = 'getComputedStyle(document.activeElement).outlineStyle'
    t.equal(await page.evaluate(outline), 'solid', `the focus is visible on ${String(reached.at(-1))}`)
  }
  t.same(reached, ['skip', 'pause', 'wide', 'path', 'BUTTON', 'wide'], 'in the order of the page')
  t.same(
    await page.evaluate(
      '[...document.querySelectorAll("output, [aria-live], [role=status], [role=alert], [role=log]")].map(({ id }) => id)',
    ),
    ['state', 'found'],
    'numbers that change each second are not read aloud',
  )
  const unnamed =
    '[...document.querySelectorAll("table")].filter((table) => !table.caption && !table.ariaLabelledByElements?.[0]?.textContent).map(({ id }) => id)'
  t.same(await page.evaluate(unnamed), [], 'each table has a name')
  const heads =
    '[...document.querySelectorAll("thead th")].every(({ scope }) => scope === "col") && [...document.querySelectorAll("tbody th")].every(({ scope }) => scope === "row")'
  t.ok(await page.evaluate(heads))
  t.equal(await page.evaluate('getComputedStyle(document.querySelector("#fills tr")).animationName'), 'none')
  t.same(page.faults, [])
})

t.test('a token is typed in, and never becomes part of an address', async (t) => {
  const file = join(tempDir(t), 'tokens')
  writeFileSync(file, `admin:${createHash('sha256').update('very-secret').digest('hex')}\n`)
  const { adminUrl } = await setUp(t, '--admin-token-file', file)
  const page = await openPage(t, chromium, `${adminUrl}/`)
  await page.until('it asks for a token', '!document.getElementById("login").hidden')
  t.equal((await ask(`${adminUrl}/v1/status`)).status, 401, 'only the page itself is public')
  await page.evaluate(
    'document.getElementById("token").value = "very-secret", document.getElementById("login").requestSubmit()',
  )
  await page.until('it is connected', 'document.getElementById("state").textContent === "ready"')
  t.equal(await page.evaluate('location.href'), `${adminUrl}/`)
  t.equal(await page.evaluate('document.activeElement.id'), 'main', 'the focus is not lost')
  t.same(
    await page.evaluate(
      'performance.getEntriesByType("resource").filter(({ name }) => /secret/.test(name)).length + localStorage.length',
    ),
    0,
  )
  t.same(page.faults, [])
})
