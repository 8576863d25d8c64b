import t from 'tap'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { metricSubjects } from '../../../../src/telemetry/metrics/catalog.js'
import type { Definitions } from '../../../../src/telemetry/metrics/definition.js'
import { nodeMetrics } from '../../../../src/telemetry/metrics/program.js'
import { dashboardFile, rows } from '../../../../src/telemetry/monitoring/dashboard/dashboard.js'
import { dashboardPanels } from '../../../support/monitoring/dashboard-panels.js'
import { tempDir } from '../../../support/temp-dir.js'

const panels = dashboardPanels(JSON.parse(dashboardFile()))
const expressions = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr))
const all = expressions.join('\n')

t.test('every metric is on the dashboard', async (t) => {
  const subjects: Definitions[] = [...Object.values(metricSubjects), nodeMetrics]
  const names = subjects.flatMap((subject) => Object.values(subject).map(({ name }) => name))
  t.same(
    names.filter((name) => !new RegExp(`\\b${name}(_bucket)?\\{`).test(all)),
    [],
  )
})

t.test('every selector is that of the chosen jobs and instances', async (t) => {
  for (const expr of expressions) {
    for (const [selector] of expr.matchAll(/\b(?:refstream|process|nodejs)_[a-z_]+(\{[^}]*\})?/g))
      t.match(selector, '{job=~"$job",instance=~"$instance"', expr)
  }
})

t.test('panels are described, have a unit, and do not overlap', async (t) => {
  const taken = new Map<string, string>()
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length, 'each has a number of its own')
  for (const { title, description, fieldConfig, gridPos, targets } of panels) {
    t.match(description, /\.$/, title)
    t.ok(fieldConfig.defaults.unit, title)
    t.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length, title)
    const { x, y, w, h } = gridPos
    t.ok(x + w <= 24, title)
    for (let column = x; column < x + w; column++) {
      for (let line = y; line < y + h; line++) {
        t.equal(taken.get(`${column} ${line}`), undefined, `${title} overlaps`)
        taken.set(`${column} ${line}`, title)
      }
    }
  }
  t.same(
    rows.map(({ title }) => title),
    (JSON.parse(dashboardFile()) as { panels: { type: string; title: string }[] }).panels
      .filter(({ type }) => type === 'row')
      .map(({ title }) => title),
  )
})

const skip = spawnSync('promtool', ['--version']).error
  ? 'promtool is not installed (Debian: prometheus)'
  : false

t.test('every expression is PromQL', { skip }, async (t) => {
  const rules = expressions.map((expr, index) => ({
    record: `panel:${index}`,
    expr: expr.replaceAll('$__rate_interval', '1m'),
  }))
  const path = join(tempDir(t), 'rules.yml')
  // JSON is YAML too.
  writeFileSync(path, JSON.stringify({ groups: [{ name: 'panels', rules }] }))
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'rules', path], { encoding: 'utf8' })
  t.equal(status, 0, `${stdout}${stderr}`)
})
