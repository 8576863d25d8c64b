import t from 'tap'
import { Growth } from '../../src/streamcache/growth.js'

const mib = 1024 * 1024

t.test('the bytes of all files that grow, until each of them ends', async (t) => {
  const growth = new Growth(() => {})
  const [one, other] = [{}, {}]
  growth.add(one, 10)
  growth.add(other, 5)
  growth.add(one, 1)
  t.equal(growth.bytes, 16)
  growth.end(one)
  growth.end(one)
  growth.end({})
  t.equal(growth.bytes, 5)
  growth.end(other)
  t.equal(growth.bytes, 0)
})

t.test('it tells about each 64 MiB, by whichever files', async (t) => {
  let told = 0
  const growth = new Growth(() => told++)
  const [one, other] = [{}, {}]
  growth.add(one, 40 * mib)
  growth.end(one)
  t.equal(told, 0)
  growth.add(other, 24 * mib)
  t.equal(told, 1)
  growth.add(other, 64 * mib - 1)
  t.equal(told, 1)
  growth.add(other, 1)
  t.equal(told, 2)
})
