import type { Test } from 'tap'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProxyTarget } from './counting-proxy.js'

export interface ServerProcess {
  /** Resolves with the first match in a line of its output. Rejects if it ends before. */
  line(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves when it accepts connections. Rejects with its output if it ends before. */
  listensOn(target: ProxyTarget): Promise<void>
  /** The last lines of its output. */
  output(): string
  /** Ends it and all its children. */
  stop(): Promise<void>
}

export interface ServerCommand {
  readonly environment: NodeJS.ProcessEnv
  readonly cwd?: string
}

const linesKept = 40

/**
 * Runs a command until it ends, or until standard input does: that is the end of the test's process, however it ended. Then
 * the whole process group is killed.
 */
const untilInputEnds = `
exec 3<&0
"$@" < /dev/null 3<&- &
server=$!
{ read -r end <&3; kill -KILL 0; } > /dev/null 2>&1 &
wait "$server"`

/** Starts a server in a process group of its own. It ends with the test, and with the test's process. */
export function startProcess(
  t: Test,
  command: string,
  args: readonly string[],
  { environment, cwd }: ServerCommand,
): ServerProcess {
  const child = spawn('sh', ['-c', untilInputEnds, 'sh', command, ...args], {
    env: environment,
    cwd,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  const readers = [child.stdout, child.stderr].map((stream) => createInterface(stream))
  for (const reader of readers) reader.on('line', (line) => lines.push(line) > linesKept && lines.shift())
  let hasEnded = false
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    // Not `exit`: its last lines come before this.
    child.once('close', (code, signal) => resolve(`ended with ${code ?? signal}`))
  }).then((how) => {
    hasEnded = true
    return how
  })
  const failed = async (): Promise<never> => {
    const how = await ended
    throw new Error(`${command}: ${how}\n${lines.join('\n')}`)
  }

  const killGroup = (signal: NodeJS.Signals): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, signal)
    } catch {
      // Nothing of the group is left.
    }
  }
  const stop = async (): Promise<void> => {
    killGroup('SIGTERM')
    await Promise.race([ended, sleep(2000, undefined, { ref: false })])
    killGroup('SIGKILL')
    await ended
  }
  t.teardown(stop)

  const line = async (pattern: RegExp): Promise<RegExpExecArray> => {
    const found = new Promise<RegExpExecArray>((resolve) => {
      const look = (text: string): void => {
        const match = pattern.exec(text)
        if (match) resolve(match)
      }
      lines.forEach(look)
      for (const reader of readers) reader.on('line', look)
    })
    return Promise.race([found, failed()])
  }
  const listensOn = async (target: ProxyTarget): Promise<void> => {
    while (!hasEnded) {
      if (await accepts(target)) return
      await sleep(10)
    }
    return failed()
  }
  return { line, listensOn, output: () => lines.join('\n'), stop }
}

async function accepts(target: ProxyTarget): Promise<boolean> {
  const socket = 'socketPath' in target ? connect(target.socketPath) : connect(target.port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
