import { Command, CommanderError } from 'commander'
import { checkFile, ConfigError } from '../config/settings.js'
import { packageVersion } from '../config/version.js'
import { addLeaseCommand } from './lease.js'
import { addHookCommand } from './hook.js'
import { addSettingFlags, type Flags } from './setting-flags.js'

/** Exit code for a mistake of whoever typed the command or wrote the configuration. */
const usageExit = 2

/** Reads the command line and runs the command that it names. */
export async function run(argv: readonly string[]): Promise<void> {
  try {
    await createProgram().parseAsync(argv)
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : usageExit
    } else if (error instanceof ConfigError) {
      process.stderr.write(`refstream: ${error.message}\n`)
      process.exitCode = usageExit
    } else {
      throw error
    }
  }
}

function createProgram(): Command {
  const program = new Command('refstream')
    .description('A streaming info-refs cache beside a Git server.')
    .version(packageVersion())
    .exitOverride()

  addSettingFlags(program.command('serve'))
    .description('Serve the repositories under a root over HTTP.')
    // Loaded when it is needed: a hook's or a script's short command does not wait for a server's libraries.
    .action(async (flags: Flags) => (await import('./serve.js')).serve(flags))
  addSettingFlags(program.command('doctor'))
    .description('Tell what is wrong, and how each repository is kept fresh, by the settings of serve.')
    .argument('[REPO...]', 'paths below the root; all if left out')
    .action(async (paths: string[], flags: Flags) => (await import('./doctor.js')).doctor(paths, flags))
  addLeaseCommand(program)

  program
    .command('config')
    .description('Work with configuration files.')
    .command('check')
    .description('Check the keys and values of a configuration file.')
    .argument('<FILE>')
    .action(async (file: string) => {
      await checkFile(file)
      process.stdout.write(`${file}: ok\n`)
    })
  addHookCommand(program)
  return program
}
