import type { Test } from 'tap'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { eventually } from './eventually.js'
import { removeAll } from './temp-dir.js'

const names = ['chromium', 'chromium-browser', 'google-chrome']

/** Returns the name of a Chromium that is installed; undefined: there is none. */
export const chromiumName = (): string | undefined =>
  names.find((name) => spawnSync(name, ['--version'], { stdio: 'ignore' }).status === 0)

type Message = Readonly<Record<string, unknown>>

/** A page in a browser without a window. */
export interface BrowserPage {
  /** What went wrong on the page: errors, rejected promises, violations of its policy. */
  readonly faults: string[]
  /** Returns the JSON value of an expression. */
  evaluate<T>(expression: string): Promise<T>
  /** Resolves when an expression is true. */
  until(what: string, expression: string): Promise<void>
  /** Sets the width and height in CSS pixels, and what the user prefers. */
  emulate(width: number, height: number, scheme: 'light' | 'dark', motion?: 'reduce'): Promise<void>
  /** Presses the Tab key. */
  tab(): Promise<void>
  screenshot(): Promise<Buffer>
}

/**
 * Opens a page in Chromium, driven by the DevTools protocol over a pipe, which needs no library and no port. Ended with the
 * test.
 */
export async function openPage(t: Test, chromium: string, url: string): Promise<BrowserPage> {
  const profile = mkdtempSync(join(tmpdir(), 'refstream-chromium-'))
  const browser = spawn(
    chromium,
    [
      ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run'],
      ...['--remote-debugging-pipe', `--user-data-dir=${profile}`, 'about:blank'],
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'], detached: true },
  )
  const gone = once(browser, 'exit')
  t.teardown(async () => {
    // Its own processes belong to its group, and may write to the profile for a moment.
    process.kill(-browser.pid!, 'SIGKILL')
    await gone
    await removeAll(profile)
  })
  const [, , , input, output] = browser.stdio as unknown as [null, null, null, Writable, Readable]
  const waiting = new Map<number, (message: Message) => void>()
  const faults: string[] = []
  let rest = ''
  output.setEncoding('utf8').on('data', (text: string) => {
    const messages = (rest + text).split('\0')
    rest = messages.pop() ?? ''
    for (const each of messages) take(JSON.parse(each) as Message)
  })
  function take(message: Message): void {
    if (typeof message['id'] === 'number') return waiting.get(message['id'])?.(message)
    const fault = faultIn(message)
    if (fault !== undefined) faults.push(fault)
  }
  let count = 0
  const send = async (method: string, params: object = {}, sessionId?: string): Promise<Message> => {
    const id = ++count
    const answered = new Promise<Message>((resolve) => waiting.set(id, resolve))
    input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`)
    const { result, error } = await answered
    waiting.delete(id)
    if (error) throw new Error(`${method}: ${JSON.stringify(error)}`)
    return result as Message
  }
  const { targetId } = await send('Target.createTarget', { url: 'about:blank' })
  const { sessionId } = await send('Target.attachToTarget', { targetId, flatten: true })
  const call = (method: string, params?: object) => send(method, params, sessionId as string)
  for (const domain of ['Runtime', 'Log', 'Audits', 'Page']) await call(`${domain}.enable`)
  await call('Page.navigate', { url })
  const evaluate = async <T>(expression: string): Promise<T> => {
    const { result } = await call('Runtime.evaluate', {
      ...{ expression, returnByValue: true, awaitPromise: true },
    })
    return (result as { value: T }).value
  }
  return {
    faults,
    evaluate,
    until: (what, expression) => eventually(what, () => evaluate<boolean>(`Boolean(${expression})`)),
    emulate: async (width, height, scheme, motion) => {
      const mobile = width < 500
      await call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile })
      await call('Emulation.setEmulatedMedia', {
        features: [
          { name: 'prefers-color-scheme', value: scheme },
          { name: 'prefers-reduced-motion', value: motion ?? '' },
        ],
      })
    },
    tab: async () => {
      const key = { key: 'Tab', code: 'Tab', windowsVirtualKeyCode: 9 }
      for (const type of ['keyDown', 'keyUp']) await call('Input.dispatchKeyEvent', { type, ...key })
    },
    screenshot: async () => {
      const { data } = await call('Page.captureScreenshot', { format: 'png' })
      return Buffer.from(data as string, 'base64')
    },
  }
}

function faultIn({ method, params }: Message): string | undefined {
  const text = JSON.stringify(params)
  if (method === 'Runtime.exceptionThrown' || method === 'Audits.issueAdded') return text
  if (method === 'Runtime.consoleAPICalled' && /"type":"(error|warning|assert)"/.test(text)) return text
  if (method === 'Log.entryAdded' && /"level":"(error|warning)"/.test(text)) return text
  return undefined
}
