import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { ConfigError } from '../config/values/config-error.js'
import { packageVersion } from '../config/version.js'
import type { DoctorFlags } from './commands/doctor.js'
import { addLeaseCommand } from './commands/lease.js'
import { addCompletionCommand } from './completion/completion.js'
import { addHookCommand } from './commands/hook.js'
import { AdminFault } from './admin/read.js'
import { addReadyCommand } from './commands/ready.js'
import { addTailCommand } from './commands/tail.js'
import { addTopCommand } from './commands/top.js'
import type { Examples, Flags } from './commands/setting-flags.js'

/** Exit code for mistakes in the command line or the configuration. */
const usageExit = 2

/**
 * Commands that take settings, or list the flags of those that do. The others do without the settings and the library that
 * checks them, whose loading takes longer than all the rest: hooks and scripts wait for them.
 */
const commandsOfSettings = ['serve', 'doctor', 'help', 'completion']

/** Parses the command line and runs the command. */
export async function run(argv: readonly string[]): Promise<void> {
  const [command = '', ...rest] = argv.slice(2)
  const settingFlags = argv.slice(2).some((word) => commandsOfSettings.includes(word))
    ? await import('./commands/setting-flags.js')
    : undefined
  const takesSettings = command === 'serve' || command === 'doctor'
  const { args, mistakes } =
    takesSettings && settingFlags
      ? settingFlags.parseFlags(rest, command === 'doctor', command === 'doctor' ? ['--url'] : [])
      : { args: rest, mistakes: [] }
  try {
    await createProgram(settingFlags, mistakes).parseAsync([...argv.slice(0, 3), ...args])
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : usageExit
    } else if (error instanceof ConfigError) {
      for (const mistake of error.mistakes) process.stderr.write(`refstream: ${mistake}\n`)
      if (command === 'serve' && rest.length === 0) {
        const { firstSteps } = await import('./commands/first-steps.js')
        process.stderr.write(firstSteps(process.env))
      }
      process.exitCode = usageExit
    } else if (error instanceof AdminFault) {
      process.stderr.write(`refstream: ${error.message}\n`)
      process.exitCode = 1
    } else {
      throw error
    }
  }
}

const serveExamples: Examples = [
  ['refstream serve --root /srv/git', 'exported repositories, on this machine only'],
  [
    'refstream serve --root /srv/git --listen tls:0.0.0.0:8443 --tls-cert fullchain.pem --tls-key privkey.pem --auth-htpasswd passwords',
    'other machines, with TLS and passwords',
  ],
  [
    'refstream serve --config /etc/refstream.toml --log-level debug',
    'settings from a file, with one of them overridden',
  ],
]

/**
 * Returns all commands; the man page and the completions are made from them, too.
 * @param settingFlags undefined: the commands that take settings are without their flags
 * @param mistakes in the command's flags, reported with those in other places
 */
export function createProgram(
  settingFlags: Pick<typeof import('./commands/setting-flags.js'), 'addSettingFlags'> | undefined,
  mistakes: readonly string[] = [],
): Command {
  const withSettings = (command: Command, examples?: Examples): Command =>
    settingFlags?.addSettingFlags(command, examples) ?? command
  const program = new Command('refstream')
    .description('A streaming info-refs cache beside a Git server.')
    .version(packageVersion())
    // Commander writes its hints on lines of their own.
    .configureOutput({ outputError: (text, write) => write(`${text.trim().replaceAll(/\s*\n\s*/g, ' ')}\n`) })
    .exitOverride()

  withSettings(program.command('serve'), serveExamples)
    .description('Serve the repositories under a root over HTTP.')
    // Loaded on demand: short commands in hooks and scripts do not wait for a server's libraries.
    .action(async (flags: Flags) => (await import('./commands/serve.js')).serve(flags, mistakes))
  withSettings(program.command('doctor'))
    .description('Report problems, and how each repository is kept fresh, with the settings of serve.')
    .argument(
      '[REPO...]',
      'paths below the root; all if left out. With an upstream, it is asked for those given',
    )
    .option(
      '--url <URL>',
      'where clients find this refstream, perhaps through a proxy: a request is sent there, and the running refstream asked what has arrived',
      parseUrl,
    )
    .action(async (paths: string[], flags: DoctorFlags) =>
      (await import('./commands/doctor.js')).doctor(paths, flags, mistakes),
    )
  addReadyCommand(program)
  addLeaseCommand(program)
  addTopCommand(program)
  addTailCommand(program)

  program
    .command('config')
    .description('Work with configuration files.')
    .command('check')
    .description(
      'Check a configuration file for everything that serve would refuse, except ports in use: keys, values, combinations, files, root, Git.',
    )
    .argument('<FILE>')
    .action(async (file: string) => (await import('./commands/config-check.js')).checkConfig(file))
  addHookCommand(program)
  addCompletionCommand(program)
  return program
}

function parseUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '')
    return url
  throw new InvalidArgumentError('It must be an http: or https: URL without user name, query and fragment.')
}
