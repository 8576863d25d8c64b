// A helper as src/origin/disk/observation/disk-process.ts is one, which can be made to hang: `find PATH` opens PATH to read from it,
// and that waits for a writer if it is a FIFO. `relative WORD` does what the word says.
import { closeSync, openSync } from 'node:fs'

process.on('disconnect', () => process.exit())
process.once('message', ({ allowed }) => {
  process.on('message', ({ id, query, args: [path] }) => {
    if (query === 'find') closeSync(openSync(path, 'r'))
    if (path === 'die') process.exit(1)
    if (path === 'fail') process.send({ id, error: new Error('it fails') })
    else if (path === 'elsewhere' && !allowed.includes('9'))
      process.send({ id, remote: { id: '9', point: '/other', type: 'cifs' } })
    else process.send({ id, answer: `${process.pid} ${allowed.join('+')}` })
  })
})
