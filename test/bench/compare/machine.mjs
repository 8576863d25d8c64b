// The machine that a report is of.
import { readFileSync } from 'node:fs'
import { cpus, loadavg, release, totalmem } from 'node:os'

export function machine() {
  const [{ model }] = cpus()
  const system = /^PRETTY_NAME="(.*)"/m.exec(readFileSync('/etc/os-release', 'utf8'))?.[1]
  const hypervisor = /^flags\s*:.*\bhypervisor\b/m.test(readFileSync('/proc/cpuinfo', 'utf8'))
  return {
    cores: cpus().length,
    model,
    memoryGigabytes: Math.round(totalmem() / 1e9),
    system: `${system}, Linux ${release()}${hypervisor ? ', a virtual machine' : ''}`,
    load: loadavg()[0],
  }
}
