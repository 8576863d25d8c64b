import { Command, CommanderError } from 'commander'
import { environmentName, options } from '../config/options.js'
import { checkFile, ConfigError } from '../config/settings.js'
import { packageVersion } from '../config/version.js'
import { serve } from './serve.js'

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

  const serveCommand = program
    .command('serve')
    .description('Serve the repositories under a root over HTTP.')
    .option('--config <FILE>', 'TOML file with any of these settings (REFSTREAM_CONFIG)')
    .action(serve)
  for (const option of options) {
    // A switch may be turned off too, against what the file says.
    const flags = `--${option.name} ${'value' in option ? `<${option.value}>` : '[true|false]'}`
    const description = `${option.help} (${environmentName(option)}; default: ${option.defaultText})`
    serveCommand.option(flags, description)
  }

  program
    .command('config')
    .description('Work with configuration files.')
    .command('check')
    .description('Check the keys and values of a configuration file.')
    .argument('<FILE>')
    .action((file: string) => {
      checkFile(file)
      process.stdout.write(`${file}: ok\n`)
    })
  return program
}
