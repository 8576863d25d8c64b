// A large advertisement over gRPC beside HTTP: the throughput of one client after another, both transports alternating in
// one run.
//
//   make build && node test/bench/grpc.mjs [REFS]
import grpc from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { get } from 'node:http'
import { fileURLToPath } from 'node:url'
import { makeRepository, median, startRefstream, table } from './rig.mjs'

const refs = Number(process.argv[2] ?? 207_000)
const rounds = 15
makeRepository('big.git', refs)
const sidecar = await startRefstream('--grpc', '127.0.0.1:0')

const proto = fileURLToPath(new URL('../../dist/grpc/proto/ref_service.proto', import.meta.url))
const { refstream } = grpc.loadPackageDefinition(loadSync(proto))

const overHttp = () =>
  new Promise((resolve, reject) => {
    get(`${sidecar.url}/big.git/info/refs?service=git-upload-pack`, (response) => {
      let bytes = 0
      response.on('data', (chunk) => (bytes += chunk.length))
      response.on('end', () => resolve(bytes)).on('error', reject)
    })
  })

/** @param window bytes of HTTP/2's flow control that the client allows; its library's default is 64 KB */
function overGrpc(window) {
  const options = window ? { 'grpc-node.flow_control_window': window } : {}
  const client = new refstream.v1.RefService(sidecar.grpc, grpc.credentials.createInsecure(), options)
  return () =>
    new Promise((resolve, reject) => {
      let bytes = 0
      const call = client.Advertise({ repository: 'big.git' })
      call.on('data', ({ data }) => (bytes += data.length))
      call.on('end', () => resolve(bytes)).on('error', reject)
    })
}

const transports = {
  HTTP: overHttp,
  'gRPC, window of 64 KB': overGrpc(),
  'gRPC, window of 4 MB': overGrpc(4 * 1024 * 1024),
}
const figures = new Map(
  Object.keys(transports).map((transport) => [transport, { rates: [], cpu: 0, bytes: 0 }]),
)
for (const ask of Object.values(transports)) for (let warm = 0; warm < 5; warm++) await ask()
for (let round = 0; round < rounds; round++) {
  for (const [transport, ask] of Object.entries(transports)) {
    const figure = figures.get(transport)
    const [started, cpu] = [performance.now(), sidecar.cpuSeconds()]
    let bytes = 0
    for (let time = 0; time < 4; time++) bytes += await ask()
    figure.rates.push(bytes / 1000 / (performance.now() - started))
    figure.cpu += sidecar.cpuSeconds() - cpu
    figure.bytes += bytes
  }
}
const http = median(figures.get('HTTP').rates)
const rows = [...figures].map(([transport, { rates, cpu, bytes }]) => {
  return [transport, median(rates), (median(rates) / http).toFixed(2), (cpu / (bytes / 1e9)).toFixed(2)]
})
console.log(`${refs} refs, ${(figures.get('HTTP').bytes / rounds / 4 / 1e6).toFixed(1)} MB`)
console.log(table(['transport', 'MB/s', '× HTTP', 'server, CPU s per GB'], rows).join('\n'))
await sidecar.stop()
process.exit()
