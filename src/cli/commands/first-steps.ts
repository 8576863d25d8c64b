import { environmentName, options } from '../../config/options/options.js'

/**
 * Returns what to do next for `refstream serve` without any setting, as on a machine where it was just installed; nothing
 * where the environment has settings: then one of them is missing or wrong, and the error says which.
 */
export function firstSteps(environment: NodeJS.ProcessEnv): string {
  const names = ['REFSTREAM_CONFIG', ...options.map(environmentName)]
  return names.some((name) => environment[name] !== undefined) ? '' : text
}

const text = `
To serve the bare repositories below a directory:
  refstream serve --root /srv/git --export-all
  git clone http://127.0.0.1:8080/project.git

To stand in front of another Git server, whose repositories have the same paths here:
  refstream serve --upstream https://git.example.com
  git clone http://127.0.0.1:8080/team/project.git

To check this machine first: refstream doctor --root /srv/git
All settings: refstream serve --help, or man refstream
`
