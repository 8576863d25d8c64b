import { Argument, type Command } from 'commander'
import { bashCompletion } from './bash.js'
import { fishCompletion } from './fish.js'
import type { CommandWords } from './words.js'
import { zshCompletion } from './zsh.js'

const scripts = new Map<string, (commands: readonly CommandWords[]) => string>([
  ['bash', bashCompletion],
  ['zsh', zshCompletion],
  ['fish', fishCompletion],
])

/** `refstream completion SHELL`: prints a script that completes all commands and flags of this version. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('Print a script that completes refstream in a shell: source <(refstream completion bash)')
    .addArgument(new Argument('<SHELL>', 'shell that reads the script').choices([...scripts.keys()]))
    .action(async (shell: string) => {
      // Loaded on demand, since it loads all settings.
      const { wordsOf } = await import('./words.js')
      process.stdout.write(scripts.get(shell)?.(wordsOf(program)) ?? '')
    })
}
