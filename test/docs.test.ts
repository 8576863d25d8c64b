import t from 'tap'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createProgram } from '../src/cli/program.js'
import * as settingFlags from '../src/cli/commands/setting-flags.js'
import { wordsOf, type CommandWords } from '../src/cli/completion/words.js'
import * as optionTable from '../src/config/options/options.js'
import { packageVersion } from '../src/config/version.js'
import { metricSubjects } from '../src/telemetry/metrics/catalog.js'
import { dashboardFile } from '../src/telemetry/monitoring/dashboard/dashboard.js'
import { rulesFile, runbookPage } from '../src/telemetry/monitoring/rules.js'
import { outputOf, skipReason } from './support/upstreams/programs.js'
import type { MetricDefinition } from '../src/telemetry/metrics/definition.js'

interface RuleGenerator {
  readonly prometheusRule: (rulesFile: string) => string
}

interface ManGenerator {
  readonly manPage: (
    commands: readonly CommandWords[],
    options: typeof optionTable,
    version: string,
  ) => string
}

interface Generator {
  readonly settingsPage: (options: typeof optionTable) => string
  readonly notice: string
  readonly formatted: (name: string, text: string) => Promise<string>
  readonly metricsPage: (subjects: typeof metricSubjects) => string
}

t.test('generated pages are up to date', async (t) => {
  const script = new URL('../scripts/docs.mjs', import.meta.url)
  const { settingsPage, metricsPage, notice, formatted } = (await import(script.href)) as Generator
  const man = new URL('../scripts/man.mjs', import.meta.url)
  const { manPage } = (await import(man.href)) as ManGenerator
  const kustomize = new URL('../scripts/kustomize.mjs', import.meta.url)
  const { prometheusRule } = (await import(kustomize.href)) as RuleGenerator
  const pages = {
    'fixtures/kustomize/components/monitoring/prometheus-rule.yaml': await formatted(
      'rule.yaml',
      prometheusRule(rulesFile()),
    ),
    'man/refstream.1': manPage(wordsOf(createProgram(settingFlags)), optionTable, packageVersion()),
    'docs/settings.md': settingsPage(optionTable),
    'docs/metrics.md': metricsPage(metricSubjects),
    'docs/runbook.md': runbookPage(notice),
    'fixtures/prometheus-rules.yml': await formatted('rules.yml', rulesFile()),
    'fixtures/grafana-dashboard.json': await formatted('dashboard.json', dashboardFile()),
  }
  for (const [path, expected] of Object.entries(pages)) {
    t.ok(readFileSync(path, 'utf8') === expected, `${path} is up to date; if not, run: npm run docs`)
  }
})

const pages = [
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  ...['docs', 'test/bench/results'].flatMap((directory) =>
    readdirSync(directory)
      .filter((name) => name.endsWith('.md'))
      .map((name) => join(directory, name)),
  ),
]

/** Markdown without its blocks of code. */
const proseOf = (page: string): string => readFileSync(page, 'utf8').replaceAll(/^```[^]*?^```/gm, '')

/** Returns the anchors of a page's headings, as GitHub makes them. */
const anchorsOf = (page: string): string[] =>
  [...proseOf(page).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )

t.test('every relative link leads to a file, and to a heading of it', async (t) => {
  for (const page of pages) {
    for (const [, link = ''] of proseOf(page).matchAll(/\]\(([^()\s]+)\)/g)) {
      if (/^[a-z]+:/.test(link)) continue
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? page : join(dirname(page), path)
      t.ok(existsSync(target), `${page}: ${link}`)
      if (anchor !== undefined && existsSync(target)) {
        t.ok(anchorsOf(target).includes(anchor), `${page}: ${link} has such a heading`)
      }
    }
  }
})

t.test('every path of the sources that a page names exists', async (t) => {
  for (const page of pages) {
    for (const [, path = ''] of proseOf(page).matchAll(
      /`((?:src|test|fixtures|scripts|docs)\/[\w./-]*[\w/-])`/g,
    )) {
      t.ok(existsSync(path), `${page}: ${path}`)
    }
  }
})

t.test('every metric, label and setting that a page names exists', async (t) => {
  const metrics = Object.values(metricSubjects).flatMap((each): MetricDefinition[] => Object.values(each))
  const names = new Set(metrics.map(({ name }) => name))
  const current = pages.filter((page) => page !== 'CHANGELOG.md' && !page.startsWith('test/'))
  for (const page of current) {
    const text = proseOf(page)
    for (const [name] of text.matchAll(/refstream_[a-z_]+/g)) t.ok(names.has(name), `${page}: ${name}`)
    for (const [, label = '', value = ''] of text.matchAll(/\b([a-z]+)="([\w-]+)"/g)) {
      const meanings = metrics.map(({ labels }) => labels?.[label]).filter((meaning) => meaning !== undefined)
      const isKnown = meanings.some((meaning) =>
        typeof meaning === 'string' ? meaning.includes(`\`${value}\``) : value in meaning,
      )
      if (meanings.length > 0) t.ok(isKnown, `${page}: ${label}="${value}"`)
    }
  }
  const settings = new Set(['config', ...optionTable.options.map(({ name }) => name)])
  for (const page of current.filter((each) => /^(README|docs)/.test(each))) {
    for (const [, flag = ''] of proseOf(page).matchAll(/`--(?:no-)?([a-z][a-z-]*[a-z])(?![-\w])/g)) {
      t.ok(settings.has(flag), `${page}: --${flag}`)
    }
  }
})

t.test('the README is short', async (t) => {
  t.ok(readFileSync('README.md', 'utf8').split('\n').length <= 151, '150 lines at most')
})

const mandoc = outputOf('mandoc', '-Tlint', '-W', 'warning', 'man/refstream.1')
const noMandoc = skipReason(
  'mandoc',
  outputOf('which', 'mandoc') === undefined ? 'it is not installed' : undefined,
)
t.test('mandoc finds nothing wrong with the man page', { skip: noMandoc }, async (t) => {
  t.equal(mandoc, '')
})
