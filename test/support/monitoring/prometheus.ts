import type { Test } from 'tap'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { freePorts } from '../free-ports.js'
import { eventually } from '../eventually.js'
import { tempDir } from '../temp-dir.js'
import { startProcess } from '../upstreams/server-process.js'

/** Why tests with a real Prometheus are skipped; false: they are not. */
export const skipPrometheus: string | false = ['prometheus', 'promtool'].some(
  (program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).error,
)
  ? 'prometheus is not installed (Debian: prometheus)'
  : false

/** A series, and its last value as Prometheus writes it. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly value: readonly [number, string]
}

export interface Rule {
  readonly type: 'alerting' | 'recording'
  readonly name: string
  readonly health: string
  readonly lastError?: string
}

/** A Prometheus for one test, with the rules of fixtures/prometheus-rules.yml. */
export interface Prometheus {
  /** Resolves with what an expression is now. @throws if it is refused */
  readonly query: (expr: string) => Promise<readonly Series[]>
  /** Resolves with the rules that were loaded. */
  readonly rules: () => Promise<readonly Rule[]>
  /** Resolves when the expression of an alert is true for an instance, with the labels of the alert. */
  readonly alert: (name: string, instance?: string) => Promise<Readonly<Record<string, string>>>
}

/** How often it scrapes, and evaluates the rules. */
const interval = '500ms'

/** Starts a Prometheus that scrapes these admin addresses as the job refstream; it ends with the test. */
export async function startPrometheus(t: Test, adminUrls: readonly string[]): Promise<Prometheus> {
  const directory = tempDir(t)
  const targets = adminUrls.map((url) => new URL(url).host)
  const configuration = {
    global: { scrape_interval: interval, scrape_timeout: interval, evaluation_interval: interval },
    rule_files: [resolve('fixtures/prometheus-rules.yml')],
    scrape_configs: [{ job_name: 'refstream', static_configs: [{ targets }] }],
  }
  // JSON is YAML too.
  writeFileSync(join(directory, 'prometheus.yml'), JSON.stringify(configuration))
  const [port] = await freePorts(1)
  const args = [
    `--config.file=${join(directory, 'prometheus.yml')}`,
    `--storage.tsdb.path=${join(directory, 'data')}`,
    `--web.listen-address=127.0.0.1:${port}`,
    '--log.level=warn',
  ]
  const environment = { PATH: process.env['PATH'] }
  const server = startProcess(t, 'prometheus', args, { environment, cwd: directory })
  await server.listensOn({ port: port! })
  // It listens before it has opened its storage.
  await eventually('Prometheus is ready', async () => (await fetch(`http://127.0.0.1:${port}/-/ready`)).ok)
  const get = async (path: string): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)
    const answer = (await response.json()) as { status: string; error?: string; data: unknown }
    if (answer.status !== 'success') throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  const query: Prometheus['query'] = async (expr) => {
    const { result } = (await get(`query?query=${encodeURIComponent(expr)}`)) as { result: Series[] }
    return result
  }
  return {
    query,
    rules: async () => {
      const { groups } = (await get('rules')) as { groups: readonly { rules: readonly Rule[] }[] }
      return groups.flatMap(({ rules }) => rules)
    },
    alert: async (name, instance) => {
      const where = instance === undefined ? '' : `,instance="${instance}"`
      let found: Series | undefined
      await eventually(`the alert ${name} is pending or firing`, async () => {
        ;[found] = await query(`ALERTS{alertname="${name}"${where}}`)
        return found !== undefined
      })
      return found!.metric
    },
  }
}
