// Gets the schemas of Kubernetes' objects, and of the Prometheus operator's, from the Go module proxy into
// ~/.cache/refstream-test/, for the tests of fixtures/kustomize: `make kubernetes-schemas`. Needs Go.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { parse } from 'yaml'

/** With checksums as `go.sum` would have them. */
const kubernetes = ['k8s.io/kubernetes@v1.34.1', 'h1:F3p8dtpv+i8zQoebZeK5zBqM1g9x1aIdnA5vthvcuUk=']
const operator = [
  'github.com/prometheus-operator/prometheus-operator@v0.85.0',
  'h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=',
]

const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache')
/** `{definitions, kinds}`: definitions of OpenAPI 2, and by `apiVersion/kind` the schema of an object. */
export const schemasFile = join(cache, 'refstream-test', 'kubernetes-1.34.1.json')

function build() {
  if (existsSync(schemasFile)) return console.log(`is there already: ${schemasFile}`)
  const { definitions } = JSON.parse(
    readFileSync(join(moduleOf(...kubernetes), 'api/openapi-spec/swagger.json')),
  )
  const kinds = {}
  for (const [name, schema] of Object.entries(definitions)) {
    for (const { group, version, kind } of schema['x-kubernetes-group-version-kind'] ?? []) {
      kinds[[group, version, kind].filter(Boolean).join('/')] = { $ref: `#/definitions/${name}` }
    }
  }
  for (const name of ['prometheusrules', 'servicemonitors']) {
    const path = `example/prometheus-operator-crd/monitoring.coreos.com_${name}.yaml`
    const { spec } = parse(readFileSync(join(moduleOf(...operator), path), 'utf8'))
    for (const { name: version, schema } of spec.versions) {
      kinds[`${spec.group}/${version}/${spec.names.kind}`] = schema.openAPIV3Schema
    }
  }
  mkdirSync(dirname(schemasFile), { recursive: true })
  writeFileSync(`${schemasFile}.part`, JSON.stringify({ definitions, kinds }))
  renameSync(`${schemasFile}.part`, schemasFile)
  console.log(`written: ${schemasFile}`)
}

function moduleOf(module, checksum) {
  const { status, stdout, error } = spawnSync('go', ['mod', 'download', '-json', module], {
    cwd: tmpdir(),
    encoding: 'utf8',
    maxBuffer: 1 << 24,
  })
  if (status !== 0) throw new Error(`go mod download ${module}: ${error?.message ?? stdout}`)
  const { Dir, Sum } = JSON.parse(stdout)
  if (Sum !== checksum) throw new Error(`${module} has the checksum ${Sum} instead of ${checksum}`)
  return Dir
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) build()
