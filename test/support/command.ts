import { run } from '../../src/cli/program.js'
import { cleanEnvironment, program } from './sidecar.js'

/** What a command has printed, and its exit code. */
export interface CommandResult {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command in this process: a process for each of hundreds would take minutes. */
export async function runCommand(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<CommandResult> {
  const before = { ...process.env }
  Object.assign(process.env, cleanEnvironment, environment)
  const [stdout, stderr] = [capture(process.stdout), capture(process.stderr)]
  try {
    await run([process.execPath, program, ...args])
  } finally {
    stdout.restore()
    stderr.restore()
    for (const name of Object.keys(process.env))
      if (!(name in before)) Reflect.deleteProperty(process.env, name)
    Object.assign(process.env, before)
  }
  const status = Number(process.exitCode ?? 0)
  process.exitCode = undefined
  return { status, stdout: stdout.parts.join(''), stderr: stderr.parts.join('') }
}

/** Collects what is written to a stream instead of writing it. */
function capture(stream: NodeJS.WriteStream): { parts: string[]; restore: () => void } {
  const parts: string[] = []
  const write = stream.write.bind(stream)
  stream.write = (part: string | Uint8Array) => parts.push(String(part)) > 0
  return { parts, restore: () => void (stream.write = write) }
}
